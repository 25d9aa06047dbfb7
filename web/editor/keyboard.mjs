/** The editor's keys: one table for what they do and for the sheet that shows them. They count while it has focus. */

import { Flight, roll } from "./flying.mjs";

/** [title, [[keys, words], ...]] as the sheet shows them */
export const SHORTCUTS = [
  ["Time", [
    ["Space", "play or stop"],
    ["← →", "one frame; with Shift ten"],
    ["Home End", "first and last frame"],
    ["↑ ↓", "next and previous key"],
  ]],
  ["Keys", [
    ["I", "set a key here, from the path or from where you flew"],
    ["Delete", "delete the chosen keys"],
    ["Ctrl+A", "choose all keys"],
    ["Drag ◆", "in the world: move the camera; on the timeline: move in time"],
    ["X Y Z", "while dragging: along one axis only"],
    ["Click", "on a thing in a view: moves turn around it"],
    ["Double-click", "on the timeline: a new key; on a point: look at it, orbit it"],
  ]],
  ["Fly the new camera", [
    ["W S A D", "ahead, back, left, right; with Shift faster"],
    ["E Q", "up, down"],
    ["Drag", "in the camera view: look around; with Shift slide"],
    ["Wheel", "in the camera view: ahead and back; with Alt the lens"],
    [", .", "roll to the left and right"],
    ["Esc", "drop the flight, the drag, the choice; then leave the editor"],
  ]],
  ["World view", [
    ["Drag", "go around; with Shift or middle button pan; wheel zooms"],
    ["F", "see everything"],
    ["1 3 7", "from behind, from the right, from the top; with Ctrl from the other side"],
    ["4 6 8 2", "turn in steps"],
    ["5", "parallel or perspective"],
    ["0", "from where the new camera is"],
  ]],
  ["Document", [
    ["Ctrl+Z", "undo; Ctrl+Shift+Z or Ctrl+Y redo"],
    ["Ctrl+C Ctrl+V", "copy and paste the path as JSON text"],
    ["M", "the clip's picture from the new camera, or its points"],
    ["O", "the source frame as onion skin"],
    ["?", "this sheet"],
  ]],
];

const VIEWS = { 1: ["behind", "front"], 3: ["right", "left"], 7: ["top", "bottom"] };
const TURNS = { 4: [-15, 0], 6: [15, 0], 8: [0, 15], 2: [0, -15] };
const FIELDS = new Set(["INPUT", "SELECT", "TEXTAREA"]);
const PRESSES = new Set([" ", "Enter"]);

export class Keyboard {
  #editor;

  constructor(editor, root, signal) {
    this.#editor = editor;
    this.flight = new Flight(editor.store);
    const listen = (name, act) => root.addEventListener(name, act, { signal });
    listen("keydown", this.#down);
    listen("keyup", this.#up);
    listen("focusout", () => this.flight.stop());
    listen("copy", this.#copy);
    listen("paste", this.#paste);
  }

  #inField({ target }) {
    return FIELDS.has(target.tagName) && !target.classList.contains("t2v-keys");
  }

  #up = (event) => {
    this.flight.release(event.code);
    this.flight.fast = event.shiftKey;
    event.stopPropagation();
  };

  #down = (event) => {
    event.stopPropagation();
    if (this.#inField(event)) {
      if (event.key === "Escape") this.#editor.closeOpen();
      if (event.key === "Escape" || (event.key === "Enter" && event.target.tagName !== "TEXTAREA")) this.#editor.focus();
      return;
    }
    if (event.target.tagName === "BUTTON" && PRESSES.has(event.key)) return;
    this.flight.fast = event.shiftKey;
    const handled = event.ctrlKey || event.metaKey ? this.#command(event) : this.#key(event);
    if (handled) event.preventDefault();
  };

  #command(event) {
    const { store } = this.#editor;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) store.undo();
    else if (key === "y" || key === "z") store.redo();
    else if (key === "a") store.select(store.document.keys.map(({ frame }) => frame));
    else return this.#numbered(event);
    return true;
  }

  #key(event) {
    const { store } = this.#editor;
    const act = this.#acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const axis = event.key.toLowerCase();
    if (this.#editor.world.dragging && ["x", "y", "z"].includes(axis)) this.#editor.world.toggleAxis(axis);
    else if (Flight.knows(event.code) && !event.altKey) this.flight.press(event.code);
    else if (event.key.startsWith("Arrow") && event.key.length > 7) {
      store.setFrame(store.frame + (event.shiftKey ? 10 : 1) * (event.key === "ArrowLeft" ? -1 : 1));
    } else if (act) act(event);
    else return this.#numbered(event);
    return true;
  }

  #acts = {
    " ": () => this.#editor.togglePlay(),
    ArrowUp: () => this.#editor.stepKey(1),
    ArrowDown: () => this.#editor.stepKey(-1),
    Home: () => this.#editor.store.setFrame(0),
    End: () => this.#editor.store.setFrame(Infinity),
    i: () => this.#editor.setKey(),
    f: () => this.#editor.frameAll(),
    m: () => this.#editor.togglePicture(),
    o: () => this.#editor.toggleOnion(),
    Delete: () => this.#editor.deleteKeys(),
    Backspace: () => this.#editor.deleteKeys(),
    Escape: () => this.#editor.escape(),
    "?": () => this.#editor.toggleSheet(),
    ",": () => roll(this.#editor.store, -2),
    ".": () => roll(this.#editor.store, 2),
  };

  /** Digits and the number pad alike. */
  #numbered(event) {
    const digit = /^(?:Numpad|Digit)(\d)$/.exec(event.code)?.[1];
    if (digit === undefined || event.shiftKey || event.altKey) return false;
    const other = event.ctrlKey || event.metaKey ? 1 : 0;
    if (digit in VIEWS) this.#editor.namedView(VIEWS[digit][other]);
    else if (other) return false;
    else if (digit in TURNS) this.#editor.turnView(...TURNS[digit]);
    else if (digit === "5") this.#editor.toggleFlat();
    else if (digit === "0") this.#editor.viewFromCamera();
    else return false;
    return true;
  }

  #copy = (event) => {
    event.stopPropagation();
    if (this.#inField(event)) return;
    event.clipboardData.setData("text/plain", this.#editor.copiedText());
    event.preventDefault();
    this.#editor.say("The path is copied as JSON text.");
  };

  #paste = (event) => {
    event.stopPropagation();
    if (this.#inField(event)) return;
    event.preventDefault();
    this.#editor.pasteText(event.clipboardData.getData("text/plain"));
  };
}
