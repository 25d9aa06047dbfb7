/** How a picture lies in its place, and where on it something is. */

/** The largest box of a picture's shape in the middle of a place. */
export function fitted(width, height, wide, tall) {
  const scale = Math.min(wide / width, tall / height);
  return { x: (wide - width * scale) / 2, y: (tall - height * scale) / 2, width: width * scale, height: height * scale };
}

/** How far across a box `x` is, 0..1. */
export function shareAcross(box, x) {
  return Math.min(Math.max((x - box.x) / Math.max(box.width, 1e-6), 0), 1);
}
