"""Where the user's own SpatialTrackerV2 lies. A profile names programs to run, so it comes from this machine alone.

Two sources: a JSON file that the user wrote, and environment variables. No widget, link or workflow can name a program.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ....errors import Track2ViewError

SECTION = "spatial_tracker_v2"
ENVIRONMENT_PROFILE = "environment"
VARIABLE = "TRACK2VIEW_SPATIAL_TRACKER"
PUBLISHED_WEIGHTS = {
    "front": "Yuxihenry/SpatialTrackerV2_Front",
    "offline": "Yuxihenry/SpatialTrackerV2-Offline",
    "online": "Yuxihenry/SpatialTrackerV2-Online",
}
MOST_FRAMES = 500
"""What the offline tracker takes at once; longer clips are cut into overlapping pieces."""
FEWEST_FRAMES = 16
ENTRY_POINTS = (
    "models/SpaTrackV2/models/predictor.py",
    "models/SpaTrackV2/models/vggt4track/models/vggt_moe.py",
)
WEIGHT_FILES = ("config.json", "model.safetensors")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class TrackerProfile:
    """One install: the checkout, the Python that has its requirements, and the weights.

    Weights are folders with config.json and model.safetensors, or the names of Hugging Face repositories that were
    downloaded into that Python's cache before.
    """

    name: str
    checkout: Path
    python: Path
    weights: Mapping[str, str] = field(default_factory=lambda: dict(PUBLISHED_WEIGHTS))  # front, offline, online
    device: str = "cuda"
    frames_at_once: int = MOST_FRAMES

    def check(self, variant: str, environment: Mapping[str, str]) -> dict[str, str]:
        """The folders of the weights that `variant` needs: "front" and "tracker".

        Raises:
            Track2ViewError: something is not there; it names the first, before anything is started.
        """
        where = f"profile {self.name!r} of SpatialTrackerV2"
        if not self.checkout.is_dir():
            raise Track2ViewError(
                f"The checkout {self.checkout} of {where} is no folder; set checkout to your clone of SpaTrackerV2."
            )
        for part in ENTRY_POINTS:
            if not (self.checkout / part).is_file():
                raise Track2ViewError(
                    f"The checkout {self.checkout} of {where} has no {part}; set checkout to the top folder of your "
                    "clone of SpaTrackerV2."
                )
        if not self.python.is_file():
            raise Track2ViewError(
                f"The Python {self.python} of {where} does not exist; set python to the interpreter that has the "
                "requirements of SpaTrackerV2."
            )
        cache = _hub_cache(environment)
        front, tracker = (str(self._weights(part, cache, where)) for part in ("front", variant))
        return {"front": front, "tracker": tracker}

    def _weights(self, part: str, cache: Path, where: str) -> Path:
        """A folder in any case: by a bare name the checkout would fetch, or unpickle, what it finds."""
        named = self.weights[part]
        folder = Path(named).expanduser()
        if folder.is_dir():
            for file in WEIGHT_FILES:
                if not (folder / file).is_file():
                    raise Track2ViewError(
                        f"The weights {named} ({part}) of {where} lack {file}; download the whole repository "
                        f"{PUBLISHED_WEIGHTS[part]} into that folder."
                    )
            return folder.resolve()
        if folder.is_absolute() or not _HUB_NAME.fullmatch(named):
            raise Track2ViewError(
                f"The weights {named} ({part}) of {where} are no folder; set weights.{part} to the one that holds them."
            )
        snapshots = (cache / f"models--{named.replace('/', '--')}" / "snapshots").glob("*")
        whole = [snapshot for snapshot in snapshots if all((snapshot / file).is_file() for file in WEIGHT_FILES)]
        if not whole:
            raise Track2ViewError(
                f"The weights {named} ({part}) of {where} are not in {cache}; run hf download {named}, or set "
                f"weights.{part} to a folder that holds {' and '.join(WEIGHT_FILES)}."
            )
        return max(whole, key=lambda snapshot: snapshot.stat().st_mtime)


def _hub_cache(environment: Mapping[str, str]) -> Path:
    """Where Hugging Face's own tools keep what they downloaded."""
    for name, below in (("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")):
        if environment.get(name):
            return Path(environment[name]).expanduser() / below
    return Path.home() / ".cache" / "huggingface" / "hub"


