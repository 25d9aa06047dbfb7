/** The editor's look. Chrome takes ComfyUI's colours; the panes are dark as in any 3D program, so that points show. */

export const COLOURS = {
  ground: "#13161c",
  grid: "#303642",
  faint: "#7c8494",
  text: "#e4e8f0",
  source: "#58a6ff",
  target: "#ffa03c",
  good: "#3ebe96",
  fair: "#f0b429",
  poor: "#eb4e52",
  subject: "#f26bd5",
  picked: "#ffffff",
  axes: { x: "#ff6b6b", y: "#6bdc78", z: "#5aa9ff" },
};

export const STYLE = `
.t2v-editor { --t2v-back: var(--comfy-menu-bg, #2b2d31); --t2v-field: var(--comfy-input-bg, #1e2024);
  --t2v-text: var(--input-text, #dddfe4); --t2v-soft: var(--descrip-text, #9aa0ab);
  --t2v-line: var(--border-color, #46494f); --t2v-accent: ${COLOURS.target};
  box-sizing: border-box; position: relative; display: flex; flex-direction: column; gap: 5px; width: 100%;
  height: 100%; min-height: 400px; padding: 6px; overflow: hidden; border-radius: 8px; background: var(--t2v-back);
  color: var(--t2v-text); font: 12px/1.35 system-ui, "Segoe UI", sans-serif; outline: 1px solid transparent;
  user-select: none; -webkit-user-select: none; }
.t2v-editor:focus-within { outline: 1.5px solid var(--t2v-accent); outline-offset: -1px; }
.t2v-editor * { box-sizing: border-box; }
.t2v-keys { position: absolute; left: 0; top: 0; width: 1px; height: 1px; padding: 0; border: 0; opacity: 0; resize: none;
  pointer-events: none; }
.t2v-row { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 6px; flex: none; min-width: 0; }
.t2v-row:has(> .t2v-chips) { flex-wrap: nowrap; }
.t2v-row > .t2v-push { margin-left: auto; }
.t2v-chips { display: flex; flex-wrap: wrap; gap: 4px; flex: 1; min-width: 0; }
.t2v-chip { display: inline-flex; align-items: stretch; border: 1px solid var(--t2v-line); border-radius: 999px;
  overflow: hidden; background: var(--t2v-field); }
.t2v-chip > span { padding: 2px 2px 2px 9px; color: var(--t2v-soft); }
.t2v-editor button { font: inherit; color: var(--t2v-text); border: 1px solid var(--t2v-line); border-radius: 6px;
  background: var(--t2v-field); padding: 2px 8px; cursor: pointer; min-height: 22px; white-space: nowrap; }
.t2v-editor button:hover:not(:disabled) { border-color: var(--t2v-accent); }
.t2v-editor button:focus-visible, .t2v-editor select:focus-visible, .t2v-editor input:focus-visible {
  outline: 2px solid var(--t2v-accent); outline-offset: 0; }
.t2v-editor button:disabled { opacity: 0.4; cursor: default; }
.t2v-editor button[aria-pressed="true"] { background: var(--t2v-accent); border-color: var(--t2v-accent); color: #1b1409; }
.t2v-chip > button { border: 0; border-radius: 0; background: none; padding: 2px 7px; min-height: 20px; }
.t2v-chip > button:hover:not([aria-pressed="true"]) { background: color-mix(in srgb, var(--t2v-accent) 25%, transparent); }
.t2v-chip > button:last-child { padding-right: 9px; }
.t2v-editor input, .t2v-editor select { font: inherit; color: var(--t2v-text); background: var(--t2v-field);
  border: 1px solid var(--t2v-line); border-radius: 5px; padding: 1px 4px; height: 22px; min-width: 0; }
.t2v-editor input[type="number"] { width: 64px; }
.t2v-editor input[type="range"] { padding: 0; width: 90px; accent-color: var(--t2v-accent); border: 0; background: none; }
.t2v-editor label { display: inline-flex; align-items: center; gap: 4px; color: var(--t2v-soft); white-space: nowrap; }
.t2v-stage { position: relative; flex: 1; min-height: 120px; display: flex; gap: 4px; overflow: hidden;
  border-radius: 6px; background: var(--t2v-line); }
.t2v-pane { position: relative; flex: 1; min-width: 0; overflow: hidden; background: ${COLOURS.ground}; cursor: default;
  touch-action: none; }
.t2v-pane canvas, .t2v-stage > canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.t2v-stage > canvas { pointer-events: none; z-index: 1; }
.t2v-pane > canvas { z-index: 2; }
.t2v-pane > video { position: absolute; object-fit: fill; z-index: 1; pointer-events: none; }
.t2v-pane > .t2v-picture { z-index: 0; pointer-events: none; }
.t2v-holes { position: absolute; z-index: 0; pointer-events: none;
  background: repeating-linear-gradient(45deg, #3b4252 0 3px, #1b1f28 3px 10px); }
.t2v-title { position: absolute; left: 8px; top: 6px; z-index: 3; pointer-events: none; color: ${COLOURS.text};
  font-weight: 600; text-shadow: 0 0 3px #000, 0 1px 2px #000; }
.t2v-title small { font-weight: 400; color: ${COLOURS.faint}; margin-left: 6px; }
.t2v-tools { position: absolute; right: 6px; top: 5px; z-index: 3; display: flex; gap: 3px; align-items: center; }
.t2v-tools button, .t2v-tools label { background: rgba(19, 22, 28, 0.72); border-color: #3a4150; color: #cfd5e0;
  padding: 1px 6px; min-height: 20px; font-size: 11px; border-radius: 5px; }
.t2v-tools input[type="range"] { width: 60px; height: 16px; }
.t2v-note { position: absolute; left: 50%; bottom: 8px; transform: translateX(-50%); z-index: 3; width: max-content; max-width: 92%;
  padding: 3px 10px; border-radius: 6px; background: rgba(19, 22, 28, 0.85); color: ${COLOURS.text}; text-align: center;
  pointer-events: none; }
.t2v-note:empty { display: none; }
.t2v-legend { position: absolute; left: 8px; bottom: 6px; z-index: 3; display: flex; gap: 10px; font-size: 11px;
  color: ${COLOURS.text}; pointer-events: none; text-shadow: 0 0 3px #000; }
.t2v-legend i { display: inline-block; width: 12px; height: 3px; margin-right: 4px; vertical-align: middle; border-radius: 2px; }
.t2v-timeline { touch-action: none; position: relative; flex: none; height: 96px; border-radius: 6px; overflow: hidden; background: ${COLOURS.ground}; }
.t2v-timeline canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.t2v-inspector { flex-wrap: nowrap; min-height: 24px; overflow: hidden; white-space: nowrap; }
.t2v-inspector .t2v-what { flex: none; font-weight: 600; color: var(--t2v-text); min-width: 76px; }
.t2v-inspector label { min-width: 0; flex: 0 1 auto; }
.t2v-inspector label:has(input), .t2v-inspector button { flex: none; }
.t2v-inspector input[type="number"] { width: 52px; }
.t2v-inspector select { flex: 0 1 auto; min-width: 40px; text-overflow: ellipsis; }
.t2v-status { flex: none; display: flex; gap: 8px; min-height: 17px; color: var(--t2v-soft); white-space: nowrap; overflow: hidden; }
.t2v-status > span { overflow: hidden; text-overflow: ellipsis; }
.t2v-status[data-kind="problem"] > span:first-child { color: ${COLOURS.poor}; }
.t2v-menu, .t2v-sheet { position: absolute; z-index: 10; border: 1px solid var(--t2v-line); border-radius: 8px;
  background: var(--t2v-back); color: var(--t2v-text); box-shadow: 0 6px 24px rgba(0, 0, 0, 0.5); }
.t2v-menu { display: flex; flex-direction: column; padding: 4px; min-width: 170px; }
.t2v-menu button { text-align: left; border-color: transparent; background: none; }
.t2v-menu strong { padding: 2px 8px 4px; color: var(--t2v-soft); font-weight: 600; }
.t2v-sheet { inset: 24px 24px auto; max-height: calc(100% - 48px); padding: 12px 18px; overflow: auto; }
.t2v-columns { columns: 2 240px; column-gap: 28px; }
.t2v-sheet h4 { margin: 0 0 4px; color: var(--t2v-accent); font-size: 12px; break-after: avoid; }
.t2v-sheet section { break-inside: avoid; margin-bottom: 10px; }
.t2v-sheet dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 10px; margin: 0; }
.t2v-sheet dt { color: var(--t2v-text); white-space: nowrap; } .t2v-sheet dd { margin: 0; color: var(--t2v-soft); }
.t2v-sheet > button { position: absolute; right: 10px; top: 8px; }
.t2v-hidden { display: none !important; }
`;
