/**
 * The card of a node's report: a light, one headline, the rest folded. It knows nothing of ComfyUI: who embeds it hands
 * in what a run reported, what the node is at while it runs, and why it failed.
 *
 * A report is `{light: "green"|"amber"|"red", headline, table, lines: [{light, text}]}`, as `nodes/reports.py` makes it.
 */

import { element } from "../editor/elements.mjs";
import { STYLE } from "./style.mjs";

export const FOLDED = 36; // CSS pixels: two lines, so that no report changes a node's height
const MOST_UNFOLDED = 164; // as the style has it; more is scrolled
const LIGHTS = {
  none: { sign: "○", said: "" },
  green: { sign: "●", said: "Fine: " },
  amber: { sign: "▲", said: "To be looked at: " },
  red: { sign: "■", said: "Likely wrong: " },
};
const ORDER = ["none", "green", "amber", "red"];
const NOTHING = { light: "none", headline: "No report yet", table: "", lines: [] };

export class ReportCard {
  #abort = new AbortController();
  #report = NOTHING;
  #stage = "";
  #failure = "";
  #unfolded = 0; // CSS pixels by which the card is taller than folded
  #changed;

  /**
   * @param {{resized?: (open: boolean) => void, forward?: (event: Event) => void}} host hears when the card has become
   * taller or shorter, and whether it is unfolded, and gets the wheel where the card has nothing to scroll
   */
  constructor({ resized, forward } = {}) {
    const { signal } = this.#abort;
    this.#changed = resized;
    this.light = element("span", { class: "t2v-card-light", "aria-hidden": "true" });
    this.headline = element("span", { class: "t2v-card-headline" });
    const fold = element("span", { class: "t2v-card-fold", "aria-hidden": "true", text: "›" });
    this.body = element("div", { class: "t2v-card-body", tabindex: "0", role: "group", "aria-label": "The whole report" });
    this.details = element("details", {}, element("summary", {}, this.light, this.headline, fold), this.body);
    this.said = element("span", { class: "t2v-card-said", role: "status" });
    this.element = element("div", { class: "t2v-card", role: "group", "aria-label": "Report" },
      element("style", { text: STYLE }), this.details, this.said);
    this.#listen(signal, forward);
    this.#draw(false);
  }

  get disposed() {
    return this.#abort.signal.aborted;
  }

  /** What is shown, or null before there was a report. */
  get report() {
    return this.#report === NOTHING ? null : this.#report;
  }

  /** In CSS pixels of the card. */
  get height() {
    return FOLDED + this.#unfolded;
  }

  /** @param {object|null} report of a run; null: there was none yet @param {boolean} aloud as news to a screen reader */
  show(report, aloud = true) {
    this.#report = report === null ? NOTHING : plain(report);
    this.#stage = this.#failure = "";
    this.body.replaceChildren(...bodyOf(this.#report));
    this.#draw(aloud);
    this.#measure();
  }

  /** @param {string} text what the node is at; empty: it is at rest */
  at(text) {
    if (this.#stage === text) return;
    this.#stage = text;
    if (text) this.#failure = "";
    this.#draw(false);
  }

  /** @param {string} text the sentence of the error; the report of the last good run stays in the fold */
  fail(text) {
    this.#stage = "";
    this.#failure = text;
    this.#draw(true);
  }

  /** @param {boolean} inPlace the element stays where it is, as a place for another */
  dispose(inPlace = false) {
    this.#abort.abort();
    if (!inPlace) this.element.remove();
  }

  #draw(aloud) {
    const light = this.#failure ? "red" : this.#report.light;
    const headline = this.#stage ? `${this.#stage} …` : this.#failure || this.#report.headline;
    this.element.dataset.light = light;
    this.element.toggleAttribute("data-busy", this.#stage !== "");
    this.light.textContent = LIGHTS[light].sign;
    this.headline.textContent = headline;
    this.headline.title = headline;
    this.headline.setAttribute("aria-label", this.#stage ? headline : LIGHTS[light].said + headline);
    if (aloud) this.said.textContent = LIGHTS[light].said + headline;
  }

  #measure() {
    const body = Math.min(this.body.scrollHeight, MOST_UNFOLDED);
    const unfolded = this.details.open ? body : 0;
    if (unfolded === this.#unfolded) return;
    this.#unfolded = unfolded;
    this.#changed?.(this.details.open);
  }

  #listen(signal, forward) {
    this.details.addEventListener("toggle", () => this.#measure(), { signal });
    for (const name of ["pointerdown", "pointermove", "pointerup"]) {
      this.element.addEventListener(name, (event) => {
        if (event.button === 1 || event.buttons === 4) forward?.(event);
        else event.stopPropagation();
      }, { signal });
    }
    this.element.addEventListener("wheel", (event) => {
      if (this.details.open && this.body.scrollHeight > this.body.clientHeight) event.stopPropagation();
      else forward?.(event);
    }, { signal });
  }
}

/** Several reports of one node, which ran over a list, as one: the worst of them stands above. */
export function joined(reports) {
  if (reports.length < 2) return reports[0] ?? null;
  const all = reports.map(plain);
  const worst = all.reduce((one, other) => (ORDER.indexOf(other.light) > ORDER.indexOf(one.light) ? other : one));
  return { ...worst, table: all.map((one) => one.table).filter(Boolean).join("\n"), lines: all.flatMap((one) => one.lines) };
}

/** A report of unknown origin, such as of a graph's file, with nothing but the fields that are known. */
function plain(report) {
  const light = (name) => (Object.hasOwn(LIGHTS, name) ? name : "green");
  const lines = Array.isArray(report.lines) ? report.lines : [];
  return {
    light: light(report.light),
    headline: String(report.headline ?? ""),
    table: String(report.table ?? ""),
    lines: lines.map((line) => ({ light: light(line?.light), text: String(line?.text ?? "") })),
  };
}

function bodyOf({ headline, table, lines }) {
  const parts = [];
  if (table) parts.push(element(table.includes("\n") ? "pre" : "p", { text: table }));
  const rows = lines.map(({ light, text }) => element("li", { "data-light": light },
    element("span", { class: "t2v-card-light", role: "img", "aria-label": LIGHTS[light].said || "Note: ", text: LIGHTS[light].sign }),
    element("span", { text })));
  if (rows.length > 0) parts.push(element("ul", {}, ...rows));
  return parts.length > 0 ? parts : [element("p", { text: headline })];
}
