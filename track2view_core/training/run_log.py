"""What a run says as it goes: figures and events in `log.jsonl`, samples as pictures, and the same for TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..preview import write_picture
from ..preview.drawing import GAP, GROUND, caption, pane
from ..video import VideoClip, write_clip

SHOWN = 4  # frames of a clip on the sheet
_LEAST_SIDE = 128


class RunLog:
    """One JSON object a line: figures of a step, or an event with a sentence. A full disk never stops the run."""

    def __init__(self, folder: Path, start: int, *, tensorboard: bool = True, write: bool = True) -> None:
        """start: the step from which the run goes on. write: False in all processes but the first."""
        self.folder, self.file = folder, folder / "log.jsonl" if write else None
        self.lost = 0  # writes of any kind that failed
        if self.file is not None:
            _keep_up_to(self.file, start)
        self._events = _tensorboard(folder / "tensorboard", start) if tensorboard and write else None

    def figures(self, step: int, values: dict[str, Any]) -> None:
        self._write({"step": step, **values})
        for name, value in values.items():
            if isinstance(value, int | float):
                self._tell("add_scalar", name, value, step)

    def event(self, step: int, kind: str, sentence: str) -> None:
        self._write({"step": step, "event": kind, "text": sentence})

    def samples(self, step: int, name: str, samples: Samples) -> None:
        """`samples/step_N.png`, a sheet of a few frames, and `samples/step_N.mp4`, all of them."""
        if self.file is None:
            return
        sheet = contact_sheet(samples.rows)
        self._tell("add_image", name, sheet.numpy(), step, dataformats="HWC")
        file = self.folder / "samples" / f"step_{step:08d}"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_picture(sheet, file.with_suffix(".png"))
            rate = Fraction(samples.fps).limit_denominator(1001)
            write_clip(VideoClip(beside_each_other(samples.rows), rate), file.with_suffix(".mp4"))
        except OSError as error:
            self.lost += 1
            self.event(step, "failed_write", f"The samples of step {step} were not written: {error}.")

    def close(self) -> None:
        self._tell("close")

    def _write(self, line: dict[str, Any]) -> None:
        if self.file is None:
            return
        try:
            with self.file.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line) + "\n")
        except OSError:
            self.lost += 1

    def _tell(self, method: str, *arguments: Any, **options: Any) -> None:
        if self._events is None:
            return
        try:
            getattr(self._events, method)(*arguments, **options)
        except OSError as error:
            self._events, self.lost = None, self.lost + 1
            self._write({"event": "tensorboard_ended", "text": f"TensorBoard's events could not be written: {error}."})


def _keep_up_to(file: Path, step: int) -> None:
    """Drop the lines after `step`: a run that goes on from a checkpoint writes them again."""
    if not file.is_file():
        return
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line).get("step", 0) <= step:
                kept.append(line)
        except ValueError:  # cut off by a kill
            continue
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    temporary.replace(file)


def _tensorboard(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise Track2ViewError(
            "tensorboard is true, and TensorBoard is not installed; pip install 'track2view[train]', or set it false."
        ) from error
    return SummaryWriter(str(folder), purge_step=start + 1 if start else None)


@dataclass(frozen=True, eq=False)
class Samples:
    """Clips beside what they should be."""

    rows: Sequence[Mapping[str, Tensor]]
    """One a held-out clip: clips [T, H, W, 3] uint8 by name."""
    fps: float


def contact_sheet(rows: Sequence[Mapping[str, Tensor]]) -> Tensor:  # [h, w, 3] uint8
    """One block a row of clips [T, H, W, 3] uint8 by name: a line of frames for each, under each other."""
    blocks = []
    for clips in rows:
        for name, clip in clips.items():
            shown = torch.linspace(0, len(clip) - 1, min(SHOWN, len(clip))).round().long()
            blocks.append(_line([_tile(clip[t], name if i == 0 else "") for i, t in enumerate(shown.tolist())]))
        blocks.append(_ground(GAP, blocks[-1].shape[1]))
    return torch.cat(blocks[:-1])


def beside_each_other(rows: Sequence[Mapping[str, Tensor]]) -> Tensor:  # [T, h, w, 3] uint8, even sides
    """All frames: one line a row of clips, its clips side by side."""
    count = min(len(clip) for clips in rows for clip in clips.values())
    frames = []
    for t in range(count):
        picture = torch.cat([_line([_tile(clip[t], name) for name, clip in clips.items()]) for clips in rows])
        frames.append(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
    return torch.stack(frames)


def _tile(picture: Tensor, name: str) -> Tensor:
    height, width = picture.shape[:2]
    times = max(1, -(-_LEAST_SIDE // min(height, width)))
    drawn = pane(picture, (times * width, times * height))
    if name:
        caption(drawn, name)
    return torch.from_numpy(drawn)


def _line(tiles: Sequence[Tensor]) -> Tensor:
    gap = _ground(tiles[0].shape[0], GAP)
    return torch.cat([part for tile in tiles for part in (tile, gap)][:-1], 1)


def _ground(height: int, width: int) -> Tensor:
    return torch.tensor(GROUND, dtype=torch.uint8).expand(height, width, 3)


@dataclass
class Meter:
    """The figures between two lines of the log; they travel in checkpoints, so that a line is the same after a stop."""

    losses: dict[str, list[float]] = field(default_factory=dict)  # name -> [sum, count]
    samples: int = 0
    seconds: float = 0.0
    total_seconds: float = 0.0
    rate: float = 0.0
    norm: float = 0.0
    skipped: int = 0  # over the whole run, as is `broken`
    broken: int = 0

    def loss(self, name: str, value: float, samples: int) -> None:
        for key in {"loss", f"loss/{name}" if name else "loss"}:
            entry = self.losses.setdefault(key, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1
        self.samples += samples

    def step(self, rate: float, norm: float, finite: bool) -> None:
        self.rate, self.norm = rate, norm
        self.skipped += not finite

    def figures(self, processes: int) -> dict[str, float]:
        """Means since the last line; those of the first process where there are several."""
        means = {name: total / count for name, (total, count) in sorted(self.losses.items())}
        speed = self.samples * processes / self.seconds if self.seconds else 0.0
        return {
            **means,
            "rate": self.rate,
            "gradient_norm": self.norm,
            "samples_per_second": round(speed, 3),
            "seconds": round(self.total_seconds + self.seconds, 1),
            "skipped_steps": self.skipped,
            "broken_samples": self.broken,
        }

    def start_line(self) -> None:
        self.losses = {}
        self.samples = 0
        self.total_seconds, self.seconds = self.total_seconds + self.seconds, 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Meter:
        return cls(**values)
