"""The whole job as one function: a clip and a camera move in, the same scene filmed along that move out.

`refilm` is the way of a clip through the rooms, in the order of docs/ARCHITECTURE.md: read and prepare, track, know the
depth of every pixel, path, pair, sample, render. Whoever wants another order, or only a part, calls the rooms' own
functions. This module loads no torch until `refilm` is called.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .errors import Track2ViewError
from .notes import Door, Note
from .progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from .cameras import CameraPath
    from .render import ClipGeometry
    from .tracks import PairedTracks, PointTracks
    from .tracks.trackers import PointTracker
    from .video import ClipStream, TakenClip, VideoClip
    from .video.source import ClipFile
    from .wan.bundle_config import SamplingConfig
    from .wan.models import Models

    Move = str | os.PathLike[str] | CameraPath

TRACKED_SIDE = 832  # px, the long side beyond which tracking gains nothing
RELATIVE_TO = ("source", "first_frame")
DTYPES = ("float32", "bfloat16", "float16")

PIXELS = ("keep", "model")
FILLS = ("model", "geometric")
MISSING_FRAMES = ("refuse", "fill", "join")
QUATERNION_ORDERS = ("xyzw", "wxyz")
OF_THE_MODEL = ("model", "vae", "bundle", "prompt", "negative_prompt", "steps", "guidance", "shift", "seed", "size")
"""Settings that say nothing where no model runs."""
OF_A_CAMERA_FILE = ("camera_name", "camera_format", "missing_frames", "quaternion_order")
"""Settings that say nothing where the move is no file."""
BUILT_IN_FILL = "geometric"
"""Who fills what the clip never shows where no model is named. On held-out rendered scenes the built-in model's fill is
worse where there is detail (by .2 to .5 dB of the whole picture) and better only on smooth ones, as it was trained on
(by 1.5 dB); on footage it is a blur with edges of its own beside the clip's pixels, and it has to be run."""

CAMERA_FILE = Door(
    "refilm",
    {
        "camera": "camera_name (--camera-name)",
        "format": "camera_format (--camera-format)",
        "missing_frames": "missing_frames (--missing-frames)",
        "quaternion_order": "quaternion_order (--quaternion-order)",
    },
)
"""What can be said of a camera file here: size, lens and rate are the clip's own."""

Stage = Literal["clip", "tracks", "geometry", "move", "coverage", "sampling", "render"]
Report = Callable[[Stage, tuple[Note, ...]], None]


@dataclass(frozen=True, kw_only=True)
class Refilm:
    """What `refilm` may be told. Frozen, hashable, free of tensors; a setting out of range is refused by its name.

    Where None stands, the bundle knows (size and sampling), or the clip shows it (field of view).
    """

    frames: int | None = None
    """Only the clip's first so many frames."""
    pixels: Literal["keep", "model"] | None = None
    """keep: what the clip shows of the new view is shown in its own pixels, and the rest is filled; model: the model's
    picture alone. None: keep, or what the bundle of a model says."""
    fill: Literal["model", "geometric"] | None = None
    """What the clip never shows comes from the model, or from what is around it, without any weights. None: from the
    model where something of it is set, else `BUILT_IN_FILL`."""
    size: tuple[int, int] | None = None
    """Width and height in pixels that the model works at, turned for a portrait clip; the result has the clip's own."""
    amount: float = 0.3
    """Of a preset: 1.0 is the nominal move."""
    ease: str = "smooth"
    """Of a preset: one of `cameras.easing.EASES`."""
    relative_to: Literal["source", "first_frame"] = "source"
    """Ride on the clip's own moving camera, or start from its held first pose."""
    subject: str = "auto"
    """Of a preset: what it turns around and measures by; auto (what moves, or is central and near), median (the median
    depth of all points), or X,Y or X,Y,FRAME: the point nearest to that place, in pixels of the clip."""
    path_scale: float | None = None
    """The subject's distance in the units of a camera path; None: the path is in the units of the tracks."""
    camera_name: str | None = None
    """Of a camera file: which camera, where it holds several."""
    camera_format: str | None = None
    """Of a camera file: one of `FORMATS`; None tells it from the file."""
    missing_frames: Literal["refuse", "fill", "join"] = "refuse"
    """Of a camera file: what becomes of one that lacks frames; see `cameras.formats.read_path`."""
    quaternion_order: Literal["xyzw", "wxyz"] | None = None
    """Of a camera file: whether w stands last or first, where programs differ in it."""
    points: int = 1024
    """How many points to track."""
    motion: str = "auto"
    """How the clip's own camera moves: auto, static, rotation, general. For the built-in tracker."""
    fov_degrees: float | None = None
    """Horizontal field of view of the clip's camera. For the built-in tracker."""
    model: Path | None = None
    """WAN transformer, file or diffusers folder; with it a bundle. None: the built-in tiny one."""
    vae: Path | None = None
    bundle: Path | None = None
    device: str = "cpu"
    dtype: str = "float32"
    """Of the transformer; the VAE is always float32."""
    prompt: str = ""
    negative_prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    shift: float | None = None
    seed: int = 0

    def of_the_model(self) -> tuple[str, ...]:
        """The settings of a model that are given."""
        default = {field.name: field.default for field in fields(self)}
        return tuple(name for name in OF_THE_MODEL if getattr(self, name) != default[name])

    def chosen_fill(self) -> Literal["model", "geometric"]:
        """`fill`, and where that is None what the other settings ask for."""
        asked = self.pixels == "model" or self.of_the_model()
        return self.fill or ("model" if asked else BUILT_IN_FILL)


