"""Where the camera of a generated clip comes from. One estimator serves all clips and all methods of a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ..cameras import CameraPath
from ..cameras.formats import FORMATS
from ..cameras.formats.parsing import Source
from ..cameras.formats.path_format import Wanted
from ..cameras.formats.reading_and_writing import recorded, refuse_doubtful
from ..cameras.path_quality import lens_notes
from ..errors import Track2ViewError
from ..notes import Door
from ..progress import Progress
from ..scenes import random_scenes
from ..tracks import PointTracks
from .camera_fit import CameraFit, CameraFitter
from .run_manifest import CameraFile, Run, RunClip

RUN = Door("run.json", {"format": "format", "camera": "camera"})  # what a camera of run.json may state
ESTIMATORS = ("files", "klt", "photometric")


@dataclass(frozen=True, eq=False)
class KnownCamera:
    """A camera of a file: poses always, the lens [T, 3, 3] where the file has one."""

    world_from_camera: Tensor  # [T, 4, 4]
    lens: Tensor | None


@dataclass(frozen=True, eq=False)
class ClipCameras:
    """What is known of a clip's cameras before the generated one is estimated."""

    reference: KnownCamera
    source: KnownCamera | None
    width: int
    height: int


class Estimator(Protocol):
    name: str  # as the report prints it

    def estimate(
        self, video: Tensor, run: Run, clip: RunClip, cameras: ClipCameras, progress: Progress | None
    ) -> CameraFit:
        """The cameras of the generated video [T, H, W, 3]; a sentence raised means that they cannot be measured."""
        ...


def chosen_estimator(name: str) -> Estimator:
    known: dict[str, type[FileEstimator] | type[KltEstimator] | type[PhotometricEstimator]] = {
        "files": FileEstimator, "klt": KltEstimator, "photometric": PhotometricEstimator,
    }  # fmt: skip
    if name not in known:
        raise Track2ViewError(f"The estimator is {name!r}; it must be one of {', '.join(known)}.")
    return known[name]()


class FileEstimator:
    """Poses that another program (COLMAP, GLOMAP, VGGT, ...) read off the generated clips."""

    name = "poses from the run's own files (estimated_camera)"

    def estimate(
        self, video: Tensor, run: Run, clip: RunClip, cameras: ClipCameras, progress: Progress | None
    ) -> CameraFit:
        if clip.estimated_camera is None:
            raise Track2ViewError(f"The clip {clip.name} has no estimated_camera; add it, or take another estimator.")
        poses = read_camera(run, clip.estimated_camera, cameras.width, cameras.height).world_from_camera
        if len(poses) < len(video):
            raise Track2ViewError(
                f"The estimated camera of {clip.name} has {len(poses)} frames and the clip {len(video)}; its program "
                "did not find the others."
            )
        return whole_path(poses[: len(video)])


class KltEstimator:
    """The built-in tracker: corners followed through the clip, and a bundle adjustment; the reference's lens."""

    name = "built-in tracker (KLT and bundle adjustment), lens of the reference camera where it has one"

    def estimate(
        self, video: Tensor, run: Run, clip: RunClip, cameras: ClipCameras, progress: Progress | None
    ) -> CameraFit:
        lens, fov = cameras.reference.lens, None
        if lens is not None:
            fov = float(2 * torch.rad2deg(torch.atan(cameras.width / 2 / lens[0, 0, 0])))
        return tracked_camera(video, fov, progress)[1]


def tracked_camera(video: Tensor, fov: float | None, progress: Progress | None) -> tuple[PointTracks, CameraFit]:
    """The built-in tracker's points of a video [T, H, W, 3] uint8, and the camera that it read off it.

    fov: horizontal field of view in degrees; None where it is not known.
    """
    from ..tracks.trackers import KltTracker

    tracks = KltTracker().track(video, points=1024, fov_degrees=fov, progress=progress)
    fit = whole_path(tracks.camera.world_from_camera)
    # After a cut, or where nothing could be followed on, the tracker's camera begins anew at the origin.
    fit.measurable[frames_before_a_cut(tracks.visible) :] = False
    return tracks, fit


class PhotometricEstimator:
    """Exact fit of every frame against the scene it shows, which the project's renderer knows."""

    name = "photometric fit against the rendered scene"

    def estimate(
        self, video: Tensor, run: Run, clip: RunClip, cameras: ClipCameras, progress: Progress | None
    ) -> CameraFit:
        if clip.scene is None or cameras.source is None or cameras.reference.lens is None:
            raise Track2ViewError(
                f"The photometric fit of {clip.name} needs scene, source_camera and a reference_camera with its lens; "
                "give them in run.json, or take another estimator."
            )
        scene = random_scenes(1, seed=clip.scene.seed, texture=clip.scene.texture, dynamic=clip.scene.dynamic)  # type: ignore[arg-type]
        frames = len(video)
        fitter = CameraFitter(
            scene,
            cameras.source.world_from_camera[:frames],
            cameras.reference.world_from_camera[:frames],
            cameras.reference.lens[0],
            torch.linspace(0, 1, frames),
            width=cameras.width,
            height=cameras.height,
        )
        return fitter.fit(video)


def frames_before_a_cut(visible: Tensor) -> int:
    """How many frames of [T, N] are linked to the first by points that are visible on both sides of every step."""
    before = visible.cummax(0).values[:-1]
    after = visible.flip(0).cummax(0).values.flip(0)[1:]
    linked = (before & after).any(1)
    return 1 + int(linked.int().cumprod(0).sum())


def whole_path(poses: Tensor) -> CameraFit:
    """An estimate that holds in every frame."""
    count = len(poses)
    return CameraFit(torch.arange(count), poses.double(), torch.zeros(count), torch.ones(count, dtype=torch.bool))


def no_path(frames: int) -> CameraFit:
    """An estimate that holds in no frame but frame 0, the origin by definition."""
    measurable = torch.zeros(frames, dtype=torch.bool)
    measurable[0] = True
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    return CameraFit(torch.arange(frames), poses, torch.ones(frames), measurable)


def read_camera(run: Run, told: CameraFile, width: int, height: int) -> KnownCamera:
    """The poses of a camera file of the run; size and frame rate do not matter for them and need not be known."""
    file = run.file(told.file)
    if not file.exists():
        raise Track2ViewError(f"The camera file {told.file} does not exist; correct its name in run.json.")
    if told.format is not None and told.format not in FORMATS:
        raise Track2ViewError(f"There is no camera format {told.format[:40]!r}; take one of {', '.join(FORMATS)}.")
    source = Source(Path(file), RUN)
    try:
        recording = recorded(source, told.format, Wanted(told.camera))
    except OSError as error:
        raise Track2ViewError(f"The camera file {told.file} cannot be read ({error.strerror or error}).") from error
    if recording.gap is not None:
        source.refuse(recording.gap)
    refuse_doubtful(source, recording.notes)
    size = recording.size or (width, height)
    lens = None if recording.lens is None or recording.lens_problem else recording.lens(*size)
    if lens is not None:
        path = CameraPath(recording.world_from_camera, lens, *size)
        refuse_doubtful(source, lens_notes(path))
        lens = path.resized(width, height).intrinsics if size != (width, height) else lens
    return KnownCamera(recording.world_from_camera, lens)
