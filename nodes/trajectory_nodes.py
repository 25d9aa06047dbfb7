"""Stage trajectory: the path of the new camera, by name, by hand, or by what is done to another path."""

from __future__ import annotations

from fractions import Fraction

from comfy_api.latest import io, ui

from ..track2view_core.cameras import EASES, OPERATIONS, PRESETS, edit_path, preset_path
from ..track2view_core.cameras.operations.operation import Parameter, chosen_settings, settings_text
from ..track2view_core.cameras.presets import move_notes
from ..track2view_core.errors import Track2ViewError
from ..track2view_core.notes import Note, doubtful
from .bridge.folders import temp_content, temp_named
from .bridge.host import progress_callback, schema
from .dense_inputs import analysed_clip
from .reports import report_at
from .sockets import CAMERA_PATH, POINT_TRACKS, TARGET, frames_from_image, one_of

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
            search_aliases=["orbit", "dolly", "pan", "crane", "camera motion"],
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
                io.String.Input(
                    "subject",
                    default="auto",
                    optional=True,
                    tooltip="What the move turns around and measures by: auto (what moves, or is central and near), "
                    "median (the median depth of all points), or X,Y or X,Y,FRAME: a place in pixels of the frames "
                    "that were tracked.",
                ),
            ],
            outputs=[
                CAMERA_PATH.Output(
                    "camera_path",
                    display_name="camera path",
                    tooltip="The path of the new camera, as long as the clip.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="The move in degrees and scene scales, and which distance the subject was found at.",
                ),
            ],
        )

    @classmethod
    def execute(cls, point_tracks, preset, amount, ease, relative_to, subject=None) -> io.NodeOutput:
        from ..track2view_core.tracks import subject_distance

        # a graph saved before there was a subject to choose measures by the median
        distance, found = subject_distance(point_tracks, "median" if subject is None else subject)
        path = preset_path(
            preset, point_tracks.camera, amount=amount, scene_scale=distance, ease=ease, relative_to=relative_to
        )
        report = report_at("Track2View_CameraPreset", (*move_notes(preset, amount, distance), found))
        return io.NodeOutput(path, report.text, ui=report.ui)


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
                    "image",
                    optional=True,
                    tooltip="The frames of the clip, at any size: the new camera's view is made of them.",
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
        from ..track2view_core.cameras.keyframes.on_clip import path_on_clip
        from ..track2view_core.tracks.path_checks import check_against_tracks, checks_report

        source = scale = None
        if point_tracks is not None:
            source, scale = point_tracks.camera, point_tracks.scene_scale
        drawn = path_on_clip(document, source, scene_scale=scale, linked=start_path)
        notes, shown = list(drawn.notes), {}
        if point_tracks is not None:
            checks = check_against_tracks(drawn.path, point_tracks)
            notes += (*checks_report(checks), *doubtful(point_tracks.notes))
            shown["track2view_coverage"] = [[] if checks.coverage is None else checks.coverage.tolist()]
            shown["track2view_points"] = [_points(point_tracks)]
        if image is not None:
            shown["track2view_frames"] = [_frames(image, drawn.path.fps)]
            if point_tracks is not None:
                shown["track2view_meshes"] = _meshes(image, point_tracks)
        if drawn.seed is not None:
            shown["track2view_seed"] = [to_json(drawn.seed)]
        report = report_at("Track2View_CameraEditor", notes)
        return io.NodeOutput(drawn.path, report.text, ui={**shown, "text": (report.text,), **report.ui})


def _points(point_tracks) -> ui.SavedResult:
    from ..track2view_core.preview.point_cloud import pack_points

    file = temp_content("track2view_points", ".bin", pack_points(point_tracks))
    return ui.SavedResult(file.name, "", io.FolderType.temp)


