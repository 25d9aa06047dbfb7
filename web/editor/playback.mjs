/** Playing: the frame follows the clock, round and round. It draws frames of the screen only while it plays. */

const LONGEST = 6; // seconds that going through once may take

export class Playback {
  #store;
  #request = 0;
  #start = 0;
  #from = 0;
  #once = false;

  constructor(store) {
    this.#store = store;
  }

  get running() {
    return this.#request !== 0;
  }

  /** The frame that is shown when all is played. */
  get end() {
    return this.running && this.#once ? this.#store.clip.frames - 1 : this.#store.frame;
  }

  toggle() {
    if (this.running) {
      this.stop();
      return;
    }
    this.#begin(this.#store.frame, false);
  }

  /** Through the clip once, from its first frame to its last, and no longer than a few seconds. */
  once() {
    this.stop();
    this.#begin(0, true);
  }

  #begin(from, once) {
    this.#start = performance.now();
    [this.#from, this.#once] = [from, once];
    this.#request = requestAnimationFrame(this.#tick);
  }

  stop() {
    cancelAnimationFrame(this.#request);
    this.#request = 0;
  }

  #tick = (now) => {
    const { fps, frames } = this.#store.clip;
    const speed = this.#once ? Math.max(fps, frames / LONGEST) : fps;
    const frame = this.#from + Math.max(0, Math.floor(((now - this.#start) / 1000) * speed));
    this.#request = this.#once && frame >= frames - 1 ? 0 : requestAnimationFrame(this.#tick);
    this.#store.setFrame(this.#once ? Math.min(frame, frames - 1) : frame % frames);
  };
}
