/** What opens over the editor: the menu on a point, the sheet of shortcuts, the field to paste into. */

import { button, element } from "./elements.mjs";
import { SHORTCUTS } from "./keyboard.mjs";

/** @param {[string, string, () => void][]} entries text, name, act @param {() => void} done gives the focus back */
export function openMenu(root, at, title, entries, done) {
  const close = () => menu.remove();
  const chosen = (act) => () => {
    close();
    done();
    act();
  };
  const rows = entries.map(([text, label, act]) => button(text, label, chosen(act), { role: "menuitem" }));
  const menu = element("div", { class: "t2v-menu", role: "menu", "aria-label": title }, element("strong", { text: title }), ...rows);
  root.append(menu);
  menu.style.left = `${Math.max(4, Math.min(at.x, root.clientWidth - menu.offsetWidth - 6))}px`;
  menu.style.top = `${Math.max(4, Math.min(at.y, root.clientHeight - menu.offsetHeight - 6))}px`;
  rows[0].focus();
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.stopPropagation();
    event.preventDefault();
    const index = rows.indexOf(document.activeElement);
    rows[(index + step + rows.length) % rows.length].focus();
  });
  return { close, element: menu };
}

export function openSheet(root, closed) {
  const close = () => {
    sheet.remove();
    closed();
  };
  const sections = SHORTCUTS.map(([title, rows]) =>
    element("section", {}, element("h4", { text: title }), element("dl", {}, ...rows.flatMap(([keys, words]) => [
      element("dt", { text: keys }),
      element("dd", { text: words }),
    ]))),
  );
  const sheet = element("div", { class: "t2v-sheet", role: "dialog", "aria-label": "Keyboard and mouse" },
    element("div", { class: "t2v-columns" }, ...sections), button("Close", "Close the shortcuts", close));
  root.append(sheet);
  return { close, element: sheet };
}

/** A field for JSON text, where the page may not read the clipboard itself, or to copy from by hand. */
export function openText(root, title, text, accept, done) {
  const close = () => sheet.remove();
  const field = element("textarea", { "aria-label": title, style: "width: 100%; height: 120px; display: block; margin: 6px 0" });
  field.value = text;
  const take = () => {
    close();
    done();
    accept?.(field.value);
  };
  const sheet = element("div", { class: "t2v-sheet", role: "dialog", "aria-label": title },
    element("strong", { text: title }), field,
    element("div", { class: "t2v-row" }, button(accept ? "Use this path" : "Close", title, take),
      accept ? button("Cancel", "Cancel", close) : null));
  root.append(sheet);
  field.select();
  return { close, element: sheet };
}