def _meshes(image, point_tracks) -> list[ui.SavedResult]:
    """The clip's picture for the new camera's view; none where the images are of another clip than the tracks."""
    from ..track2view_core.preview.picture_mesh import pack_meshes
    from ..track2view_core.tracks.cache import cache_key

    camera = point_tracks.camera
    same_shape = abs(camera.width * image.shape[1] / (camera.height * image.shape[2]) - 1) < 0.01
    if len(image) != len(point_tracks) or not same_shape:
        return []
    video = frames_from_image(image, "image")
    key = cache_key(video=video, positions=point_tracks.positions, visible=point_tracks.visible)
    file = temp_named("track2view_meshes", ".bin", key.encode())
    if not file.is_file():
        geometry = analysed_clip(video, point_tracks, progress=progress_callback())
        unfinished = file.with_suffix(".part")
        unfinished.write_bytes(pack_meshes(video, geometry))
        unfinished.replace(file)
    return [ui.SavedResult(file.name, "", io.FolderType.temp)]


def _frames(image, fps: float) -> ui.SavedResult:
    from ..track2view_core.preview.thumbnails import thumbnails
    from ..track2view_core.video import VideoClip, frame_rate, write_clip

    small = thumbnails(frames_from_image(image, "image"))
    file = temp_named("track2view_frames", ".mp4", small.numpy().tobytes() + str(Fraction(fps)).encode())
    if not file.is_file():
        write_clip(VideoClip(small, frame_rate(fps)), file, quality=24)
    return ui.SavedResult(file.name, "", io.FolderType.temp)


FIELDS = ("amount", "ease", "seed")  # settings that have a widget of their own
EDITS = tuple(name for name, operation in OPERATIONS.items() if "other" not in operation.needs)