@dataclass(frozen=True, eq=False)
class Refilmed:
    """What `refilm` hands out."""

    clip: VideoClip
    """The result, with the clip's own size, length, rate and sound."""
    source: VideoClip
    """The clip that came, at the size it was tracked at."""
    tracks: PointTracks
    path: CameraPath
    """The target camera, in the frame of `source`; the source camera is `tracks.camera`."""
    paired: PairedTracks
    """The tracks in both views, in the frame that the model saw; without a model in that of `source`."""
    known: Tensor | None
    """[T, h, w] bool at the size of `source`: what the clip itself shows of the new view; None: the picture is the
    model's alone."""
    report: dict[Stage, tuple[Note, ...]]
    """What every stage found, assumed or decided."""


def refilm(
    clip: ClipFile | ClipStream | VideoClip,
    move: Move = "orbit_left",
    settings: Refilm | None = None,
    *,
    tracks: PointTracks | None = None,
    tracker: PointTracker | None = None,
    models: Models | None = None,
    report: Report | None = None,
    progress: Progress | None = None,
) -> Refilmed:
    """Film `clip` again along `move`.

    Args:
        clip: a file, a stream that `open_stream` found, or frames in memory.
        move: the name of a preset (one of `PRESETS`), a camera file of any format as a `Path`, or a path; of the
            latter two the movement from their own first frame is made.
        tracks: 3D tracks of this very clip, instead of tracking it.
        tracker: instead of the built-in one, which alone takes `motion` and `fov_degrees`: with another one they are
            refused.
        models: loaded already, instead of those that the settings name.
        report: called with a stage and its notes as soon as they are known, before the long work that they are about.
        progress: called with (done, total, stage); what it raises ends the job, and leaves the models as they were.

    Raises:
        Track2ViewError: in one sentence, whatever does not fit. Settings and small files are looked at first.
    """
    from .render import clip_geometry, placed_movers
    from .tracks.pairing import pair_in_prepared_frame
    from .tracks.path_checks import coverage_notes
    from .video import restore_clip, take_clip

    settings = settings or Refilm()
    told: dict[Stage, tuple[Note, ...]] = {}

    def tell(stage: Stage, *notes: Note) -> None:
        told[stage] = notes
        if report is not None:
            report(stage, notes)

    _check(move, settings, tracks, tracker)
    drawn, read = _drawn_path(move, settings)
    source = _opened(clip, settings)
    if models is None and settings.chosen_fill() == "model":
        models = models_of(settings)
    if settings.fill == "geometric":
        models = None
    sampling = None if models is None else _sampling(settings, models)
    keeps = sampling is None or (sampling.keeps_pixels if settings.pixels is None else settings.pixels == "keep")

    width, height = (None, None) if sampling is None else settings.size or (sampling.width, sampling.height)
    taken = take_clip(source, width=width, height=height, longest_side=TRACKED_SIDE, progress=progress)
    tell("clip", *taken.info.report())
    assert taken.clip is not None  # its size was asked for

    tracks = tracks or _tracked(taken.clip, settings, tracker, models, progress)
    count = tracks.positions.shape[1]
    tell("tracks", Note.of("tracks_count", points=count, frames=len(tracks)), *tracks.notes)

    geometry = clip_geometry(taken.clip.frames, tracks, progress=progress) if keeps else None
    if geometry is not None:
        tracks = placed_movers(tracks, geometry)
        moving = geometry.silhouettes.float().mean()
        tell("geometry", Note.of("geometry", frames=len(geometry), moving=moving), *geometry.notes)

    path, notes = _target_path(move, drawn, settings, tracks, (taken.info.width, taken.info.height))
    tell("move", *notes, *read)

    paired, painted = pair_in_prepared_frame(tracks, path, taken.info), None
    if models is not None and sampling is not None:
        tell("coverage", *coverage_notes(paired))
        painted = _painted(taken, paired, models, settings, sampling, tell, progress)
    if geometry is None:
        assert painted is not None  # a result without the clip's own pixels is a model's
        made, known = restore_clip(painted, taken.info), None
    else:
        made, known, notes = _rendered(source, taken, geometry, path, painted, settings.device, progress)
        tell("render", *notes)
    return Refilmed(made, taken.clip, tracks, path, paired, known, told)


