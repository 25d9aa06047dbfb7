/** A node that shows as many of its numbered sockets as are linked, and one more; the server knows them all. */

const NUMBERED = /^video_(\d+)$/;

/**
 * @param {object} node of LiteGraph
 * @param {number} least sockets that are always there
 * @param {number} most sockets that the server knows
 */
export function showNeededSockets(node, least, most) {
  const number = (socket) => Number(NUMBERED.exec(socket.name)?.[1] ?? 0);
  const linked = node.inputs.filter((socket) => socket.link != null).map(number);
  const wanted = Math.min(Math.max(least, ...linked.map((at) => at + 1)), most);
  for (let at = node.inputs.length - 1; at >= 0; at -= 1) {
    if (number(node.inputs[at]) > wanted) node.removeInput(at);
  }
  const there = new Set(node.inputs.map(number));
  for (let at = 1; at <= wanted; at += 1) if (!there.has(at)) node.addInput(`video_${at}`, "VIDEO");
}