class EditPath(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_EditPath",
            display_name="Edit Camera Path",
            category=CATEGORY,
            description="Retime, ease, smooth, stabilise, mirror or shake a camera path, or hold a point in view.",
            search_aliases=["stabilise", "stabilize", "retime", "handheld", "loop", "dolly zoom", "look at"],
            inputs=_edit_inputs(),
            outputs=[
                CAMERA_PATH.Output("camera_path", display_name="camera path", tooltip="The changed path."),
                io.String.Output(
                    "report", display_name="report", tooltip="The operation with all its settings, and its figures."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, path, operation, amount, ease, seed, settings="", point_tracks=None, target=None, **fields
    ) -> io.NodeOutput:
        chosen = OPERATIONS[one_of(EDITS, operation, "operation")]
        if "point" in chosen.needs and target is None:
            raise Track2ViewError(f"{operation} needs a point; link Follow Point to target.")
        if "scene_scale" in chosen.needs and point_tracks is None:
            raise Track2ViewError(f"{operation} needs the scene's size; link the clip's tracks to point_tracks.")
        own = {name: fields[field] for name, field in own_fields(operation).items() if field in fields}
        values = own | chosen_settings(operation, settings, amount=amount, ease=ease, seed=seed)
        source = point_tracks.camera if point_tracks is not None else None
        changed = edit_path(
            path,
            operation,
            values,
            source=source,
            scene_scale=point_tracks.scene_scale if point_tracks is not None else None,
            point=target.positions if target is not None else None,
        )
        said = f"{operation}: {settings_text(chosen, values) or 'no settings'}"
        report = report_at("Track2View_EditPath", _checked(changed, point_tracks), figures=operation, table=said)
        return io.NodeOutput(changed, report.text, ui=report.ui)


def _edit_inputs() -> list[io.Input]:
    told = "; ".join(f"{name}: {OPERATIONS[name].description.rstrip('.')}" for name in EDITS)
    operation = io.Combo.Input("operation", options=list(EDITS), default="ease", tooltip=f"What to do. {told}.")
    # The browser shows the inputs of the chosen operation alone, see web/fields_of_choice.mjs.
    operation.extra_dict = {"track2view_fields": {name: _shown_fields(name) for name in EDITS}}
    return [
        CAMERA_PATH.Input("path", tooltip="The camera path to change."),
        operation,
        io.Float.Input(
            "amount",
            default=1.0,
            min=-20.0,
            max=20.0,
            step=0.05,
            tooltip="How much, for operations that have an amount: look_at, accompany, dolly_zoom, scale, "
            "handheld, smooth, stabilise.",
        ),
        io.Combo.Input(
            "ease",
            options=list(EASES),
            default="smooth",
            tooltip="How it spreads over time, for operations that have an ease.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**31 - 1,
            control_after_generate=False,
            tooltip="Which shake, for handheld.",
        ),
        io.String.Input(
            "settings",
            default="",
            tooltip="Settings of graphs that were saved before each had a field of its own, as name=value; name=value. "
            "What stands here wins over the fields.",
        ),
        POINT_TRACKS.Input(
            "point_tracks",
            optional=True,
            tooltip="The tracks of the clip. With them, operations on the move leave the clip's own camera "
            "movement as it is; limit_speed, handheld and fit_to_scene take the scene's size from them.",
        ),
        TARGET.Input(
            "target",
            optional=True,
            tooltip="From Follow Point: what look_at, orbit, accompany and dolly_zoom hold on to.",
        ),
        *(
            _field(field, OPERATIONS[name].parameters[setting], name)
            for name in EDITS
            for setting, field in own_fields(name).items()
        ),
    ]


def own_fields(operation: str) -> dict[str, str]:
    """Setting -> the input of Edit Camera Path that is this operation's alone."""
    return {name: f"{operation}_{name}" for name in OPERATIONS[operation].parameters if name not in FIELDS}


def _shown_fields(operation: str) -> list[str]:
    shared = [name for name in OPERATIONS[operation].parameters if name in FIELDS]
    return [*shared, *own_fields(operation).values()]


def _field(field: str, parameter: Parameter, operation: str) -> io.Input:
    """The input of one setting. Its name is short beside the operation that is chosen."""
    unit = f" ({parameter.unit})" if parameter.unit else ""
    told = {"optional": True, "tooltip": f"For {operation}: {parameter.description}{unit}."}
    limits = {"min": parameter.least, "max": parameter.most}
    if parameter.kind == "switch":
        return io.Boolean.Input(field, default=parameter.default, **told)
    if parameter.kind == "choice":
        return io.Combo.Input(field, options=list(parameter.choices), default=parameter.default, **told)
    if parameter.kind == "curve":
        pairs = ", ".join(f"{at:g}:{value:g}" for at, value in parameter.default)
        return io.String.Input(field, default=pairs, **told)
    if parameter.kind == "whole":
        return io.Int.Input(field, default=int(parameter.default), **{k: int(v) for k, v in limits.items()}, **told)
    return io.Float.Input(field, default=float(parameter.default), step=_step(parameter), **limits, **told)


def _step(parameter: Parameter) -> float:
    """A click on the arrow is a small part of the usual value, and never rounds it away."""
    return 1.0 if abs(parameter.default) >= 10 else 0.001 if 0 < abs(parameter.default) < 0.1 else 0.05


JOINS = {"on_top": "compose", "instead": "compose", "continue": "concatenate", "cut": "concatenate"}


class ComposePaths(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_ComposePaths",
            display_name="Compose Paths",
            category=CATEGORY,
            description="Put one path's move on top of another path, in its place, or behind it.",
            search_aliases=["match camera", "concatenate paths"],
            inputs=[
                CAMERA_PATH.Input("path", tooltip="The path to start from, such as the source path."),
                CAMERA_PATH.Input("other_path", tooltip="The path whose move is taken, also from another clip."),
                io.Combo.Input(
                    "place",
                    options=list(JOINS),
                    default="on_top",
                    tooltip="on_top: the move rides on path. instead: it starts from path's first frame. continue: it "
                    "goes on where path ends. cut: both follow each other as they are. The last two make it longer.",
                ),
                io.Float.Input(
                    "other_scale",
                    default=0.0,
                    min=0.0,
                    max=1e9,
                    step=0.01,
                    tooltip="Distance of the subject in the other path's units, for on_top and instead; 0 takes it "
                    "from other_tracks, or the same units as path.",
                ),
                POINT_TRACKS.Input(
                    "point_tracks", optional=True, tooltip="The tracks of path's clip, for the size of its scene."
                ),
                POINT_TRACKS.Input(
                    "other_tracks",
                    optional=True,
                    tooltip="The tracks of the other path's clip, for the size of its scene.",
                ),
            ],
            outputs=[
                CAMERA_PATH.Output("camera_path", display_name="camera path", tooltip="The two paths in one."),
                io.String.Output("report", display_name="report", tooltip="What was done, and the path's figures."),
            ],
        )

    @classmethod
    def execute(cls, path, other_path, place, other_scale, point_tracks=None, other_tracks=None) -> io.NodeOutput:
        name = JOINS[one_of(JOINS, place, "place")]
        if name == "concatenate":
            values, scale = {"join": place}, None
        else:
            size = other_scale or (other_tracks.scene_scale if other_tracks is not None else 0.0)
            if size and point_tracks is None:
                raise Track2ViewError(
                    "The other scene's size is given and this scene's is not; link the tracks of path's clip to "
                    "point_tracks, or set other_scale to 0 and leave other_tracks open."
                )
            values, scale = {"place": place, "other_scale": size}, point_tracks and point_tracks.scene_scale
        joined = edit_path(path, name, values, other=other_path, scene_scale=scale)
        said = f"{place}: {len(path)} and {len(other_path)} frames make {len(joined)}"
        report = report_at("Track2View_ComposePaths", _checked(joined, point_tracks), figures=said, table=said)
        return io.NodeOutput(joined, report.text, ui=report.ui)


def _checked(path, point_tracks) -> tuple[Note, ...]:
    """Figures and warnings of a path; none without the tracks of its clip."""
    from ..track2view_core.tracks.path_checks import check_against_tracks, checks_report

    if point_tracks is None or len(path) != len(point_tracks):
        return ()
    return checks_report(check_against_tracks(path, point_tracks))


class FollowPoint(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_FollowPoint",
            display_name="Follow Point",
            category=CATEGORY,
            description="Pick the tracked point nearest to a place in the picture, to look at it or orbit it.",
            search_aliases=["look at", "target"],
            inputs=[
                POINT_TRACKS.Input("point_tracks", tooltip="The tracks of the clip."),
                io.Int.Input("frame", default=0, min=0, max=100_000, tooltip="The frame to pick in; 0 is the first."),
                io.Float.Input(
                    "x",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of the picture's width, 0 left, 1 right.",
                ),
                io.Float.Input(
                    "y",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of the picture's height, 0 top, 1 bottom.",
                ),
            ],
            outputs=[
                TARGET.Output("target", display_name="target", tooltip="The point through time, for Edit Camera Path."),
                io.String.Output(
                    "report", display_name="report", tooltip="Which point it is and how often it is seen."
                ),
            ],
        )

    @classmethod
    def execute(cls, point_tracks, frame, x, y) -> io.NodeOutput:
        from ..track2view_core.tracks.selection import pick_track

        picked = pick_track(point_tracks, frame, x, y)
        found = (
            f"Track {picked.track} at pixel {picked.pixel[0]:.0f}, {picked.pixel[1]:.0f} of frame {frame}, seen in "
            f"{100 * picked.visible:.0f} % of the frames"
        )
        report = report_at("Track2View_FollowPoint", figures=found, table=found)
        return io.NodeOutput(picked, report.text, ui=report.ui)


NODES = (CameraPreset, CameraEditor, EditPath, ComposePaths, FollowPoint)
