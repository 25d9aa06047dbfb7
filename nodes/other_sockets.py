"""Socket types of ComfyUI's core and of other packs that the nodes speak, by the names their owners gave them."""

from __future__ import annotations

from comfy_api.latest import io

DA3_GEOMETRY = io.Custom("DA3_GEOMETRY")  # core, Depth Anything 3
MOGE_GEOMETRY = io.Custom("MOGE_GEOMETRY")  # core, MoGe
TRACKS = io.Custom("TRACKS")  # core, Wan-Move
LOAD3D_CAMERA = io.Custom("LOAD3D_CAMERA")  # core, 3D nodes
CAMERACTRL_POSES = io.Custom("CAMERACTRL_POSES")  # AnimateDiff-Evolved and others
CAMERAPOSES = io.Custom("CAMERAPOSES")  # WanVideoWrapper, ReCamMaster
EXTRINSICS = io.Custom("EXTRINSICS")  # Depth Anything 3 packs and camera packs
INTRINSICS = io.Custom("INTRINSICS")
