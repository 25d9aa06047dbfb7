/** Numbers in one file: a JSON header and sections for typed arrays; `preview/packed_file.py` says what lies where. */

/**
 * @param {ArrayBuffer} buffer @param {string} kind the four letters it begins with @param {number} version
 * @param {string} again what the user does to get a whole file: "run the Camera Path Editor again"
 * @returns {{header: any, section: (name: string, type: any) => any}} sections are views on the buffer, not copies
 * @throws {Error} one sentence, where the file is none of that kind or cut short
 */
export function readPackedFile(buffer, kind, version, again) {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 8 || String.fromCharCode(...bytes.subarray(0, 4)) !== kind) {
    throw new Error(`The file that came is none of Track2View's; ${again}.`);
  }
  const cutShort = () => new Error(`The file that came is cut short; ${again}.`);
  const body = 8 + new DataView(buffer).getUint32(4, true);
  if (body > bytes.length) throw cutShort();
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, body)));
  if (header.version !== version) {
    throw new Error(`The file that came has version ${header.version} and this page reads ${version}; reload the page.`);
  }
  return {
    header,
    section(name, type) {
      const { offset, count } = header.sections[name];
      if (body + offset + count * type.BYTES_PER_ELEMENT > bytes.length) throw cutShort();
      return new type(buffer, body + offset, count);
    },
  };
}
