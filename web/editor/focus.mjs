/** Who gets the wheel, the keys and the pointer: the editor while it has the focus, the graph around it otherwise. */

const POINTER = ["pointerdown", "pointermove", "pointerup", "mousedown", "dblclick", "contextmenu"];
const MIDDLE = 1;
const CONTROLS = "input, select, button, textarea, label, .t2v-sheet";

export class Focus {
  #root;
  #keys;
  #forward;
  #left;

  /**
   * @param {HTMLElement} root @param {HTMLElement} keys what takes the focus within it @param {AbortSignal} signal
   * @param {{forward: (event: Event) => void, entered: () => void, left: () => void}} host
   */
  constructor(root, keys, signal, { forward, entered, left }) {
    this.#root = root;
    this.#keys = keys;
    this.#forward = forward;
    this.#left = left;
    for (const name of POINTER) root.addEventListener(name, this.#pointer, { signal });
    root.addEventListener("wheel", this.#wheel, { signal, passive: false });
    root.addEventListener("pointerenter", entered, { signal });
    root.addEventListener("focusin", this.#in, { signal });
    root.addEventListener("focusout", this.#out, { signal });
  }

  get held() {
    return this.#root.contains(document.activeElement);
  }

  take() {
    this.#keys.focus({ preventScroll: true });
  }

  /** Whether a pressed pointer is the editor's; it then has the focus. The middle button pans the graph until then. */
  takes(event) {
    if (!this.held && event.button === MIDDLE) return false;
    this.take();
    return true;
  }

  takesWheel(event) {
    if (!this.held) return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  #pointer = (event) => {
    const graphs = !this.held && (event.button === MIDDLE || event.buttons === 4);
    if (graphs) this.#forward(event);
    else event.stopPropagation();
    if (graphs || event.type !== "mousedown" || event.target.closest(CONTROLS)) return;
    event.preventDefault(); // or the browser gives the focus to nobody
    this.take();
  };

  #wheel = (event) => {
    if (this.held) event.stopPropagation();
    else this.#forward(event);
  };

  #in = () => this.#root.setAttribute("data-capture-wheel", "true"); // what Vue nodes ask for

  #out = (event) => {
    if (this.#root.contains(event.relatedTarget)) return;
    this.#root.removeAttribute("data-capture-wheel");
    this.#left();
  };
}
