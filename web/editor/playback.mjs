/** Playing: the frame follows the clock, round and round. It draws frames of the screen only while it plays. */

export class Playback {
  #store;
  #request = 0;
  #start = 0;
  #from = 0;

  constructor(store) {
    this.#store = store;
  }

  get running() {
    return this.#request !== 0;
  }

  toggle() {
    if (this.running) {
      this.stop();
      return;
    }
    this.#start = performance.now();
    this.#from = this.#store.frame;
    this.#request = requestAnimationFrame(this.#tick);
  }

  stop() {
    cancelAnimationFrame(this.#request);
    this.#request = 0;
  }

  #tick = (now) => {
    const { fps, frames } = this.#store.clip;
    const passed = Math.max(0, Math.floor(((now - this.#start) / 1000) * fps));
    this.#request = requestAnimationFrame(this.#tick);
    this.#store.setFrame((this.#from + passed) % frames);
  };
}
