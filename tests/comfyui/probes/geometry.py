"""What newer cores' depth nodes hand on, for the frames that come in: a floor that rises towards the horizon."""

from __future__ import annotations

import torch
from comfy_api.latest import io


class Geometry(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        outputs = [
            io.Custom("DA3_GEOMETRY").Output("da3_geometry"),
            io.Custom("MOGE_GEOMETRY").Output("moge_geometry"),
        ]
        return io.Schema(node_id="Probe_Geometry", category="probes", inputs=[io.Image.Input("image")], outputs=outputs)

    @classmethod
    def execute(cls, image):
        frames, height, width = image.shape[:3]
        depth = torch.linspace(8, 2, height)[None, :, None].repeat(frames, 1, width)
        poses = torch.eye(4)[:3].repeat(frames, 1, 1)
        lens = torch.tensor([[44.8, 0, 28], [0, 44.8, 28], [0, 0, 1]]).repeat(frames, 1, 1)  # at 56 x 56
        da3 = {
            "depth": depth,
            "image": image,
            "mode": "multiview",
            "extrinsics": poses[None],
            "intrinsics": lens[None],
            "confidence": torch.ones_like(depth),
        }
        mask = torch.ones(frames, height, width, dtype=torch.bool)
        mask[:, : height // 4] = False
        moge = {
            "points": torch.zeros(frames, height, width, 3),
            "depth": depth.masked_fill(~mask, float("inf")),
            "intrinsics": torch.tensor([[0.8, 0, 0.5], [0, 0.8, 0.5], [0, 0, 1]]).repeat(frames, 1, 1),
            "mask": mask,
            "image": image,
        }
        return io.NodeOutput(da3, moge)
