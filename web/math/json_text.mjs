/**
 * JSON text read as Python's `json` reads it, with its words and places in errors, and values shown as Python shows
 * them, so that a mistake reads the same in the browser and on the server.
 */

const DEEPEST = 900;
const MOST_DIGITS = 4300;
const ESCAPES = Object.freeze({ '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" });
const WORDS = Object.freeze({ null: null, true: true, false: false, NaN: NaN, Infinity, "-Infinity": -Infinity });

/** What is wrong with a text, in Python's words, and where: an index into it. */
export class JsonError extends Error {
  /** @param {string} message @param {string} text @param {number} index */
  constructor(message, text, index) {
    super(message);
    const lines = text.slice(0, index).split("\n");
    this.line = lines.length;
    this.column = lines[lines.length - 1].length + 1;
  }
}

/** A text that is JSON and yet more than can be read: nesting without end, or a number of thousands of digits. */
export class JsonTooLarge extends Error {}

/** A field that one object has twice. */
export class JsonTwice extends Error {}

/**
 * Objects come without a prototype; whole numbers beyond 2^53 as BigInt.
 * @param {string} text @returns {any}
 * @throws {JsonError|JsonTooLarge|JsonTwice}
 */
export function readJson(text) {
  if (text.startsWith("\ufeff")) throw new JsonError("Unexpected UTF-8 BOM (decode using utf-8-sig)", text, 0);
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.skipSpace();
  if (reader.at < text.length) throw new JsonError("Extra data", text, reader.at);
  return value;
}

class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /** @param {string} message @param {number} [index] @returns {never} */
  fail(message, index = this.at) {
    throw new JsonError(message, this.text, index);
  }

  skipSpace() {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at += 1;
  }

  /** @param {number} depth @returns {any} */
  value(depth) {
    this.skipSpace();
    if (depth > DEEPEST) throw new JsonTooLarge("too deep");
    const sign = this.text[this.at];
    if (sign === '"') return this.string();
    if (sign === "{") return this.object(depth);
    if (sign === "[") return this.array(depth);
    for (const [word, value] of Object.entries(WORDS)) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  number() {
    const found = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
    found.lastIndex = this.at;
    const match = found.exec(this.text);
    if (match === null) return this.fail("Expecting value");
    this.at = found.lastIndex;
    const number = Number(match[0]);
    if (match[1] !== undefined || match[2] !== undefined || Number.isSafeInteger(number)) return number;
    if (match[0].length - (match[0][0] === "-" ? 1 : 0) > MOST_DIGITS) throw new JsonTooLarge("too long a number");
    return BigInt(match[0]);
  }

  string() {
    const begin = this.at;
    let result = "";
    for (this.at += 1; ; ) {
      const sign = this.text[this.at];
      if (sign === undefined) return this.fail("Unterminated string starting at", begin);
      if (sign === '"') break;
      if (sign < " ") return this.fail("Invalid control character at");
      if (sign !== "\\") {
        result += sign;
        this.at += 1;
        continue;
      }
      const escape = this.text[this.at + 1];
      if (escape === undefined) return this.fail("Unterminated string starting at", begin);
      if (escape === "u") {
        const digits = this.text.slice(this.at + 2, this.at + 6);
        if (!/^[0-9a-fA-F]{4}$/.test(digits)) return this.fail("Invalid \\uXXXX escape", this.at + 1);
        result += String.fromCharCode(Number.parseInt(digits, 16));
        this.at += 6;
      } else {
        if (!(escape in ESCAPES)) return this.fail("Invalid \\escape", this.at);
        result += ESCAPES[/** @type {keyof typeof ESCAPES} */ (escape)];
        this.at += 2;
      }
    }
    this.at += 1;
    return result;
  }

  /** @param {number} depth */
  array(depth) {
    const values = [];
    this.at += 1;
    this.skipSpace();
    if (this.text[this.at] === "]") {
      this.at += 1;
      return values;
    }
    for (;;) {
      values.push(this.value(depth + 1));
      this.skipSpace();
      const sign = this.text[this.at];
      if (sign !== "," && sign !== "]") return this.fail("Expecting ',' delimiter");
      this.at += 1;
      if (sign === "]") return values;
    }
  }

  /** @param {number} depth */
  object(depth) {
    const content = Object.create(null);
    let twice = null;
    this.at += 1;
    this.skipSpace();
    if (this.text[this.at] === "}") {
      this.at += 1;
      return content;
    }
    for (;;) {
      this.skipSpace();
      if (this.text[this.at] !== '"') return this.fail("Expecting property name enclosed in double quotes");
      const name = this.string();
      this.skipSpace();
      if (this.text[this.at] !== ":") return this.fail("Expecting ':' delimiter");
      this.at += 1;
      if (name in content) twice ??= name;
      content[name] = this.value(depth + 1);
      this.skipSpace();
      const sign = this.text[this.at];
      if (sign !== "," && sign !== "}") return this.fail("Expecting ',' delimiter");
      this.at += 1;
      if (sign !== "}") continue;
      if (twice !== null) throw new JsonTwice(twice);
      return content;
    }
  }
}

/** A value in few words, however large or deep it is. @param {any} value @returns {string} */
export function shown(value) {
  const size = Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : 0;
  if (size > 8) return `a ${Array.isArray(value) ? "list" : "object"} of ${size} entries`;
  const text = dumped(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

/** @param {any} value @returns {value is Record<string, any>} */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** As Python's json.dumps writes it. @param {any} value @returns {string} */
function dumped(value) {
  if (typeof value === "number") return Number.isNaN(value) ? "NaN" : pythonNumber(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "string") {
    return JSON.stringify(value).replace(
      /[\u007f-\uffff]/g,
      (sign) => (sign === "\u007f" ? sign : `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`),
    );
  }
  if (Array.isArray(value)) return `[${value.map(dumped).join(", ")}]`;
  if (isObject(value)) {
    return `{${Object.entries(value).map(([name, part]) => `${dumped(name)}: ${dumped(part)}`).join(", ")}}`;
  }
  return String(value ?? null);
}

/** A number as Python writes it, whole ones without a point: 1e-05, 0.25, 30. @param {number} value */
export function pythonNumber(value) {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 53) return String(value === 0 ? 0 : value);
  const [digits, power] = value.toExponential().split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) return `${digits}e${exponentText(exponent)}`;
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** A number as Python's format "g" writes it, six digits at most. @param {number} value */
export function formatG(value) {
  const [digits, power] = value.toExponential(5).split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 6) return String(Number(value.toPrecision(6)));
  return `${String(Number(digits))}e${exponentText(exponent)}`;
}

/** @param {number} exponent */
function exponentText(exponent) {
  return `${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}
