/** The comparison's look, in ComfyUI's colours. */

export const STYLE = `
.t2v-compare { box-sizing: border-box; display: flex; flex-direction: column; gap: 5px; width: 100%; height: 100%;
  min-height: 220px; padding: 6px; border-radius: 8px; overflow: hidden; background: var(--comfy-menu-bg, #2b2d31);
  color: var(--input-text, #dddfe4); font: 12px/1.35 system-ui, "Segoe UI", sans-serif; user-select: none; }
.t2v-compare-stage { position: relative; flex: 1; min-height: 0; border-radius: 6px; overflow: hidden;
  background: #13161c; cursor: ew-resize; }
.t2v-compare-stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.t2v-compare-row { display: flex; gap: 6px; align-items: center; flex: none; }
.t2v-compare-row input { flex: 1; min-width: 40px; accent-color: #ffa03c; }
.t2v-compare-row button, .t2v-compare-row select { font: inherit; min-width: 30px; max-width: 110px; color: inherit;
  cursor: pointer; border-radius: 6px; background: var(--comfy-input-bg, #1e2024);
  border: 1px solid var(--border-color, #46494f); }
.t2v-compare-row button[aria-pressed="true"] { background: #ffa03c; border-color: #ffa03c; color: #1b1409; }
.t2v-compare > span { flex: none; min-height: 16px; color: var(--descrip-text, #9aa0ab); }
`;
