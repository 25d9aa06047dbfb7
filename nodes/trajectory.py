"""Stage trajectory: the path of the new camera."""

from __future__ import annotations

from comfy_api.latest import io

from ..track2view_core.cameras import EASES, PRESETS, describe_move, preset_path
from .comfy_bridge import schema, show_text
from .sockets import CAMERA_PATH, POINT_TRACKS

CATEGORY = "Track2View/trajectory"


class CameraPreset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        moves = "; ".join(f"{name}: {text}" for name, text in PRESETS.items())
        return schema(
            node_id="Track2View_CameraPreset",
            display_name="Camera Preset",
            category=CATEGORY,
            description="Move the camera by name, in units of the scene: orbit, dolly, pan, crane and others.",
            search_aliases=["camera motion", "orbit", "dolly", "pan"],
            inputs=[
                POINT_TRACKS.Input(
                    "point_tracks", tooltip="The tracks of the clip: their camera is the start, their depth the unit."
                ),
                io.Combo.Input("preset", options=list(PRESETS), default="orbit_left", tooltip=moves),
                io.Float.Input(
                    "amount",
                    default=0.5,
                    min=-20.0,
                    max=20.0,
                    step=0.05,
                    tooltip="How far, in the preset's nominal move; 0 keeps the source camera, negative goes the "
                    "other way. The report says it in degrees and scene scales.",
                ),
                io.Combo.Input(
                    "ease", options=list(EASES), default="smooth", tooltip="How the move spreads over time."
                ),
                io.Combo.Input(
                    "relative_to",
                    options=["source", "first_frame"],
                    default="source",
                    tooltip="source rides on the moving source camera; first_frame starts from its first pose and "
                    "holds it.",
                ),
            ],
            outputs=[
                CAMERA_PATH.Output(
                    "camera_path",
                    display_name="camera path",
                    tooltip="The path of the new camera, as long as the clip.",
                ),
                io.String.Output("report", display_name="report", tooltip="The move in degrees and scene scales."),
            ],
        )

    @classmethod
    def execute(cls, point_tracks, preset, amount, ease, relative_to) -> io.NodeOutput:
        scale = point_tracks.scene_scale
        path = preset_path(
            preset, point_tracks.camera, amount=amount, scene_scale=scale, ease=ease, relative_to=relative_to
        )
        report = f"{preset}: {describe_move(preset, amount)}; one scene scale is {scale:.3g} of the tracks' units"
        show_text(report)
        return io.NodeOutput(path, report)


NODES = (CameraPreset,)
