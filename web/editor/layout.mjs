/** The editor's elements: two panes on one stage, the timeline, and the rows around them. */

import { createInspector, createPresets, createTransport } from "./chrome.mjs";
import { button, element } from "./elements.mjs";
import { COLOURS, STYLE } from "./style.mjs";
import { NAMED_VIEWS } from "./viewpoint.mjs";

/** Elements by name, and the rows that refresh themselves. */
export function createLayout(editor) {
  // A widget of this class gets the room that is left in ComfyUI's Vue nodes.
  const root = element("div", { class: "t2v-editor widget-expands", role: "application", "aria-label": "Camera path editor" });
  // The focus lies on a text field, for there ComfyUI leaves Ctrl+Z and all other keys alone.
  const keys = element("textarea", { class: "t2v-keys", readonly: true, inputmode: "none", "aria-label": "Camera path editor, keys" });
  const presets = createPresets(editor);
  const transport = createTransport(editor);
  const inspector = createInspector(editor);
  const world = worldPane(editor);
  const camera = cameraPane(editor);
  const stage = element("div", { class: "t2v-stage" }, world.pane, camera.pane);
  const line = element("canvas", { "aria-hidden": "true" });
  const timeline = element("div", { class: "t2v-timeline", role: "group", "aria-label": "Timeline" }, line);
  const message = element("span", { role: "status" });
  const facts = element("span", { class: "t2v-push" });
  facts.style.marginLeft = "auto";
  const status = element("div", { class: "t2v-status" }, message, facts);
  root.append(element("style", { text: STYLE }), keys, presets.row, stage, transport.row, timeline, inspector.row, status);
  return { root, keys, stage, world, camera, timeline, line, status, message, facts, rows: [presets, transport, inspector] };
}

function worldPane(editor) {
  const under = element("canvas", { "aria-hidden": "true", style: "z-index: 0" });
  const over = element("canvas", { "aria-hidden": "true" });
  const flat = button("Flat", "Parallel or perspective view (5)", () => editor.toggleFlat());
  const views = ["behind", "right", "top"].map((name) =>
    button(NAMED_VIEWS[name].label, `View: ${NAMED_VIEWS[name].label}`, () => editor.namedView(name)));
  const tools = element("div", { class: "t2v-tools" }, ...views, flat,
    button("All", "See everything (F)", () => editor.frameAll()));
  const legend = element("div", { class: "t2v-legend" }, swatch(COLOURS.source, "clip's camera"), swatch(COLOURS.target, "new camera"));
  const pane = element("div", { class: "t2v-pane", role: "img", "aria-label": "World: both camera paths and the points" },
    under, over, element("div", { class: "t2v-title", text: "World" }), tools, legend);
  return { pane, under, over, flat };
}

function cameraPane(editor) {
  const over = element("canvas", { "aria-hidden": "true" });
  const video = element("video", { muted: true, playsinline: true, preload: "auto", "aria-hidden": "true", class: "t2v-hidden" });
  video.muted = true;
  const onion = button("Source", "Show the source frame beneath (O)", () => editor.toggleOnion());
  const opacity = element("input", { type: "range", min: 0.05, max: 1, step: 0.05, "aria-label": "How strongly the source frame shows" });
  opacity.addEventListener("input", () => editor.setOnion({ opacity: Number(opacity.value) }));
  const holes = element("div", { class: "t2v-holes t2v-hidden", "aria-hidden": "true" });
  const picture = button("Picture", "Show the clip's picture from there, or its points (M)", () => editor.togglePicture());
  const tools = element("div", { class: "t2v-tools t2v-hidden" }, picture, onion, opacity);
  const note = element("div", { class: "t2v-note" });
  const pane = element("div", { class: "t2v-pane", role: "img", "aria-label": "What the new camera sees" },
    holes, video, over, element("div", { class: "t2v-title", text: "New camera" }), tools, note);
  return { pane, over, holes, video, tools, picture, onion, opacity, note };
}

function swatch(colour, words) {
  const mark = element("i");
  mark.style.background = colour;
  return element("span", {}, mark, words);
}
