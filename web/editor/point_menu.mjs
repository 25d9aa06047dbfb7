/** What can be done with a point of the scene, as entries of a menu: text, name, act. */

import { lookingAt, orbiting } from "./edits.mjs";

/** @param {import("./editor.mjs").Editor} editor @param {import("./scene.mjs").Scene} scene @param {number} index */
export function pointEntries(editor, scene, index) {
  const { store } = editor;
  const follow = scene.moves(index) ? " and follow it" : "";
  const act = (change, frames) => () => {
    const track = scene.track(index, store.clip.frames);
    editor.edit(() => change(store.document, store.clip, frames, track));
  };
  const { selection } = store;
  const some = selection.length > 0 && selection.length < store.document.keys.length;
  return [
    [`Look at it${follow}`, `Look at this point${follow} at every key`, act(lookingAt, [])],
    ...(some ? [["Look at it at the chosen keys", "Look at this point at the chosen keys", act(lookingAt, selection)]] : []),
    [`Orbit it${follow}`, `Go around this point${follow}`, () => editor.orbitSubject(act(orbiting, []))],
    ["Centre the view on it", "Centre the world view on this point",
      () => editor.setViewpoint({ ...editor.viewpoint, pivot: store.target?.world ?? scene.point(index) })],
  ];
}
