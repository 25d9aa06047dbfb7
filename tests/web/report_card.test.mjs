/** Report cards without a page: several reports as one, and what is kept in the states of the graph's undo. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { joined } from "../../web/report_card/card.mjs";
import { outputsOfEarlierRuns } from "../../web/report_card/earlier.mjs";
import { Kept } from "../../web/report_card/kept.mjs";

const report = (light, text) => ({ light, headline: text, table: "", lines: [{ light, text }] });

test("of several reports the worst stands above, and all lines below", () => {
  assert.equal(joined([]), null);
  const one = joined([report("green", "a"), report("red", "b"), report("amber", "c")]);
  assert.deepEqual([one.light, one.headline, one.lines.map(({ text }) => text).join("")], ["red", "b", "abc"]);
  assert.deepEqual(joined([report("purple", 7), report("none", null)]).lines.map(({ light }) => light), ["green", "none"]);
});

test("the report of a result that was at hand is the latest of the same node, made from the same", () => {
  const graph = (points, first = "1", second = "2") => ({
    [first]: { class_type: "Clip", inputs: { size: [128, 64] }, _meta: { title: "any" } },
    [second]: { class_type: "Track", inputs: { points, image: [first, 0] } },
  });
  const run = (asked, output) => ({ prompt: [0, "id", asked], outputs: output });
  const history = [run(graph(5), { 2: "old" }), run(graph(5, "7", "9"), { 9: "new" }), run(graph(6), { 1: "clip", 2: "six" })];
  const found = (asked) => Object.fromEntries(outputsOfEarlierRuns(asked, ["1", "2"], history));
  assert.deepEqual(found(graph(5)), { 1: "clip", 2: "new" });
  assert.deepEqual(found(graph(6)), { 1: "clip", 2: "six" });
  assert.deepEqual(found(graph(7)), { 1: "clip" });
});

test("what a run left is in every state that undo may bring back, and written down once", async () => {
  const state = (nodes, subgraphs = []) => ({ nodes, definitions: { subgraphs } });
  const saved = (id, type = "A") => ({ id, type, properties: { other: 1 } });
  const inner = state([saved(5)], [{ id: "sub", nodes: [saved(5), saved(6)] }]);
  let written = 0;
  const tracker = {
    undoQueue: [state([saved(5), saved(6)]), state([saved(5, "B")]), inner],
    redoQueue: [state([])],
    activeState: state([saved("5")]),
    updateModified: () => (written += 1),
  };
  const kept = new Kept({ extensionManager: { workflow: { activeWorkflow: { changeTracker: tracker } } } });
  const node = { id: 5, type: "A", properties: {}, graph: { id: "root" } };
  const value = { text: "x" };
  kept.keep(node, "card", value);
  kept.keep(node, "card", { text: "x" });
  value.text = "changed later";
  const found = [...tracker.undoQueue, tracker.activeState].map(({ nodes }) => nodes[0].properties);
  assert.deepEqual(found, [{ other: 1, card: { text: "x" } }, { other: 1 }, { other: 1, card: { text: "x" } }, { other: 1, card: { text: "x" } }]);
  assert.equal(inner.definitions.subgraphs[0].nodes[0].properties.card, undefined);
  kept.keep({ id: 6, type: "A", properties: {}, graph: { id: "sub" } }, "card", 1);
  assert.equal(inner.definitions.subgraphs[0].nodes[1].properties.card, 1);
  assert.deepEqual(kept.of(node, "card"), { text: "x" });
  await new Promise((done) => setTimeout(done, 120));
  kept.keep(node, "card", { text: "x" });
  await new Promise((done) => setTimeout(done, 120));
  assert.equal(written, 1);
});
