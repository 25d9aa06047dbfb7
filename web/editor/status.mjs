/** The line under the editor: what is wrong, what was just done, or what to do next; and the clip's facts. */

export function tell({ message, facts, status, camera }, store, words) {
  const problem = store.problem || store.sampled.problem;
  const hint = "Run the node once to see your clip's points here. You can draw the path before that.";
  const notes = store.sampled.notes.join(" ");
  message.textContent = problem || words || notes || (store.clip.known ? "Press ? for keys and mouse." : hint);
  message.title = message.textContent;
  status.dataset.kind = problem ? "problem" : "";
  const { known, frames, width, height, fps } = store.clip;
  const assumed = known ? "" : " (assumed)";
  facts.textContent = `${frames} frames, ${width} x ${height}, ${Number(fps.toFixed(2))} fps${assumed}`;
  camera.note.textContent = store.draft ? "In flight: I sets a key here, Esc drops it" : "";
}
