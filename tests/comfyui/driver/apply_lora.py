"""Apply a LoRA file as ComfyUI's own LoRA loader does, in a process of its own, and run the model once.

`apply_lora.py COMFYUI PACKAGES MODEL LORA INPUTS OUTPUT`: INPUTS holds `latent`, `timestep` and `text`; OUTPUT gets the
model's answer as `velocity`, and what core patched and warned of as JSON in its metadata.
"""

from __future__ import annotations

import json
import logging
import sys

import torch

comfyui, packages, model_file, lora_file, inputs_file, output_file = sys.argv[1:]
operators = torch.library.Library("torchvision", "DEF")  # torchvision's wheel is built for CUDA, see start.py
for operator in ("nms", "qnms"):
    operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
sys.argv = ["main.py", "--cpu"]
sys.path[:] = [comfyui, *sys.path[1:], packages]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.model_management  # noqa: E402
import comfy.sd  # noqa: E402
import comfy.utils  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

warnings: list[str] = []


class Keeper(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warnings.append(record.getMessage())


base = comfy.sd.load_diffusion_model(model_file, model_options={"dtype": torch.float32})
logging.getLogger().addHandler(Keeper(logging.WARNING))
model, _ = comfy.sd.load_lora_for_models(base, None, comfy.utils.load_torch_file(lora_file, safe_load=True), 1.0, 0.0)
comfy.model_management.load_models_gpu([model])
given = load_file(inputs_file)
with torch.no_grad():
    velocity = model.model.diffusion_model(given["latent"], given["timestep"], given["text"])
told = {"patched": sorted(model.patches), "warnings": warnings}
save_file({"velocity": velocity.float().contiguous()}, output_file, {"told": json.dumps(told)})
