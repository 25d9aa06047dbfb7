/** The editor's buttons and fields around the panes. They say what they do and leave the doing to the editor. */

import { KEY_EASES, SEGMENT } from "../math/document.mjs";
import { PRESETS } from "../math/presets.mjs";
import { button, element } from "./elements.mjs";

const WAYS = { left: "←", right: "→", up: "↑", down: "↓", in: "in", out: "out" };
const EASE_LABELS = {
  smooth: "smooth, without a stop",
  linear: "straight, constant speed",
  hold: "hold, then jump",
  segment_linear: "constant speed",
  segment_smooth: "slow, fast, slow",
  segment_ease_in: "slow start",
  segment_ease_out: "slow end",
};
export const MOST_AMOUNT = 3;

/** Presets of one family share a chip: "Pan ← →". */
export function presetFamilies(presets = PRESETS) {
  const families = new Map();
  for (const { name, label } of presets) {
    const [, family, way] = /^(.*?)(?:_(left|right|up|down|in|out))?$/.exec(name);
    const title = way ? label.slice(0, label.lastIndexOf(" ")) : label;
    families.set(family, [...(families.get(family) ?? []), { name, title, way, label }]);
  }
  return [...families.values()];
}

export function createPresets(editor) {
  const chips = presetFamilies().map((family) => {
    if (family.length === 1 && !family[0].way) {
      const { name, label } = family[0];
      const choose = button(label, `${label}: replace the path`, () => editor.choosePreset(name), { "data-preset": name });
      choose.style.paddingLeft = "9px";
      return element("span", { class: "t2v-chip" }, choose);
    }
    const ways = family.map(({ name, label, way }) =>
      button(WAYS[way], `${label}: replace the path`, () => editor.choosePreset(name), { "data-preset": name }));
    return element("span", { class: "t2v-chip", role: "group", "aria-label": family[0].title },
      element("span", { text: family[0].title }), ...ways);
  });
  const range = element("input", { type: "range", min: 0, max: MOST_AMOUNT, step: 0.05, "aria-label": "Amount of the move" });
  const number = element("input", { type: "number", min: -20, max: 20, step: 0.05, "aria-label": "Amount of the move, as a number" });
  number.style.width = "56px";
  range.addEventListener("input", () => editor.changeAmount(Number(range.value), false));
  range.addEventListener("change", () => editor.changeAmount(Number(range.value), true));
  number.addEventListener("change", () => editor.changeAmount(Number(number.value), true));
  const row = element("div", { class: "t2v-row" }, element("div", { class: "t2v-chips" }, ...chips),
    element("label", { title: "How far a preset goes: 1 is its nominal move" }, "Amount", range, number));
  const refresh = ({ preset }) => {
    for (const chip of row.querySelectorAll("[data-preset]")) {
      chip.setAttribute("aria-pressed", String(preset.active && chip.dataset.preset === preset.name));
    }
    range.value = String(Math.min(Math.max(preset.amount, 0), MOST_AMOUNT));
    if (document.activeElement !== number) number.value = String(preset.amount);
  };
  return { row, refresh };
}

export function createTransport(editor) {
  const play = button("▶", "Play or stop (Space)", () => editor.togglePlay());
  play.style.minWidth = "30px";
  const frame = element("span", { text: "" });
  frame.style.cssText = "min-width: 86px; font-variant-numeric: tabular-nums";
  const key = button("◆ Set key", "Set a key at this frame (I)", () => editor.setKey());
  key.style.minWidth = "138px"; // its words change in flight, and nothing is to move then
  const base = element("select", { "aria-label": "What the path starts from" },
    element("option", { value: "source", text: "moving camera" }),
    element("option", { value: "first_frame", text: "first frame" }));
  base.addEventListener("change", () => editor.changeBase(base.value));
  const subject = element("select", { "aria-label": "What moves turn around" },
    element("option", { value: "auto", text: "auto" }), element("option", { value: "ahead", text: "ahead" }),
    element("option", { value: "point", text: "clicked", disabled: true }));
  subject.addEventListener("change", () => editor.changeSubject({ ...editor.store.about, how: subject.value }));
  const undo = button("Undo", "Undo (Ctrl+Z)", () => editor.store.undo());
  const redo = button("Redo", "Redo (Ctrl+Shift+Z)", () => editor.store.redo());
  const row = element("div", { class: "t2v-row" },
    button("◀◆", "Previous key (↓)", () => editor.stepKey(-1)), play, button("◆▶", "Next key (↑)", () => editor.stepKey(1)),
    frame, key,
    element("label", { title: "What moves turn around and measure by: auto is what is near, central or moving; or click a thing in a view" },
      "Subject", subject),
    element("label", { title: "What the keys are relative to" }, "Rides on", base),
    element("span", { class: "t2v-push" }), undo, redo,
    button("Copy", "Copy the path as JSON text (Ctrl+C)", () => editor.copy()),
    button("Paste", "Paste a path from JSON text (Ctrl+V)", () => editor.paste()),
    button("?", "Keyboard and mouse (?)", () => editor.toggleSheet()));
  const refresh = ({ store, playing }) => {
    play.textContent = playing ? "■" : "▶";
    frame.textContent = `Frame ${store.frame} / ${store.clip.frames - 1}`;
    key.textContent = store.draft ? "◆ Set key from flight" : "◆ Set key";
    key.setAttribute("aria-pressed", String(store.draft !== null));
    undo.disabled = !store.canUndo;
    redo.disabled = !store.canRedo;
    base.value = store.document.base;
    subject.value = store.about.how;
    subject.options[2].disabled = store.about.track === undefined;
  };
  return { row, refresh };
}

