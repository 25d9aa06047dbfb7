"""Stage trajectory: the path that is drawn by hand. The browser draws it; what it writes is plain text."""

from __future__ import annotations

from fractions import Fraction

from comfy_api.latest import io, ui

from .comfy_bridge import schema, show_text
from .folders import temp_content, temp_named
from .sockets import CAMERA_PATH, POINT_TRACKS, frames_from_image

CATEGORY = "Track2View/trajectory"


class CameraEditor(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_CameraEditor",
            display_name="Camera Path Editor",
            category=CATEGORY,
            description="Draw the new camera's path among the clip's own points and see through it while you draw.",
            search_aliases=["camera path", "keyframes", "trajectory editor"],
            inputs=[
                io.String.Input(
                    "document",
                    default="",
                    socketless=True,
                    tooltip="The keys as JSON; the editor writes it and copies it, and empty means that nothing is "
                    "drawn yet.",
                ),
                POINT_TRACKS.Input(
                    "point_tracks",
                    optional=True,
                    tooltip="The tracks of the clip: their camera is what the keys ride on, their depth the unit, "
                    "their points what the editor shows.",
                ),
                io.Image.Input(
                    "image", optional=True, tooltip="The frames of the clip, to lay under the drawing; at any size."
                ),
                CAMERA_PATH.Input(
                    "start_path",
                    optional=True,
                    tooltip="A path to start from: it is the result until something is drawn, and never changes keys.",
                ),
            ],
            outputs=[
                CAMERA_PATH.Output(
                    "camera_path",
                    display_name="camera path",
                    tooltip="The path that was drawn, as long as the clip.",
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="How fast and how far it goes, and what to look out for."
                ),
            ],
            is_output_node=True,  # so that it can be run alone, for its points
        )

    @classmethod
    def execute(cls, document, point_tracks=None, image=None, start_path=None) -> io.NodeOutput:
        from ..track2view_core.cameras import to_json
        from ..track2view_core.tracks.drawn_path import drawn_path
        from ..track2view_core.tracks.path_checks import check_against_tracks, checks_report

        drawn = drawn_path(document, point_tracks, start_path)
        lines, shown = list(drawn.notes), {}
        if point_tracks is not None:
            checks = check_against_tracks(drawn.path, point_tracks)
            lines += checks_report(checks)
            shown["track2view_coverage"] = [[] if checks.coverage is None else checks.coverage.tolist()]
            shown["track2view_points"] = [_points(point_tracks)]
        if image is not None:
            shown["track2view_frames"] = [_frames(image, drawn.path.fps)]
        if drawn.seed is not None:
            shown["track2view_seed"] = [to_json(drawn.seed)]
        report = "\n".join(lines)
        show_text(report)
        return io.NodeOutput(drawn.path, report, ui={**shown, "text": (report,)})


def _points(point_tracks) -> ui.SavedResult:
    from ..track2view_core.preview.point_cloud import pack_points

    file = temp_content("track2view_points", ".bin", pack_points(point_tracks))
    return ui.SavedResult(file.name, "", io.FolderType.temp)


def _frames(image, fps: float) -> ui.SavedResult:
    from ..track2view_core.preview.thumbnails import thumbnails
    from ..track2view_core.video import VideoClip, frame_rate, write_clip

    small = thumbnails(frames_from_image(image, "image"))
    file = temp_named("track2view_frames", ".mp4", small.numpy().tobytes() + str(Fraction(fps)).encode())
    if not file.is_file():
        write_clip(VideoClip(small, frame_rate(fps)), file, quality=24)
    return ui.SavedResult(file.name, "", io.FolderType.temp)


NODES = (CameraEditor,)
