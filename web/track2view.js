/** Where Track2View's widgets meet ComfyUI. This file alone knows it; ComfyUI loads it by itself, the rest on demand. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { CompareView } from "./compare/compare_view.mjs";
import { showNeededSockets } from "./compare/growing_sockets.mjs";
import { Editor } from "./editor/editor.mjs";
import { showFieldsOfChoice } from "./fields_of_choice.mjs";
import { readPairs } from "./math/pairs.mjs";
import { readMeshes } from "./math/picture_mesh.mjs";
import { readPoints } from "./math/points.mjs";
import { PairView } from "./pair_view/pair_view.mjs";
import { Kept } from "./report_card/kept.mjs";
import { ReportCards } from "./report_card/on_nodes.mjs";
import { offerUploads } from "./uploads.mjs";

const PROPERTY = "track2view_editor"; // view state: what is shown, never what is run
const PREVIEW = "track2view_preview"; // the files of a run
const SIZE = [940, 760];
const LOWEST = 430; // of the widget, px
const PAIR_SIZE = [620, 560];
const LOWEST_PAIR = 240;

const COMPARISON = "track2view_comparison"; // the files of the last run, kept with the node
const COMPARE_SIZE = [560, 520];
const COMPARED = [3, 6]; // sockets at least and at most

const RENDERER = "Track2View.PointRenderer";

const kept = new Kept(app);
const cards = new ReportCards({ app, api, kept, forward });

app.registerExtension({
  name: "Track2View",
  settings: [
    {
      id: RENDERER,
      category: ["Track2View", "Camera Path Editor", "Points"],
      name: "How the Camera Path Editor draws points",
      tooltip: "auto is WebGL2 where a graphics card draws it. Editors made after the change follow it.",
      type: "combo",
      options: ["auto", "webgl2", "2d"],
      defaultValue: "auto",
    },
  ],
  setup() {
    for (const [type, made] of Object.entries(globalThis.LiteGraph?.registered_node_types ?? {})) {
      if (type.startsWith("Track2View_")) made.title = withoutSearchWords(made.title);
    }
  },
  nodeCreated(node) {
    if (node.comfyClass?.startsWith("Track2View_")) node.title = withoutSearchWords(node.title);
    if (node.comfyClass === "Track2View_CameraEditor") addCameraEditor(node);
    if (node.comfyClass === "Track2View_PreviewRecamera") addPairView(node);
    if (node.comfyClass === "Track2View_CompareVideos") addComparison(node);
    if (node.comfyClass === "Track2View_CameraPreset") keepOldSubject(node);
    if (!node.comfyClass?.startsWith("Track2View_")) return;
    offerUploads(node, { app, api });
    cards.attach(node);
    showFieldsOfChoice(node, ["settings"]);
  },
});

/** Cores without aliases find a node by its name alone, so that the words stand behind it there; see `bridge/host.py`. */
function withoutSearchWords(title) {
  return String(title ?? "").split(" | ")[0];
}

/** A graph saved before a preset had a subject measures by the median, as it did then. */
function keepOldSubject(node) {
  chain(node, "onConfigure", (saved) => {
    const place = node.widgets?.findIndex((widget) => widget.name === "subject") ?? -1;
    if (place >= 0 && saved?.widgets_values?.length <= place) node.widgets[place].value = "median";
  });
}

function addCameraEditor(node) {
  const text = node.widgets?.find((widget) => widget.name === "document");
  if (!text) return;
  hide(text);
  const host = {
    write(value) {
      text.value = value;
      text.callback?.(value);
      noticed(node);
    },
    saveView(view) {
      remember(node, view);
    },
    forward,
    leave: () => app.canvas?.canvas?.focus(),
  };
  const editor = new Editor(host, app.extensionManager?.setting?.get(RENDERER) ?? "auto");
  node.track2viewEditor = editor;
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => LOWEST };
  const widget = node.addDOMWidget("camera_editor", "track2view_camera_editor", editor.element, options);
  widget.serialize = false; // the options keep it out of prompts, this out of saved graphs
  node.setSize([Math.max(node.size[0], SIZE[0]), Math.max(node.size[1], SIZE[1])]);
  chain(node, "onConfigure", () => {
    editor.load(text.value ?? "");
    const kept = plainCopy(node.properties?.[PROPERTY] ?? {});
    editor.view = kept;
    if (kept.result) bring(editor, kept.result, kept);
  });
  chain(node, "onExecuted", (output) => {
    const result = resultOf(output);
    if (result === null) return;
    remember(node, { result });
    bring(editor, result);
  });
  chain(node, "onRemoved", () => editor.dispose());
}

function addPairView(node) {
  const view = new PairView({ forward });
  node.track2viewPairs = view;
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => LOWEST_PAIR };
  const widget = node.addDOMWidget("pair_view", "track2view_pair_view", view.element, options);
  widget.serialize = false;
  node.setSize([Math.max(node.size[0], PAIR_SIZE[0]), Math.max(node.size[1], PAIR_SIZE[1])]);
  node.hideOutputImages = true; // this widget plays them
  chain(node, "onConfigure", () => {
    const left = kept.of(node, PREVIEW);
    if (left) bringPairs(view, left.video, left.pairs);
  });
  chain(node, "onExecuted", (output) => {
    const video = output?.images?.[0];
    if (!video) return;
    const pairs = output.track2view_pairs?.[0] ?? null;
    kept.keep(node, PREVIEW, { video, pairs });
    bringPairs(view, video, pairs);
  });
  chain(node, "onRemoved", () => view.dispose());
  keepPlayerOut(node);
}