def _check(move: Move, settings: Refilm, tracks: PointTracks | None, tracker: PointTracker | None) -> None:
    """What can be refused before a file is opened."""
    from .cameras.easing import check_ease
    from .cameras.presets import scaled_move
    from .tracks.subject import read_subject
    from .tracks.trackers.klt import check_options

    for name, allowed in (("relative_to", RELATIVE_TO), ("dtype", DTYPES), ("pixels", PIXELS), ("fill", FILLS)):
        if name in ("pixels", "fill") and getattr(settings, name) is None:
            continue
        if (value := getattr(settings, name)) not in allowed:
            raise Track2ViewError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
    if settings.fill == "geometric":
        if settings.pixels == "model":
            raise Track2ViewError("pixels is model and fill is geometric, which takes no model; leave one of them out.")
        if named := settings.of_the_model():
            raise Track2ViewError(
                f"fill is geometric, which takes no model, and {named[0]} is a setting of one; leave one of them out."
            )
    if isinstance(move, str):
        scaled_move(move, settings.amount)
        check_ease(settings.ease)
        read_subject(settings.subject)
    if not isinstance(move, os.PathLike):
        for name in OF_A_CAMERA_FILE:
            if (value := getattr(settings, name)) != getattr(Refilm, name):
                raise Track2ViewError(f"{name} is {value!r} and the move is no camera file; leave {name} out.")
    if settings.path_scale is not None and not 0 < settings.path_scale < math.inf:
        raise Track2ViewError(
            f"path_scale is {settings.path_scale:g}; it must be the subject's distance in the path's own units, above "
            "0 and finite."
        )
    if tracks is None and tracker is None:
        check_options(settings.points, settings.motion, settings.fov_degrees)
    elif tracks is None and (settings.motion != Refilm.motion or settings.fov_degrees is not None):
        raise Track2ViewError("motion and fov_degrees are the built-in tracker's; leave them out beside another one.")


def _opened(clip: ClipFile | ClipStream | VideoClip, settings: Refilm) -> ClipStream | VideoClip:
    from .video import ClipStream, VideoClip, open_stream

    if isinstance(clip, VideoClip):
        return clip.first(settings.frames)
    return clip if isinstance(clip, ClipStream) else open_stream(clip, frames=settings.frames)


def _drawn_path(move: Move, settings: Refilm) -> tuple[CameraPath | None, tuple[Note, ...]]:
    """The path that is given, or that a camera file holds, and what to know of that; None for a preset's name."""
    from .cameras.formats.reading_and_writing import read_move

    if isinstance(move, str):
        return None, ()
    if not isinstance(move, os.PathLike):
        return move, ()
    return read_move(
        Path(move), camera=settings.camera_name, format=settings.camera_format,
        missing_frames=settings.missing_frames, quaternion_order=settings.quaternion_order, door=CAMERA_FILE,
    )  # fmt: skip


def models_of(settings: Refilm) -> Models:
    """The models that the settings name, loaded: to film several clips by them."""
    import torch

    from .wan.models import load_models

    dtype = getattr(torch, settings.dtype)
    return load_models(settings.model, settings.vae, settings.bundle, dtype=dtype, device=settings.device)


def _sampling(settings: Refilm, models: Models) -> SamplingConfig:
    """What the bundle was trained with, and the settings in its place where they say something."""
    from .wan.sampler import check_schedule

    trained = models.bundle.config.sampling
    chosen = {name: getattr(settings, name) for name in ("steps", "guidance", "shift")}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    check_schedule(trained.scheduler, chosen.get("steps", trained.steps), chosen.get("shift", trained.shift))
    return replace(trained, **chosen)


def _tracked(
    clip: VideoClip, settings: Refilm, tracker: PointTracker | None, models: Models | None, progress: Progress | None
) -> PointTracks:
    from .tracks.trackers import KltTracker

    if tracker is None:
        return KltTracker().track(
            clip.frames, points=settings.points, motion=settings.motion, fov_degrees=settings.fov_degrees,
            progress=progress,
        )  # fmt: skip
    with (
        nullcontext() if models is None else models.set_aside()
    ):  # a tracker in a process of its own may need the whole card
        return tracker.track(clip.frames, points=settings.points, progress=progress)


