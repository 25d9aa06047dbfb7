/** Elements of a page in few words. Text goes in as text, never as markup. */

/** @param {string} tag @param {object} [attributes] `text`, `class`, `on` ({event: listener}), or any attribute */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A button with a name for those who cannot see it, which is also its tooltip. */
export function button(text, label, act, attributes = {}) {
  return element("button", { type: "button", text, title: label, "aria-label": label, on: { click: act }, ...attributes });
}

/** Where a pointer is on an element, in the element's own CSS pixels, at any zoom of the graph around it. */
export function pointIn(target, event) {
  const box = target.getBoundingClientRect();
  return {
    x: ((event.clientX - box.left) * target.clientWidth) / Math.max(box.width, 1e-6),
    y: ((event.clientY - box.top) * target.clientHeight) / Math.max(box.height, 1e-6),
  };
}

/** How many canvas pixels a CSS pixel of an element takes on the screen, with the graph's zoom; 0.5 to 3. */
export function pixelRatio(target) {
  const zoom = target.getBoundingClientRect().width / Math.max(target.clientWidth, 1);
  return Math.min(Math.max((zoom || 1) * (window.devicePixelRatio || 1), 0.5), 3);
}

/** Fit a canvas to its place. @returns {CanvasRenderingContext2D} cleared, in CSS pixels */
export function freshContext(canvas, width, height, ratio) {
  const [across, down] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
