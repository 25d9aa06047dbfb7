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

/** How a video lies in its place: centred and as large as fits. */
export function shownAt({ videoWidth, videoHeight }, { clientWidth, clientHeight }) {
  const scale = Math.min(clientWidth / videoWidth, clientHeight / videoHeight);
  return { scale, x: (clientWidth - videoWidth * scale) / 2, y: (clientHeight - videoHeight * scale) / 2 };
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
