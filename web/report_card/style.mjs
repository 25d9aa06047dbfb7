/** The report card's look, in ComfyUI's colours; the lights differ in shape as well as in colour. */

export const STYLE = `
.t2v-card { box-sizing: border-box; width: 100%; height: 100%;
  min-height: 36px; overflow: hidden; border-radius: 6px; background: var(--comfy-input-bg, #1e2024); color: var(--input-text, #dddfe4);
  font: 11.5px/14px system-ui, "Segoe UI", sans-serif; border-left: 3px solid var(--t2v-light); }
.t2v-card details { height: 100%; display: flex; flex-direction: column; }
.t2v-card summary { box-sizing: border-box; display: flex; gap: 6px; align-items: center; height: 36px; flex: none; padding: 3px 8px;
  cursor: pointer; list-style: none; user-select: none; }
.t2v-card summary::-webkit-details-marker { display: none; }
.t2v-card summary:focus-visible { outline: 2px solid #ffa03c; outline-offset: -2px; border-radius: 6px; }
.t2v-card[data-light="none"] { --t2v-light: var(--descrip-text, #9aa0ab); }
.t2v-card[data-light="green"], .t2v-card [data-light="green"] { --t2v-light: #3ebe96; }
.t2v-card[data-light="amber"], .t2v-card [data-light="amber"] { --t2v-light: #ffb020; }
.t2v-card[data-light="red"], .t2v-card [data-light="red"] { --t2v-light: #ff6b6b; }
.t2v-card-light { flex: none; width: 12px; text-align: center; color: var(--t2v-light); }
.t2v-card-headline { flex: 1; min-width: 0; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  overflow-wrap: break-word; word-break: normal; hyphens: none; }
.t2v-card[data-light="none"] .t2v-card-headline { color: var(--descrip-text, #9aa0ab); }
.t2v-card-fold { flex: none; color: var(--descrip-text, #9aa0ab); }
.t2v-card details[open] .t2v-card-fold { transform: rotate(90deg); }
.t2v-card-body { min-height: 0; max-height: 164px; box-sizing: border-box; overflow: auto; padding: 0 8px 6px; user-select: text; cursor: text; }
.t2v-card-body ul { margin: 0; padding: 0; list-style: none; }
.t2v-card-body li { display: flex; gap: 6px; padding: 2px 0; overflow-wrap: break-word; word-break: normal; }
.t2v-card-body li > span:last-child { min-width: 0; }
.t2v-card-body p { margin: 2px 0 4px; white-space: pre-wrap; overflow-wrap: break-word; }
.t2v-card-body pre { margin: 2px 0 6px; white-space: pre; overflow-x: auto; font: 10.5px/14px ui-monospace, "DejaVu Sans Mono", monospace; }
.t2v-card-said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.t2v-card[data-busy] .t2v-card-light { animation: t2v-card-busy 1.2s ease-in-out infinite; }
@keyframes t2v-card-busy { 50% { opacity: 0.25; } }
@media (prefers-reduced-motion: reduce) { .t2v-card[data-busy] .t2v-card-light { animation: none; } }
`;
