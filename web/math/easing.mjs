/** Easing: how a segment's share of the way grows with its share of the time; `cameras/easing.py`. */

/** name -> what it does @type {Readonly<Record<string, string>>} */
export const EASES = Object.freeze({
  linear: "constant speed",
  smooth: "starts and ends at rest",
  ease_in: "starts at rest, ends at full speed",
  ease_out: "starts at full speed, ends at rest",
});

/** Share of the way at a share of the time, both 0..1. @param {number} share @param {string} ease one of EASES */
export function eased(share, ease) {
  switch (ease) {
    case "linear":
      return share;
    case "smooth":
      return share * share * (3 - 2 * share);
    case "ease_in":
      return share * share;
    case "ease_out":
      return share * (2 - share);
    default:
      throw new Error(`ease is '${ease}'; it must be one of ${Object.keys(EASES).join(", ")}.`);
  }
}
