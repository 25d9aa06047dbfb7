/** A few blocks on a floor, to see a path move through before the clip's own points are there. Scene scales. */

const BLOCKS = [
  [0, 1, 0.16, 0.55],
  [-0.55, 1.35, 0.14, 0.35],
  [0.6, 1.2, 0.12, 0.4],
  [-0.9, 2.0, 0.2, 0.7],
  [0.95, 2.2, 0.2, 0.6],
  [0.15, 2.4, 0.3, 0.45],
];

/** The edges of the blocks, as pairs of points in the world. */
export function blockEdges(sceneScale, floor) {
  return BLOCKS.flatMap(([x, z, half, tall]) => {
    const corner = (side, deep, up) => [(x + side * half) * sceneScale, floor - up * tall * sceneScale, (z + deep * half) * sceneScale];
    const ring = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
    return ring.flatMap(([side, deep], index) => {
      const [nextSide, nextDeep] = ring[(index + 1) % 4];
      return [
        [corner(side, deep, 0), corner(nextSide, nextDeep, 0)],
        [corner(side, deep, 1), corner(nextSide, nextDeep, 1)],
        [corner(side, deep, 0), corner(side, deep, 1)],
      ];
    });
  });
}