function addComparison(node) {
  const view = new CompareView({ forward });
  node.track2viewComparison = view;
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => LOWEST_PAIR };
  const widget = node.addDOMWidget("comparison_view", "track2view_comparison", view.element, options);
  widget.serialize = false;
  node.setSize([Math.max(node.size[0], COMPARE_SIZE[0]), Math.max(node.size[1], COMPARE_SIZE[1])]);
  const show = (kept) => kept && view.load(fileAddress(kept.video), kept.cells);
  let size = null; // as saved: sockets that were there while the graph loaded may have made the node taller
  // Links of a graph that loads go by the number of a socket and come one by one: all sockets are there until then.
  const grow = () => queueMicrotask(() => node.graph && !app.configuringGraph && showNeededSockets(node, ...COMPARED));
  for (const change of ["onAdded", "onConnectionsChange", "onAfterGraphConfigured"]) chain(node, change, grow);
  chain(node, "onAfterGraphConfigured", () => queueMicrotask(() => size && node.setSize([...size])));
  chain(node, "onConfigure", (saved) => {
    grow();
    size = saved.size ?? null;
    show(node.properties?.[COMPARISON]);
  });
  chain(node, "onExecuted", (output) => {
    const made = output?.track2view_comparison?.[0];
    if (!made) return;
    kept.keep(node, COMPARISON, JSON.parse(made));
    show(node.properties[COMPARISON]);
  });
  chain(node, "onRemoved", () => view.dispose());
}

/** Take a widget out of sight; its maker goes on to give it a size, which is not heard. */
function removeRoom(widget) {
  widget.type = "hidden";
  const none = () => ({ minHeight: 0, maxHeight: 0, minWidth: 0 });
  Object.defineProperty(widget, "computeLayoutSize", { get: () => none, set() {} });
}

async function bringPairs(view, video, pairs) {
  view.load(fileAddress(video));
  if (!pairs) return;
  const answer = await fetch(fileAddress(pairs));
  if (answer.ok && !view.disposed) view.pairs = readPairs(await answer.arrayBuffer());
}

/** Older frontends add a player of theirs. */
function keepPlayerOut(node) {
  const add = node.addCustomWidget;
  node.addCustomWidget = function (widget) {
    if (widget.name === "video-preview") removeRoom(widget);
    return add.call(this, widget);
  };
}

/** The files of a run, as they are kept in the graph. */
function resultOf(output) {
  const points = output?.track2view_points?.[0];
  if (!points) return null;
  const [frames, seed, meshes] = ["frames", "seed", "meshes"].map((name) => output[`track2view_${name}`]?.[0] ?? null);
  return { points, frames, seed, meshes };
}

/** Fetch what a run left and show it. After a restart of the server its files are gone: then a run brings them again. */
async function bring(editor, { points, frames, seed, meshes }, view = null) {
  try {
    const [answer, pictures] = await Promise.all([points, meshes].map((file) => file && fetch(fileAddress(file))));
    if (!answer.ok) return;
    const read = readPoints(await answer.arrayBuffer());
    const shown = pictures?.ok ? readMeshes(await pictures.arrayBuffer()) : null;
    if (editor.disposed) return;
    editor.setResult({ points: read, seed, frames: frames && fileAddress(frames), meshes: shown });
    if (view) editor.view = view;
  } catch (error) {
    editor.say(error.message);
  }
}

function fileAddress({ filename, subfolder = "", type = "temp" }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
}

function remember(node, view) {
  node.properties ??= {};
  node.properties[PROPERTY] = plainCopy({ ...node.properties[PROPERTY], ...view });
}

/** Shared with nothing: not with a copied node, not with the frontend's watched objects. */
function plainCopy(value) {
  return JSON.parse(JSON.stringify(value));
}

/** The graph changed: it is to be drawn, kept, and offered to the graph's own undo. */
function noticed(node) {
  node.graph?.setDirtyCanvas?.(true, true);
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  if (tracker?.captureCanvasState) tracker.captureCanvasState(); // newer frontends call it so
  else tracker?.checkState?.();
}

/** A value that its editor shows needs no field of its own, in either renderer. */
function hide(widget) {
  widget.hidden = true;
  widget.options = { ...widget.options, hidden: true };
  widget.computeSize = () => [0, -4];
}

/** A wheel or a pointer over an editor without focus is the graph's. Vue nodes pass it on themselves. */
function forward(event) {
  if (globalThis.LiteGraph?.vueNodesMode) return;
  const acts = { wheel: "processMouseWheel", pointerdown: "processMouseDown", pointermove: "processMouseMove", pointerup: "processMouseUp" };
  app.canvas?.[acts[event.type]]?.(event);
}

function chain(node, name, act) {
  const before = node[name];
  node[name] = function (...given) {
    const result = before?.apply(this, given);
    act(...given);
    return result;
  };
}
