/** The pair view's look, in ComfyUI's colours. */

export const STYLE = `
.t2v-pair { box-sizing: border-box; display: flex; flex-direction: column; gap: 5px; width: 100%; height: 100%;
  min-height: 220px; padding: 6px; border-radius: 8px; overflow: hidden; background: var(--comfy-menu-bg, #2b2d31);
  color: var(--input-text, #dddfe4); font: 12px/1.35 system-ui, "Segoe UI", sans-serif; user-select: none; }
.t2v-pair-stage { position: relative; flex: 1; min-height: 0; border-radius: 6px; overflow: hidden; background: #13161c; }
.t2v-pair-stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.t2v-pair-stage video { position: absolute; max-width: none; object-fit: fill; }
.t2v-pair-row { display: flex; gap: 6px; align-items: center; flex: none; }
.t2v-pair-row input { flex: 1; min-width: 0; accent-color: #ffa03c; }
.t2v-pair-row button { font: inherit; min-width: 30px; color: inherit; cursor: pointer; border-radius: 6px;
  background: var(--comfy-input-bg, #1e2024); border: 1px solid var(--border-color, #46494f); }
.t2v-pair-row button:focus-visible { outline: 2px solid #ffa03c; }
.t2v-pair-tabs { flex-wrap: wrap; }
.t2v-pair-tabs button[aria-pressed="true"] { background: #ffa03c; border-color: #ffa03c; color: #1b1409; }
.t2v-pair > span { flex: none; min-height: 16px; color: var(--descrip-text, #9aa0ab); }
`;