function easeOptions(ofSegment) {
  const names = KEY_EASES.filter((name) => name.startsWith(SEGMENT) === ofSegment);
  return names.map((name) => element("option", { value: name, text: EASE_LABELS[name] ?? name }));
}

/** The chosen keys' own numbers. */
export function createInspector(editor) {
  const what = element("span", { class: "t2v-what" });
  const hint = element("span", { text: "" });
  const field = (label, name, title, attributes, read, write) => {
    const input = element("input", { type: "number", "aria-label": title, ...attributes });
    const set = (final) => Number.isFinite(input.valueAsNumber) && editor.changeField(name, write(input.valueAsNumber), final);
    input.addEventListener("input", () => set(false));
    input.addEventListener("change", () => set(true));
    const shown = (key) => document.activeElement !== input && (input.value = String(Number(read(key).toFixed(3))));
    return { input, shown, label: element("label", { title }, label, input) };
  };
  const same = (value) => value;
  const roll = field("Roll °", "roll", "Roll in degrees, clockwise", { step: 1 }, (key) => key.roll, same);
  const focal = field("Lens ×", "focal", "Focal length, as a factor on the clip's own", { step: 0.05, min: 0.1, max: 20 },
    (key) => key.focal, (value) => Math.min(Math.max(value, 0.1), 20));
  const ease = element("select", { "aria-label": "Speed from this key to the next" },
    ...easeOptions(false), element("optgroup", { label: "This stretch by itself" }, ...easeOptions(true)));
  ease.addEventListener("change", () => editor.changeField("ease", ease.value, true));
  const aim = element("select", { "aria-label": "Where the camera looks" },
    element("option", { value: "own", text: "its own direction" }), element("option", { value: "point", text: "a point" }));
  aim.addEventListener("change", () => editor.changeAim(aim.value));
  const remove = button("Delete", "Delete the chosen keys (Delete)", () => editor.deleteKeys());
  const parts = [roll.label, focal.label, element("label", { title: "Of the way to the next key" }, "Speed to next", ease),
    element("label", { title: "Double-click a point in a view to look at it" }, "Looks at", aim), remove];
  const row = element("div", { class: "t2v-row t2v-inspector" }, what, hint, ...parts);
  const refresh = ({ store }) => {
    const chosen = store.document.keys.filter((key) => store.selection.includes(key.frame));
    const [key] = chosen;
    for (const part of parts) part.classList.toggle("t2v-hidden", !key);
    hint.classList.toggle("t2v-hidden", !!key);
    what.textContent = key ? (chosen.length > 1 ? `${chosen.length} keys` : `Key at ${Number(key.frame.toFixed(2))}`) : "No key chosen";
    hint.textContent = store.document.keys.length > 0
      ? "Click a ◆ to choose it, drag it to move it; or fly in the camera view and press I."
      : "Choose a move above, or fly in the camera view (W A S D, drag to look) and press I to set a key.";
    if (!key) return;
    roll.shown(key);
    focal.shown(key);
    ease.value = key.ease;
    aim.value = key.look_at ? "point" : "own";
    aim.options[1].text = key.look_at === "subject" ? "a point, followed" : "a point";
    aim.options[1].disabled = !key.look_at;
  };
  return { row, refresh };
}
