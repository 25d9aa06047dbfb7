/** The source frame laid over the camera pane's picture or under its points, on demand. */

export class OnionSkin {
  #elements;
  #shown = -1;

  state = { on: false, opacity: 0.3 };

  /** @param {{video, tools, onion, opacity}} elements */
  constructor(elements) {
    this.#elements = elements;
  }

  load(address) {
    const { video, tools } = this.#elements;
    if (video.getAttribute("src") === address) return;
    video.src = address;
    this.#shown = -1;
    tools.classList.remove("t2v-hidden");
  }

  set(state) {
    this.state = { ...this.state, ...state };
  }

  refresh({ frame, clip }) {
    const { video, onion, opacity } = this.#elements;
    const on = this.state.on && video.hasAttribute("src");
    video.classList.toggle("t2v-hidden", !on);
    video.style.opacity = String(this.state.opacity);
    onion.setAttribute("aria-pressed", String(this.state.on));
    opacity.classList.toggle("t2v-hidden", !on);
    opacity.value = String(this.state.opacity);
    if (!on || this.#shown === frame) return;
    this.#shown = frame;
    video.currentTime = (frame + 0.5) / clip.fps;
  }

  dispose() {
    const { video } = this.#elements;
    video.removeAttribute("src");
    video.load();
  }
}
