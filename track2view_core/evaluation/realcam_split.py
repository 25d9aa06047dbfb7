"""RealCam-Vid's test split as a benchmark: clips drawn by a seed, and a target camera for each.

The data set (RealEstate10K, static; MiraData, dynamic) gives source videos, captions and metric source cameras. Which
target trajectories the table of the Track2View page used is not known; the two ways offered here are this project's,
and the protocol of every run names the one it took:

- `moves`: one of the ten named moves of MultiCamVideo, drawn for each clip, from the first pose of its source camera.
- `exchanged`: the path of another drawn clip of the same group, from the first pose of this one.

Both share frame 0 with the source, as source and target do in training.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..cameras import CameraPath, preset_path
from ..cameras.formats import write_path
from ..cameras.formats.parsing import Source
from ..cameras.formats.path_format import complete
from ..cameras.formats.reading_and_writing import refuse_doubtful
from ..cameras.formats.realcamvid import clip_recording, listed_clips
from ..errors import Track2ViewError
from ..progress import Progress
from ..video import open_stream
from .run_manifest import CameraFile, Run, RunClip, relative_place, write_run

TRAJECTORIES = ("moves", "exchanged")
GROUPS: Mapping[str, str] = {"static": "realestate10k", "dynamic": "miradata"}
"""Group -> the part of a clip's `video_path` that tells it."""

METRES = 4.0
"""Distance of the subject that MultiCamVideo's arcs and crane moves turn about: 0.994 m up is 13.95 degrees down."""
MOVES: Mapping[str, float] = {
    "pan_left": 19.88 / 30, "pan_right": 19.88 / 30, "tilt_up": 9.94 / 20, "tilt_down": 9.94 / 20,
    "dolly_in": 1.988 / (0.4 * METRES), "dolly_out": 1.988 / (0.4 * METRES),
    "crane_up": 0.994 / (0.4 * METRES), "crane_down": 0.994 / (0.4 * METRES),
    "orbit_left": 29.82 / 30, "orbit_right": 29.82 / 30,
}  # fmt: skip
"""The ten named moves as presets with their amounts, at a scene scale of METRES."""


@dataclass(frozen=True)
class SplitClip:
    """A clip of the list that the benchmark takes."""

    place: int
    video: str
    caption: str
    group: str
    camera: CameraPath


@dataclass(frozen=True)
class Split:
    run: Run
    passed_over: Mapping[str, str]  # video -> why a drawn clip could not be taken, so that another was


def prepare_split(
    listed: Path,
    videos: Path,
    folder: Path,
    *,
    frames: int,
    static: int = 200,
    dynamic: int = 200,
    seed: int = 0,
    trajectory: str = "moves",
    method: str = "Track2View",
    progress: Progress | None = None,
) -> Split:
    """Write run.json and cameras/ into `folder`; generated clips are to be put where it says, generated/NAME.mp4.

    Args:
        listed: RealCam-Vid_test.npz, which is read as plain data and never run.
        videos: the data set's root, which `video_path` is relative to.
        frames: 25, 49 or 81, as the method makes at once: the first frames of each clip.
        static, dynamic: how many clips of RealEstate10K and of MiraData.
        seed: of the draw of clips and of trajectories; the same seed and files give the same benchmark.

    Raises:
        Track2ViewError: too few clips of a group are whole and long enough, with the commonest reason.
    """
    if trajectory not in TRAJECTORIES:
        raise Track2ViewError(f"The trajectory is {trajectory!r}; it must be one of {', '.join(TRAJECTORIES)}.")
    if frames < 2:
        raise Track2ViewError(f"The benchmark got {frames} frames; give 25, 49 or 81, and no fewer than 2.")
    if not listed.is_file():
        raise Track2ViewError(f"There is no file {listed}; give RealCam-Vid's list of test clips.")
    source = Source(listed)
    entries = listed_clips(source)
    taken: list[SplitClip] = []
    passed_over: dict[str, str] = {}
    for group, count in (("static", static), ("dynamic", dynamic)):
        taken += _drawn(entries, source, videos, group, count, frames, seed, passed_over, progress)
    if not taken:
        raise Track2ViewError("The benchmark was asked for no clips; give static and dynamic counts above 0.")
    targets = _targets(taken, trajectory, seed)
    (folder / "cameras").mkdir(parents=True, exist_ok=True)
    (folder / "generated").mkdir(exist_ok=True)
    clips = tuple(_written(clip, target, folder, videos) for clip, target in zip(taken, targets, strict=True))
    protocol = {
        "data": f"RealCam-Vid test split, {static} static (RealEstate10K) and {dynamic} dynamic (MiraData) clips "
        f"drawn by seed {seed}, their first {frames} frames",
        "target trajectories": _told(trajectory, seed),
    }
    run = Run(folder, method, frames, clips, protocol)
    write_run(run)
    return Split(run, passed_over)