def read_profiles(file: str | Path | None, environment: Mapping[str, str]) -> dict[str, TrackerProfile]:
    """The profiles by name: those of `file`, which need not exist, then the one of the environment variables.

    The file holds `{"spatial_tracker_v2": {NAME: {"checkout", "python", "weights"?, "device"?, "frames_at_once"?}}}`;
    other sections belong to others. The variables are TRACK2VIEW_SPATIAL_TRACKER_CHECKOUT and _PYTHON, and if need be
    _WEIGHTS (a folder with the folders front, offline and online), _DEVICE and _FRAMES_AT_ONCE.

    Raises:
        Track2ViewError: the file is not JSON of this form, or a value is none; it names the file, profile and entry.
    """
    found = {}
    for name, entry in _entries(Path(file)).items() if file is not None else ():
        found[name] = _profile(name, entry, f"Profile {name!r} in {file}")
    if (of_environment := _environment_entry(environment)) is not None:
        found[ENVIRONMENT_PROFILE] = _profile(ENVIRONMENT_PROFILE, of_environment, f"The environment ({VARIABLE}_...)")
    return found


def chosen_profile(
    file: str | Path, environment: Mapping[str, str], name: str | None, *, option: str, instead: str
) -> TrackerProfile:
    """The profile of that name, or the only one where no name is given.

    Args:
        option: what the user calls the name, for messages.
        instead: what works without any profile, for messages.

    Raises:
        Track2ViewError: as `read_profiles`, or there is no such profile.
    """
    profiles = read_profiles(file, environment)
    if not profiles:
        raise Track2ViewError(
            f"No install of SpatialTrackerV2 is known; write {file} as docs/TRACKERS.md shows, or {instead}."
        )
    if name is None and len(profiles) == 1:
        return next(iter(profiles.values()))
    if name not in profiles:
        came = "not given" if name is None else f'"{name}"'
        raise Track2ViewError(f"{option} is {came}; choose one of {', '.join(profiles)}, or add it to {file}.")
    return profiles[name]


def _entries(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Track2ViewError(f"The tracker file {file} is not readable JSON ({error}); mend or remove it.") from error
    section = content.get(SECTION, {}) if isinstance(content, dict) else None
    if not isinstance(section, dict) or not all(isinstance(entry, dict) for entry in section.values()):
        raise Track2ViewError(
            f'The tracker file {file} must hold {{"{SECTION}": {{NAME: {{"checkout": ..., "python": ...}}}}}}; '
            "write it as docs/TRACKERS.md shows."
        )
    return section


def _environment_entry(environment: Mapping[str, str]) -> dict[str, Any] | None:
    entry: dict[str, Any] = {
        key: environment[f"{VARIABLE}_{key.upper()}"]
        for key in ("checkout", "python", "weights", "device", "frames_at_once")
        if environment.get(f"{VARIABLE}_{key.upper()}")
    }
    if not entry:
        return None
    if "weights" in entry:
        entry["weights"] = {part: str(Path(entry["weights"]) / part) for part in PUBLISHED_WEIGHTS}
    if "frames_at_once" in entry and entry["frames_at_once"].isdecimal():
        entry["frames_at_once"] = int(entry["frames_at_once"])
    return entry


def _profile(name: str, entry: dict[str, Any], where: str) -> TrackerProfile:
    known = {known.name for known in fields(TrackerProfile)} - {"name"}
    if unknown := sorted(entry.keys() - known):
        raise Track2ViewError(f"{where} has the entry {unknown[0]!r}; known are {', '.join(sorted(known))}.")
    folders = {key: _absolute(entry.get(key), key, where) for key in ("checkout", "python")}
    weights = entry.get("weights", {})
    if not isinstance(weights, dict) or not all(
        part in PUBLISHED_WEIGHTS and isinstance(named, str) and named for part, named in weights.items()
    ):
        raise Track2ViewError(
            f"{where} gives weights as {weights!r}; name a folder or a Hugging Face repository for any of "
            "front, offline and online."
        )
    device = entry.get("device", "cuda")
    if not isinstance(device, str) or not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise Track2ViewError(f"{where} gives device as {device!r}; it must be cuda, cuda:1 and so on, or cpu.")
    frames = entry.get("frames_at_once", MOST_FRAMES)
    if not isinstance(frames, int) or isinstance(frames, bool) or not FEWEST_FRAMES <= frames <= MOST_FRAMES:
        raise Track2ViewError(
            f"{where} gives frames_at_once as {frames!r}; it must be a whole number from {FEWEST_FRAMES} to "
            f"{MOST_FRAMES}."
        )
    return TrackerProfile(
        name, folders["checkout"], folders["python"], {**PUBLISHED_WEIGHTS, **weights}, device, frames
    )


def _absolute(value: object, key: str, where: str) -> Path:
    path = Path(value).expanduser() if isinstance(value, str) and value else None
    if path is None or not path.is_absolute():
        raise Track2ViewError(f"{where} gives {key} as {value!r}; it must be a whole path from the root.")
    return path