def _target_path(
    move: Move, drawn: CameraPath | None, settings: Refilm, tracks: PointTracks, size: tuple[int, int]
) -> tuple[CameraPath, tuple[Note, ...]]:
    """The target camera, and in words what the move came to; `size` is the clip's own, in whose pixels a subject is."""
    from .cameras import preset_path
    from .cameras.operations.composing import compose
    from .cameras.presets import move_notes
    from .tracks import subject_distance

    if isinstance(move, str):
        distance, found = subject_distance(tracks, settings.subject, size=size)
        path = preset_path(
            move, tracks.camera, amount=settings.amount, scene_scale=distance, ease=settings.ease,
            relative_to=settings.relative_to,
        )  # fmt: skip
        return path, (*move_notes(move, settings.amount, distance), found)
    scale = tracks.scene_scale
    assert drawn is not None  # a move of another kind is a path, or a file of one
    place = "on_top" if settings.relative_to == "source" else "instead"
    path = compose(tracks.camera, other=drawn, scene_scale=scale, place=place, other_scale=settings.path_scale or 0.0)
    name = Path(move).name if isinstance(move, os.PathLike) else "path"
    code = "path_move" if len(drawn) == len(tracks) else "path_move_spread"
    return path, (Note.of(code, name=name, frames=len(drawn)), Note.of("scene_scale", scale=scale))


def _painted(
    taken: TakenClip,
    paired: PairedTracks,
    models: Models,
    settings: Refilm,
    sampling: SamplingConfig,
    tell: Callable[..., None],
    progress: Progress | None,
) -> Tensor:
    """The model's pictures, prepared size."""
    from .wan.rerender import rerender, rerender_notes, source_home

    chosen = {"steps": sampling.steps, "guidance": sampling.guidance, "shift": sampling.shift, "seed": settings.seed}
    frames, high, wide = taken.prepared.shape[:3]
    unusual = rerender_notes(taken.prepared, models=models, prompt=settings.prompt, guidance=settings.guidance)
    home, kept = source_home(taken.prepared, models=models, tracks=paired.visible.shape[1], guidance=settings.guidance)
    tell("sampling", Note.of("sampling", frames=frames, width=wide, height=high, **chosen), *unusual, *kept)
    return rerender(
        taken.prepared, paired, models=models, prompt=settings.prompt, negative_prompt=settings.negative_prompt,
        source_states=home, progress=progress, **chosen,
    )  # fmt: skip


def _rendered(
    source: ClipStream | VideoClip,
    taken: TakenClip,
    geometry: ClipGeometry,
    path: CameraPath,
    painted: Tensor | None,
    device: str,
    progress: Progress | None,
) -> tuple[VideoClip, Tensor, tuple[Note, ...]]:
    """The clip's own pixels from the target camera at the clip's own size, over the model's picture if there is one;
    which of them are known; what that comes to.

    A stream whose pictures are larger than those that were analysed is decoded again, so that none of them is held.
    """
    import numpy as np
    import torch

    from .render.known_pixels import kept_picture
    from .render.target_view import target_frames
    from .render.view_notes import known_notes
    from .video import VideoClip, own_pictures, restore_clip
    from .video.resizing import resize_picture

    info, clip = taken.info, taken.clip
    assert clip is not None
    size = info.width, info.height
    own = own_pictures(clip if (clip.width, clip.height) == size else source)
    pictures = (torch.from_numpy(picture) for picture in own)
    under = None if painted is None else restore_clip(painted, info, size="keep").frames
    made = torch.empty((info.frames, info.height, info.width, 3), dtype=torch.uint8)
    known = torch.empty(clip.frames.shape[:3], dtype=torch.bool)
    shares = []
    views = target_frames(pictures, geometry, path.resized(*size), plates=clip.frames, device=device)
    for t, view in enumerate(views):
        picture, shown = view.picture.cpu().numpy(), ~view.hole.cpu().numpy()
        made.numpy()[t] = picture if under is None else kept_picture(under[t].numpy(), picture, shown)
        known.numpy()[t] = resize_picture(shown.astype(np.uint8), clip.width, clip.height) > 0
        shares.append(float(shown.mean()))
        if progress is not None:
            progress(t + 1, info.frames, "Rendering")
    notes = known_notes(shares, "surroundings" if under is None else "model")
    result = VideoClip(made, info.fps, info.audio, notes=info.notes, pixel_aspect=info.pixel_aspect)
    return result, known, notes
