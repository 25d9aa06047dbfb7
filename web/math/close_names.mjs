/** The nearest of some names: `difflib.get_close_matches(name, known, n=1)` of Python, for hints in errors. */

const CUTOFF = 0.6;

/** @param {string} name @param {readonly string[]} known @returns {string|null} */
export function closeName(name, known) {
  let best = null;
  let bestRatio = CUTOFF;
  for (const candidate of known) {
    const ratio = similarity(candidate, name);
    if (ratio > bestRatio || (ratio === bestRatio && (best === null || candidate > best))) {
      best = candidate;
      bestRatio = ratio;
    }
  }
  return best;
}

/** Twice the signs in matching blocks by the signs in both. @param {string} a @param {string} b */
function similarity(a, b) {
  const signs = a.length + b.length;
  return signs ? (2 * matching(a, b)) / signs : 1;
}

/** @param {string} a @param {string} b @returns {number} */
function matching(a, b) {
  let [size, atA, atB] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    for (let j = 0; j < b.length; j += 1) {
      let run = 0;
      while (i + run < a.length && j + run < b.length && a[i + run] === b[j + run]) run += 1;
      if (run > size) [size, atA, atB] = [run, i, j];
    }
  }
  if (size === 0) return 0;
  return (
    size + matching(a.slice(0, atA), b.slice(0, atB)) + matching(a.slice(atA + size), b.slice(atB + size))
  );
}
