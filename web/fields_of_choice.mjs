/** Of a node with one input for each setting of each choice, only those of the choice at hand are shown. */

const TABLE = "track2view_fields"; // of a combo's options: choice -> its fields

const NO_ROOM = [0, -4];

/**
 * @param {object} node of ComfyUI
 * @param {string[]} [unlessEmpty] widgets that stay in sight where they hold something, as in graphs of older versions
 */
export function showFieldsOfChoice(node, unlessEmpty = []) {
  const inputs = node.constructor.nodeData?.input ?? {};
  const [name, options] = Object.entries({ ...inputs.required, ...inputs.optional })
    .map(([name, [, options]]) => [name, options]).find(([, options]) => options?.[TABLE]) ?? [];
  const combo = node.widgets?.find((widget) => widget.name === name);
  if (!combo) return;
  const table = options[TABLE];
  const all = new Set(Object.values(table).flat());
  const update = () => {
    const shown = table[combo.value];
    if (!shown || linked(node, name)) return setShown(node, () => true);
    setShown(node, (widget) => {
      if (unlessEmpty.includes(widget.name)) return widget.value !== "" || linked(node, widget.name);
      return !all.has(widget.name) || shown.includes(widget.name) || linked(node, widget.name);
    });
  };
  chain(combo, "callback", update);
  chain(node, "onConfigure", update);
  chain(node, "onConnectionsChange", update);
  update();
}

function linked(node, name) {
  const input = node.inputs?.find(({ widget }) => widget?.name === name);
  return input?.link !== null && input?.link !== undefined;
}

function setShown(node, isShown) {
  let changed = false;
  for (const widget of node.widgets) {
    if (widget.name.startsWith("$$") || widget.element) continue; // not of the schema
    const hidden = !isShown(widget);
    if (Boolean(widget.hidden) === hidden) continue;
    widget.hidden = hidden;
    widget.options = { ...widget.options, hidden }; // what Vue's nodes look at
    if (hidden) widget.computeSize = () => NO_ROOM; // older frontends leave its place empty
    else delete widget.computeSize;
    changed = true;
  }
  if (!changed) return;
  const [, least] = node.computeSize();
  node.setSize([node.size[0], least]);
  if (looksOnce()) setTimeout(() => node.graph?.onNodeAdded?.(node));
  node.graph?.setDirtyCanvas?.(true, true);
}

/** The first Vue nodes look at a widget's options when the node is added, and not again. */
function looksOnce() {
  const [major, minor] = String(globalThis.__COMFYUI_FRONTEND_VERSION__ ?? "").split(".").map(Number);
  return globalThis.LiteGraph?.vueNodesMode && major === 1 && minor < 40;
}

function chain(target, name, act) {
  const before = target[name];
  target[name] = function (...given) {
    const result = before?.apply(this, given);
    act();
    return result;
  };
}
