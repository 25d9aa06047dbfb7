"""Run the cached ComfyUI's main.py with this interpreter: `start.py COMFYUI PACKAGES [main.py's options]`.

torchvision's wheel is built for CUDA: beside a CPU torch its import fails unless two operators that it only declares
are defined first. That is why it lives in the cache, on this process's path alone.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading

import torch

comfyui, packages, *options = sys.argv[1:]
# The tests hold the other end of this pipe: it closes with them, however they ended, and no server is left behind.
threading.Thread(target=lambda: sys.stdin.buffer.read() or os._exit(1), daemon=True).start()
operators = torch.library.Library("torchvision", "DEF")
for operator in ("nms", "qnms"):
    operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
os.chdir(comfyui)
sys.path[:] = [comfyui, *sys.path[1:], packages]  # the interpreter's own packages win over the cache's
sys.argv = ["main.py", *options]
runpy.run_path("main.py", run_name="__main__")
