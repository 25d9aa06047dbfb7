/** A button that uploads a file into ComfyUI's input folder and chooses it, beside a combo whose schema offers it. */

const OFFER = "track2view_upload"; // of an input's options: the endings that it takes
const BUTTON = "upload a file"; // older Vue nodes show a button by its name

/** @param {object} node of ComfyUI @param {{app, api}} host */
export function offerUploads(node, { app, api }) {
  const inputs = node.constructor.nodeData?.input ?? {};
  for (const [name, [, options]] of Object.entries({ ...inputs.required, ...inputs.optional })) {
    const combo = options?.[OFFER] && node.widgets?.find((widget) => widget.name === name);
    if (!combo) continue;
    const act = () => choose(options[OFFER], (files) => upload(node, combo, files, { app, api }));
    const button = node.addWidget("button", BUTTON, "", act, { serialize: false });
    button.tooltip = `Into ComfyUI's input folder: ${options[OFFER].join(" ")}. Several files make a folder, such as a COLMAP model.`;
    button.serialize = false;
    combo.track2viewUpload = (files) => upload(node, combo, files, { app, api });
  }
}

function choose(endings, act) {
  const input = Object.assign(document.createElement("input"), { type: "file", accept: endings.join(","), multiple: true });
  input.addEventListener("change", () => input.files.length > 0 && act([...input.files]), { once: true });
  input.click();
}

/** @param {File[]} files one, or those of a folder */
async function upload(node, combo, files, { app, api }) {
  const folder = files.length > 1 ? `camera_${new Date().toISOString().replace(/\D/g, "").slice(0, 14)}` : "";
  let name = "";
  for (const file of files) {
    const body = new FormData();
    body.append("image", file); // ComfyUI's name for whatever comes
    if (folder) body.append("subfolder", folder);
    const answer = await api.fetchApi("/upload/image", { method: "POST", body });
    if (!answer.ok) return say(app, `${file.name} was not uploaded: ${answer.statusText || answer.status}.`);
    const kept = await answer.json(); // another name where there was such a file
    name = folder || [kept.subfolder, kept.name].filter(Boolean).join("/");
  }
  await app.refreshComboInNodes();
  const values = combo.options.values;
  const offered = typeof values === "function" ? values() : values;
  const chosen = offered.find((value) => value === name || value.startsWith(`${name}/`));
  if (!chosen) return say(app, `${name} was uploaded and holds nothing that this node reads.`);
  combo.value = chosen;
  combo.callback?.(chosen);
  node.setDirtyCanvas?.(true, true);
}

function say(app, text) {
  app.extensionManager?.toast?.add?.({ severity: "warn", summary: "Track2View", detail: text, life: 8000 });
}
