"""`track2view rerender IN OUT`: a video file along a preset camera move, or along the camera of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Track2ViewError
from ..notes import report_lines
from ..refilm import OF_A_CAMERA_FILE, Refilm, refilm
from ..tracks import load_tracks, save_tracks
from ..video import notes_of_writing
from .console import reporting, say, say_weights
from .door import RERENDER
from .hardware import chosen_hardware
from .own_tracker import chosen_tracker
from .results import result_files, write_results
from .staging import Staging, check_writable

if TYPE_CHECKING:
    from ..tracks.trackers import PointTracker

PRESET = "orbit_left"
VIDEO_ENDINGS = (".mp4", ".mov", ".mkv")
TRACK_ENDINGS = (".npz", ".safetensors")


@dataclass(frozen=True)
class Job:
    """What all clips of a command line are filmed by."""

    move: Path | str
    """A camera file, or the name of a preset."""
    settings: Refilm
    tracker: PointTracker | None
    """None: the built-in one."""

    @classmethod
    def of(
        cls,
        *,
        preset: str | None,
        camera: Path | None,
        tracker: str,
        profile: str | None,
        variant: str | None,
        device: str,
        dtype: str,
        tracked: bool = True,
        **chosen: Any,
    ) -> Job:
        """`chosen` are fields of `Refilm`, None where nothing was given; not `tracked`: the tracks are given."""
        check_camera(camera, chosen, preset)
        own = None
        if tracked:
            own = chosen_tracker(tracker, profile, variant, motion=chosen["motion"], fov_degrees=chosen["fov_degrees"])
        if own is not None:
            chosen["motion"] = None  # it has been told
        given = {name: value for name, value in chosen.items() if value is not None}
        device, dtype = chosen_hardware(device, dtype)
        return cls(camera or preset or PRESET, Refilm(device=device, dtype=dtype, **given), own)


def run(*, input: Path, output: Path, tracks: Path | None, save_tracks_to: Path | None, **chosen: Any) -> None:
    """`chosen` are what `Job.of` takes."""
    check_files(input, output, save_tracks_to)
    job = Job.of(**chosen, tracked=tracks is None)
    known = load_tracks(tracks) if tracks else None
    say("reading", str(input))
    say_weights(job.settings)
    with Staging() as staging:
        with reporting(RERENDER) as (report, progress):
            made = refilm(
                input, job.move, job.settings, tracks=known, tracker=job.tracker, report=report, progress=progress
            )
        if save_tracks_to:
            save_tracks(made.tracks, staging.path(save_tracks_to))
        write_results(made, output, staging)
    for file in (*result_files(output), *filter(None, [save_tracks_to])):
        say("wrote", str(file))
    say("size", *report_lines(notes_of_writing(made.clip), RERENDER))


def check_files(input: Path, output: Path, save_tracks_to: Path | None) -> None:
    """Refuse, before the first second of work, results that could not be written."""
    check_writable("OUT", output, VIDEO_ENDINGS)
    if save_tracks_to:
        check_writable("--save-tracks", save_tracks_to, TRACK_ENDINGS)
    for file in result_files(output):
        if file.exists() and input.exists() and file.samefile(input):
            raise Track2ViewError(f"The run would write over its own input {input}; give OUT another name.")


def check_camera(camera: Path | None, chosen: dict[str, Any], preset: str | None) -> None:
    """A camera file has a move of its own, and is alone in having units of its own."""
    of_preset = {"--preset": preset, "--amount": chosen["amount"], "--ease": chosen["ease"]}
    of_preset["--subject"] = chosen["subject"]
    doubled = [option for option, value in of_preset.items() if value is not None]
    if camera is not None and doubled:
        raise Track2ViewError(
            f"--camera and {doubled[0]} both say how the camera moves; leave one of them out: a file has a move, an "
            "amount and an easing of its own."
        )
    of_file = {"--" + name.replace("_", "-"): chosen[name] for name in OF_A_CAMERA_FILE}
    idle = [option for option, value in of_file.items() if value is not None]
    if camera is None and idle:
        raise Track2ViewError(
            f"{idle[0]} is {of_file[idle[0]]} and there is no --camera, of whose file it is; add the camera file, or "
            f"leave {idle[0]} out."
        )
    if camera is None and chosen["path_scale"] is not None:
        raise Track2ViewError(
            f"--camera-distance is {chosen['path_scale']:g} and there is no --camera, in whose units it is; add the "
            "camera file, or leave the distance out."
        )
