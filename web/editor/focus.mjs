/** Who gets the wheel, the keys and the pointer: the editor while it has the focus, the graph around it otherwise. */

const POINTER = ["pointerdown", "pointermove", "pointerup", "mousedown", "dblclick", "contextmenu"];
const MIDDLE = 1;

export class Focus {
  #root;
  #forward;
  #left;

  /**
   * @param {HTMLElement} root @param {AbortSignal} signal
   * @param {{forward: (event: Event) => void, entered: () => void, left: () => void}} host
   */
  constructor(root, signal, { forward, entered, left }) {
    this.#root = root;
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

  /** Whether a pressed pointer is the editor's; it then has the focus. The middle button pans the graph until then. */
  takes(event) {
    if (!this.held && event.button === MIDDLE) return false;
    this.#root.focus({ preventScroll: true });
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
