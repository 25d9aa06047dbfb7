/**
 * What runs leave on a node, kept in the graph: in the node's properties, so that it is there after a reload and in the
 * saved file, and in the states of the graph's undo, since undo takes back what the user did and not what a run found.
 */

const SOON = 50; // ms, so that the nodes of a run are written together

export class Kept {
  #app;
  #timer = null;

  /** @param {object} app ComfyUI's */
  constructor(app) {
    this.#app = app;
  }

  /** @returns {object|null} what is kept on a node under a name, shared with nothing */
  of(node, name) {
    const value = node.properties?.[name];
    return value === undefined || value === null ? null : copy(value);
  }

  /** Keep a value, of JSON, on a node. What is kept already changes nothing, or running on every change would never end. */
  keep(node, name, value) {
    node.properties ??= {};
    if (JSON.stringify(node.properties[name]) === JSON.stringify(value)) return;
    node.properties[name] = copy(value);
    const tracker = this.#app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
    if (!tracker) return;
    for (const state of [...(tracker.undoQueue ?? []), ...(tracker.redoQueue ?? []), tracker.activeState]) {
      const saved = nodesOf(state, node).find(({ id, type }) => String(id) === String(node.id) && type === node.type);
      if (saved) saved.properties = { ...saved.properties, [name]: copy(value) };
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => tracker.updateModified?.(), SOON); // the frontend then writes the graph down
  }
}

/** The nodes of a saved state beside which a node stands: of the graph, or of its subgraph. */
function nodesOf(state, node) {
  const subgraphs = state?.definitions?.subgraphs ?? [];
  return (subgraphs.find(({ id }) => id === node.graph?.id) ?? state)?.nodes ?? [];
}

function copy(value) {
  return JSON.parse(JSON.stringify(value));
}
