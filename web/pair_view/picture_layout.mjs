/** Where both views lie in the preview's picture; `preview/pair_view.py` and `pane_size` of `preview/drawing.py` say so. */

const GAP = 8;
const SHORTEST_LONG_SIDE = 512;
const LONGEST_SIDE = 960;

function paneSize({ width, height }) {
  const long = Math.max(width, height);
  const scale = Math.min(Math.max(1, SHORTEST_LONG_SIDE / long), LONGEST_SIDE / long);
  return [width, height].map((side) => Math.max(2, 2 * Math.round((side * scale) / 2)));
}

/** Boxes in the video's own pixels. @param {{source, target}} size of both cameras' pictures */
export function viewsOf(size) {
  const [source, target] = [paneSize(size.source), paneSize(size.target)];
  return {
    source: { x: 0, y: 0, width: source[0], height: source[1] },
    target: { x: source[0] + GAP, y: 0, width: target[0], height: target[1] },
  };
}

export const PARTS = { views: "Both views", source: "Source", target: "New view", paths: "Camera paths", all: "All" };

/**
 * The box of a part of the preview, in the video's own pixels: the two views with the band of coverage under them, one of
 * the views, the plot of the camera paths below, or all of it.
 * @param {{source, target}|null} size of both cameras' pictures; before it is known a view is both
 */
export function partOf(part, { videoWidth, videoHeight }, size) {
  const plot = 2 * Math.floor(videoWidth / 4);
  const views = { x: 0, y: 0, width: videoWidth, height: videoHeight - plot };
  if (part === "all") return { ...views, height: videoHeight };
  if (part === "paths") return { x: 0, y: videoHeight - plot, width: videoWidth, height: plot };
  return (size && viewsOf(size)[part]) ?? views;
}

/** How a box of a video lies in its place: centred and as large as fits; `x` and `y` are of the whole video's corner. */
export function shownAt(box, { clientWidth, clientHeight }) {
  const scale = Math.min(clientWidth / box.width, clientHeight / box.height);
  return {
    scale,
    x: (clientWidth - box.width * scale) / 2 - box.x * scale,
    y: (clientHeight - box.height * scale) / 2 - box.y * scale,
  };
}

/** Whether a place of the stage is on the box. */
export function isOn(box, shown, { x, y }) {
  const [px, py] = [(x - shown.x) / shown.scale, (y - shown.y) / shown.scale];
  return px >= box.x && px <= box.x + box.width && py >= box.y && py <= box.y + box.height;
}

/** The view under a pointer, and where in it, in shares; null beside both. */
export function viewAt(views, shown, pointer) {
  const [px, py] = [(pointer.x - shown.x) / shown.scale, (pointer.y - shown.y) / shown.scale];
  for (const [view, box] of Object.entries(views)) {
    const [x, y] = [(px - box.x) / box.width, (py - box.y) / box.height];
    if (x >= 0 && x <= 1 && y >= 0 && y <= 1) return { view, x, y };
  }
  return null;
}
