/** Report cards on ComfyUI's nodes; `track2view.js` hands in its app and api. */

import { ReportCard, joined } from "./card.mjs";
import { outputsOfEarlierRuns } from "./earlier.mjs";

const PROPERTY = "track2view_card";
const CARD = "report_card";
const OUR_ERROR = "Track2ViewError"; // one sentence, with what to do
const LONG = 20_000; // ms
const MARGIN = 5;
const FRAMES = 3; // until the frontend has laid a new node out
const RUNS = 32; // as far back as the server's history is looked through
const BETWEEN = 4; // px that LiteGraph puts between widgets of a fixed size
const STAGE_TEXT = "$$node-text-preview"; // the frontend's own widget, which would come and go below the card, or stay

export class ReportCards {
  #app;
  #api;
  #kept;
  #forward;
  #places = new Map(); // id of a node that is gone -> its card
  #cached = []; // nodes of the run whose results the server had

  /** @param {{app, api, kept: import("./kept.mjs").Kept, forward: (event: Event) => void}} host */
  constructor({ app, api, kept, forward }) {
    this.#app = app;
    this.#api = api;
    this.#kept = kept;
    this.#forward = forward;
    api.addEventListener("progress_text", ({ detail }) => this.#cardAt(detail?.nodeId)?.at(detail.text));
    api.addEventListener("execution_error", ({ detail }) => {
      this.#rest();
      const node = this.#nodeAt(detail?.node_id);
      const sentence = String(detail?.exception_message ?? "").trim();
      node?.track2viewCard?.fail(sentence);
      if (!String(detail?.exception_type).endsWith(OUR_ERROR)) return;
      const summary = node?.title ?? "Track2View"; // newer frontends say no more than that a node failed
      app.extensionManager?.toast?.add?.({ severity: "error", summary, detail: sentence, life: LONG });
    });
    for (const name of ["execution_success", "execution_interrupted"]) api.addEventListener(name, () => this.#rest());
    api.addEventListener("execution_cached", ({ detail }) => (this.#cached = (detail?.nodes ?? []).map(String)));
    api.addEventListener("execution_success", () => this.#recall());
  }

  /** A card on a node that reports, which is told by its outputs. */
  attach(node) {
    if (!node.outputs?.some(({ name }) => name === "report" || name === "file")) return;
    const card = new ReportCard({ forward: this.#forward, resized: makeRoom(node) });
    node.track2viewCard = card;
    chooseRoom(node, () => card.height + 2 * MARGIN - BETWEEN);
    const options = { serialize: false, hideOnZoom: false, margin: MARGIN };
    const widget = node.addDOMWidget(CARD, "track2view_report_card", card.element, options);
    widget.serialize = false; // the options keep it out of prompts, this out of saved graphs
    const [width, tall] = node.computeSize();
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], tall)]);
    chain(node, "onConfigure", () => card.show(this.#kept.of(node, PROPERTY), false));
    chain(node, "onExecuted", (output) => {
      const report = reportOf(output, node.comfyClass);
      if (report === null) return;
      card.show(report);
      this.#kept.keep(node, PROPERTY, report);
    });
    chain(node, "onAdded", () => this.#mount(node, card));
    chain(node, "onRemoved", () => {
      card.dispose(Boolean(globalThis.LiteGraph?.vueNodesMode));
      this.#places.set(String(node.id), card.element);
    });
  }

  /**
   * The first Vue nodes go on to show the widgets of a node that is gone where another of its number has come, as after
   * undo: then the new card takes the old one's place.
   */
  async #mount(node, card) {
    for (let frame = 0; frame < FRAMES; frame += 1) await new Promise(requestAnimationFrame);
    const place = this.#places.get(String(node.id));
    this.#places.delete(String(node.id));
    if (place?.isConnected && !card.element.isConnected && !card.disposed) place.replaceWith(card.element);
  }

  /** What nodes without a report reported when the server made what it now had at hand. */
  async #recall() {
    const silent = this.#cached.filter((id) => this.#nodeAt(id)?.track2viewCard?.report === null);
    this.#cached = [];
    if (silent.length === 0) return;
    const [{ output }, answer] = await Promise.all([this.#app.graphToPrompt(), this.#api.fetchApi(`/history?max_items=${RUNS}`)]);
    if (!answer.ok) return;
    const earlier = outputsOfEarlierRuns(output, silent, Object.values(await answer.json()));
    for (const [id, sent] of earlier) this.#nodeAt(id)?.onExecuted?.(sent);
  }

  #rest() {
    for (const node of everyNode(this.#app.rootGraph ?? this.#app.graph)) node.track2viewCard?.at("");
  }

  /** @param {string|undefined} name of a node as the server says it: 5, or 3:5 for node 5 in the subgraph of node 3 */
  #nodeAt(name) {
    let graph = this.#app.rootGraph ?? this.#app.graph;
    let node = null;
    for (const part of String(name ?? "").split(":")) {
      node = graph?.getNodeById?.(part) ?? graph?.getNodeById?.(Number(part));
      graph = node?.subgraph;
    }
    return node;
  }

  #cardAt(name) {
    return this.#nodeAt(name)?.track2viewCard;
  }
}

/** The report that a run sent to a node of this class; null where it sent none, or the node is of another graph. */
function reportOf(output, comfyClass) {
  const sent = (output?.track2view_card ?? []).map((text) => JSON.parse(text));
  const own = sent.filter(({ node }) => node === comfyClass);
  return joined(own);
}

/** An unfolded card makes its node as tall as it needs, and folded again gives the height back. */
function makeRoom(node) {
  let folded = null;
  return (open) => {
    folded ??= node.size[1];
    node.setSize([node.size[0], open ? Math.max(folded, node.computeSize()[1]) : folded]);
    if (!open) folded = null;
    node.graph?.setDirtyCanvas?.(true, true);
  };
}

/** The card takes its own height and no more; it says what its node is at, so that the stage text takes none at all. */
function chooseRoom(node, height) {
  const add = node.addCustomWidget;
  node.addCustomWidget = function (widget) {
    if (widget.name === CARD) setRoom(widget, () => [0, height()]);
    if (widget.name === STAGE_TEXT) {
      widget.type = "hidden";
      widget.hidden = true;
      widget.options = { ...widget.options, hidden: true };
      setRoom(widget, () => [0, -BETWEEN]);
    }
    return add.call(this, widget);
  };
}

/** A fixed size; a layout size, which would share the node's spare height, is not heard, also when given later. */
function setRoom(widget, size) {
  widget.computeSize = size;
  Object.defineProperty(widget, "computeLayoutSize", { get: () => undefined, set() {} });
}

function* everyNode(graph) {
  for (const node of graph?.nodes ?? graph?._nodes ?? []) {
    yield node;
    if (node.subgraph) yield* everyNode(node.subgraph);
  }
}

function chain(node, name, act) {
  const before = node[name];
  node[name] = function (...given) {
    const result = before?.apply(this, given);
    act(...given);
    return result;
  };
}
