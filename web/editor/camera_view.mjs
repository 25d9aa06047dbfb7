/** The camera pane's drawing: the edge of the picture, guides, and marks on what keys look at. */

import { projector } from "./lenses.mjs";
import { goalInWorld } from "./poses.mjs";
import { COLOURS } from "./style.mjs";
import { crosshair, drawSubject } from "./world_view.mjs";

const SHADE = "rgba(10, 11, 15, 0.62)";

export function drawCamera(context, lens, picture, store) {
  const { width, height } = lens;
  const { x, y, width: across, height: down } = picture;
  context.fillStyle = SHADE;
  context.fillRect(0, 0, width, y);
  context.fillRect(0, y + down, width, height - y - down);
  context.fillRect(0, y, x, down);
  context.fillRect(x + across, y, width - x - across, down);
  context.strokeStyle = "rgba(228, 232, 240, 0.13)";
  context.lineWidth = 1;
  context.beginPath();
  for (const share of [1 / 3, 2 / 3]) {
    context.moveTo(x + share * across, y);
    context.lineTo(x + share * across, y + down);
    context.moveTo(x, y + share * down);
    context.lineTo(x + across, y + share * down);
  }
  context.stroke();
  context.strokeStyle = store.draft ? COLOURS.picked : COLOURS.target;
  if (store.draft) context.setLineDash([7, 4]);
  context.lineWidth = 2;
  context.strokeRect(x, y, across, down);
  context.setLineDash([]);
  marks(context, lens, store);
}

function marks(context, lens, store) {
  const project = projector(lens);
  const chosen = store.document.keys.filter((key) => store.selection.includes(key.frame));
  for (const key of chosen) {
    const goal = goalInWorld(store.document, store.clip, key);
    const at = goal && project(goal);
    if (at && at.depth > 0) crosshair(context, at, COLOURS.picked);
  }
  drawSubject(context, project, store);
}