def _drawn(
    entries: Sequence[Mapping[str, Any]],
    source: Source,
    videos: Path,
    group: str,
    count: int,
    frames: int,
    seed: int,
    passed_over: dict[str, str],
    progress: Progress | None,
) -> list[SplitClip]:
    """The first `count` usable clips of a group in an order drawn by the seed."""
    paths = [str(entry.get("video_path", "")) for entry in entries]
    places = [place for place, video in enumerate(paths) if GROUPS[group] in video.lower()]
    random.Random(f"{seed} {group}").shuffle(places)  # Python keeps this generator the same on every machine
    taken: list[SplitClip] = []
    for place in places:
        if len(taken) == count:
            break
        try:
            taken.append(_usable(entries[place], place, source, videos, group, frames))
        except (Track2ViewError, OSError) as error:
            passed_over[paths[place]] = str(error)
        if progress is not None:
            progress(len(taken), count, f"Choosing {group} clips")
    if len(taken) < count:
        reasons = [reason for video, reason in passed_over.items() if GROUPS[group] in video.lower()]
        why = f"; of the others, one is refused: {reasons[0].rstrip('.')}" if reasons else ""
        raise Track2ViewError(
            f"Of {len(places)} {group} clips in {source.file.name}, {len(taken)} can be used and {count} are asked "
            f"for{why}."
        )
    return taken


def _usable(entry: Mapping[str, Any], place: int, source: Source, videos: Path, group: str, frames: int) -> SplitClip:
    video = str(entry["video_path"])
    file = videos / video
    if ".." in Path(video).parts or Path(video).is_absolute():
        raise Track2ViewError(f"The video_path {video[:80]!r} leads out of the data set; take the published list.")
    stream = open_stream(file, frames=frames)
    if stream.wanted < frames:
        raise Track2ViewError(f"The clip {video} has {stream.wanted} frames and {frames} are asked for.")
    camera, notes = complete(
        clip_recording(source, dict(entry)), f"The camera of {video}", width=stream.width, height=stream.height,
        fov_degrees=None, fps=float(stream.timing.rate),
    )  # fmt: skip
    refuse_doubtful(source, notes)
    if len(camera) < frames:
        raise Track2ViewError(f"The camera of {video} has {len(camera)} frames and {frames} are asked for.")
    caption = str(entry.get("short_caption") or entry.get("long_caption") or "")
    return SplitClip(place, video, caption, group, camera.with_frames(range(frames)))


def _targets(taken: Sequence[SplitClip], trajectory: str, seed: int) -> list[CameraPath]:
    generator = random.Random(f"{seed} trajectories")
    if trajectory == "moves":
        names = [generator.choice(list(MOVES)) for _ in taken]
        return [
            preset_path(
                name, clip.camera, amount=MOVES[name], scene_scale=METRES, ease="linear", relative_to="first_frame"
            )
            for clip, name in zip(taken, names, strict=True)
        ]
    targets: dict[int, CameraPath] = {}
    for group in GROUPS:
        members = [clip for clip in taken if clip.group == group]
        if len(members) == 1:
            raise Track2ViewError(f"One {group} clip has no other to exchange paths with; ask for two or for moves.")
        generator.shuffle(members)
        for clip, other in zip(members, [*members[1:], *members[:1]], strict=True):
            targets[clip.place] = _moved_as(clip.camera, other.camera)
    return [targets[clip.place] for clip in taken]


def _moved_as(camera: CameraPath, other: CameraPath) -> CameraPath:
    """The movement of `other` from the first pose, and with the first lens, of `camera`."""
    held = camera.with_frames([0] * len(camera))
    return replace(held, world_from_camera=held.world_from_camera @ other.relative_to_first().world_from_camera)


def _written(clip: SplitClip, target: CameraPath, folder: Path, videos: Path) -> RunClip:
    name = f"{clip.place:05d}_{Path(clip.video).stem}"
    files = {role: f"cameras/{name}_{role}.json" for role in ("source", "target")}
    origin = torch.linalg.inv(clip.camera.world_from_camera[0])
    for path, file in ((clip.camera, files["source"]), (target, files["target"])):
        moved = replace(path, world_from_camera=origin @ path.world_from_camera)
        write_path(moved, folder / file, format="track2view_camera")
    return RunClip(
        name=name,
        generated=f"generated/{name}.mp4",
        source=relative_place(videos / clip.video, folder),
        prompt=clip.caption or None,
        reference_camera=CameraFile(files["target"]),
        source_camera=CameraFile(files["source"]),
        group=clip.group,
    )


def _told(trajectory: str, seed: int) -> str:
    if trajectory == "exchanged":
        return f"the path of another drawn clip of the same group (seed {seed}), from the source's first pose"
    return (
        f"one of MultiCamVideo's ten named moves (seed {seed}), linear in time, subject at {METRES:g} m, from the "
        "source's held first pose"
    )
