"""A stand-in for the user's checkout of SpatialTrackerV2: its entry points and output shapes over an exact scene.

The scene is a slanted plane with a part that moves, before a camera that turns and wanders. Frame number and pixel can
be read off the colours of the clip (`clip`), so the stand-in knows which frame of a long clip it is given, and a test
knows where each track was asked to start.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from track2view_core.tracks.trackers.spatial_tracker import TrackerProfile, tracker
from track2view_core.tracks.trackers.spatial_tracker.tracker import WORKER

FOCAL, SKY = 0.9, 0.12  # in widths of the clip; the share of the height at the top whose depth is not certain
PARTS = ("front", "offline", "online")

SCENE = '''
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parents[1]
BEHAVIOUR = json.loads((HERE / "behaviour.json").read_text())
NORMAL, DISTANCE = np.array([0.2, 0.1, 1.0]), 4.0  # of the plane, in the world


def act(when):
    if BEHAVIOUR.get("crash") == when:
        print("a line before", file=sys.stderr)
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    if BEHAVIOUR.get("hang") == when:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (HERE / "children.json").write_text(json.dumps([child.pid]))
        time.sleep(600)


def pose(g):
    """World from camera of frame g of the clip."""
    if BEHAVIOUR.get("standing"):
        return np.eye(4)
    a, b = 0.012 * g, 0.006 * g
    turn_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn_y @ turn_x, (-0.03 * g, 0.01 * g, 0.02 * g)
    return out


def frame_numbers(video):
    """Read off the red channel in the middle."""
    return video[:, 0, video.shape[2] // 2, video.shape[3] // 2].round().astype(int)


def lens(picture):
    """Intrinsics for whole-number pixel centres of the clip inside a picture [3, H, W], whose padding is white."""
    columns = np.flatnonzero((picture < 250).any(axis=(0, 1)))
    left, width, height = columns[0], len(columns), picture.shape[1]
    focal, aspect = BEHAVIOUR["focal"], BEHAVIOUR["aspect"]  # focal in clip widths, aspect = clip width / height
    out = np.eye(3)
    out[0, 0], out[1, 1] = focal * width, focal * aspect * height
    out[0, 2], out[1, 2] = left + width / 2 - 0.5, height / 2 - 0.5
    return out


def depth_map(g, k, height, width):
    y, x = np.mgrid[:height, :width]
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(k).T
    return hit(g, rays)


def hit(g, rays):
    """Depth along camera rays [..., 3] with z = 1 in frame g."""
    world = pose(g)
    along = rays @ world[:3, :3].T @ NORMAL
    return (DISTANCE - world[:3, 3] @ NORMAL) / along


def moved(points, g, born):
    """World points [n, 3] of frame born, where they are in frame g: those to the right rise along the plane."""
    return points + np.where(points[:, :1] > 0.6, 0.004 * (g - born)[:, None], 0.0) * [0.0, -1.0, 0.1]
'''

FRONT = """
import pathlib

import numpy as np
import torch

from models.scene import BEHAVIOUR, act, depth_map, frame_numbers, lens, pose


class VGGT4Track(torch.nn.Module):
    @classmethod
    def from_pretrained(cls, name):
        assert (pathlib.Path(name) / "model.safetensors").is_file()
        print("Loading weights from local directory")  # noise on standard output
        return cls()

    def forward(self, video):
        act("front")
        assert video.ndim == 5 and len(video) == 1 and video.max() <= 1.0
        pictures = (video[0] * 255).numpy()
        numbers, k = frame_numbers(pictures), lens(pictures[0])
        unit = 1.0 + 0.01 * numbers[0]  # every piece has a scale of its own
        height, width = pictures.shape[2:]
        depth = unit * np.stack([depth_map(g, k, height, width) for g in numbers])
        points = np.zeros((*depth.shape, 3))
        points[..., 2] = depth
        certain = np.ones(depth.shape)
        certain[:, : int(BEHAVIOUR["sky"] * height)] = 0.1
        first = np.linalg.inv(pose(numbers[0]))
        poses = np.stack([first @ pose(g) for g in numbers])
        poses[:, :3, 3] *= unit
        float32 = lambda value: torch.from_numpy(np.asarray(value, np.float32))
        return {
            "poses_pred": float32(poses)[None],
            "intrs": float32(np.tile(k, (len(numbers), 1, 1)))[None],
            "points_map": float32(points),
            "unc_metric": float32(certain),
        }
"""

PREDICTOR = """
import json

import numpy as np
import torch

from models.scene import BEHAVIOUR, HERE, act, frame_numbers, hit, moved, pose

act("import")


class Tracks:
    track_num = 0


class Predictor(torch.nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name = name
        self.spatrack = Tracks()
        self.S_wind, self.overlap = (20, 6) if name.endswith("online") else (500, 4)

    @classmethod
    def from_pretrained(cls, name):
        return cls(name)

    def to(self, device):
        pass

    def forward(self, video, depth=None, unc_metric=None, intrs=None, extrs=None, queries=None, iters_track=4,
                full_point=False, fps=30, fixed_cam=False, query_no_BA=False, stage=0, support_frame=0,
                replace_ratio=0.6):
        act("track")
        frames, height, width = len(video), *video.shape[2:]
        assert depth.shape == (frames, height, width) == unc_metric.shape and stage == 1 and query_no_BA
        assert intrs.shape == (frames, 3, 3) and extrs.shape == (frames, 4, 4) and support_frame == frames - 1
        assert not unc_metric[:, (video[0] > 250).all(0).numpy()].any(), "padding is taken for a part of the clip"
        asked = {"fixed_cam": fixed_cam, "support": self.spatrack.track_num, "weights": self.name, "frames": frames,
                 "queries": len(queries), "size": [height, width], "full_point": full_point}
        with (HERE / "calls.jsonl").open("a") as log:
            log.write(json.dumps(asked) + "\\n")
        if not full_point:  # low-confidence queries go, random ones come: the order is lost
            sure = unc_metric[queries[:, 0].astype(int), queries[:, 2].astype(int), queries[:, 1].astype(int)] > 0.5
            queries = queries[np.concatenate([np.flatnonzero(sure), np.random.randint(0, sure.sum(), (~sure).sum())])]
        numbers = frame_numbers(video.numpy())
        unit = 1.0 + 0.01 * numbers[0]
        born = queries[:, 0].astype(int)
        k = intrs[0]
        rays = np.column_stack([queries[:, 1:], np.ones(len(queries))]) @ np.linalg.inv(k).T
        world = np.empty((len(queries), 3))
        for n, t in enumerate(born):
            world[n] = pose(numbers[t])[:3] @ [*(rays[n] * hit(numbers[t], rays[n : n + 1])), 1.0]
        track3d, track2d = np.zeros((frames, len(queries), 6)), np.zeros((frames, len(queries), 3))
        seen = np.zeros((frames, len(queries), 1))
        for t, g in enumerate(numbers):
            local = np.linalg.inv(pose(g)) @ np.column_stack([moved(world, g, numbers[born]), np.ones(len(world))]).T
            xyz = local[:3].T
            xy = (xyz / xyz[:, 2:]) @ k.T
            track3d[t, :, :3], track2d[t] = unit * xyz, np.column_stack([xy[:, :2], unit * xyz[:, 2]])
            inside = (xy[:, :2] > 0).all(1) & (xy[:, 0] < width - 1) & (xy[:, 1] < height - 1)
            seen[t, :, 0] = np.where(inside, 1.1, 0.25)  # the sigmoid plus 0.2
        if self.S_wind < frames:  # windows: nothing is known before the first one that holds the query
            start = np.maximum(0, -(-(born - self.S_wind + 1) // (self.S_wind - self.overlap)))
            before = np.arange(frames)[:, None] < start * (self.S_wind - self.overlap)
            track3d[before], track2d[before], seen[before] = 0.0, 0.0, 0.0
        float32 = lambda value: torch.from_numpy(np.asarray(value, np.float32))
        c2w = np.linalg.inv(extrs[:1]) @ extrs
        return (float32(c2w), float32(intrs), torch.zeros(frames, 3, height, width), float32(unc_metric),
                float32(track3d), float32(track2d), float32(seen), torch.full((*seen.shape,), 0.9), video)
"""


def write_checkout(folder: Path, *, aspect: float, **behaviour: object) -> TrackerProfile:
    """The stand-in under `folder`, and a profile of it that runs on this very Python."""
    parts = {
        "models/scene.py": SCENE,
        "models/SpaTrackV2/models/predictor.py": PREDICTOR,
        "models/SpaTrackV2/models/vggt4track/models/vggt_moe.py": FRONT,
        **{f"weights/{part}/{file}": "" for part in PARTS for file in ("config.json", "model.safetensors")},
        "behaviour.json": json.dumps({"aspect": aspect, "focal": FOCAL, "sky": SKY, **behaviour}),
    }
    for name, text in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    weights = {part: str(folder / "weights" / part) for part in PARTS}
    return TrackerProfile("stand-in", folder, Path(sys.executable), weights, device="cpu")


def calls(profile: TrackerProfile) -> list[dict[str, object]]:
    """What the stand-in's tracker was asked for, run by run."""
    lines = (profile.checkout / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def clip(frames: int, width: int, height: int) -> np.ndarray:
    """[T, H, W, 3] uint8: the frame number in red, the pixel in green and blue."""
    video = np.empty((frames, height, width, 3), np.uint8)
    video[..., 0] = np.arange(frames)[:, None, None]
    video[..., 1] = 240 * (np.arange(width) + 0.5) / width
    video[..., 2] = 240 * ((np.arange(height) + 0.5) / height)[:, None]
    return video


def asked_starts(colours: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame [N] and pixel [N, 2], to about a pixel, that colours of `clip` say tracks were asked to start at."""
    colours = colours.astype(float)
    return colours[:, 0].astype(int), (colours[:, 1:] + 0.5) / 240 * (width, height)


def scene(folder: Path) -> dict[str, object]:
    """The scene's own functions, for a test to compare with."""
    names: dict[str, object] = {"__file__": str(folder / "models/scene.py")}
    exec(compile((folder / "models/scene.py").read_text(encoding="utf-8"), "scene.py", "exec"), names)  # noqa: S102
    return names


def true_lens(width: int, height: int) -> np.ndarray:
    """The clip's intrinsics in continuous pixels."""
    return np.array([[FOCAL * width, 0, width / 2], [0, FOCAL * width, height / 2], [0, 0, 1.0]])


@contextmanager
def worker_in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs of the tracker call the worker here: the same code on the same files, without a new Python for each."""

    def run(command, *, folder, environment, watch, name):
        spec = importlib.util.spec_from_file_location("spatial_tracker_worker", WORKER)
        worker = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(worker)

        class Reporter(worker.Reporter):
            def __init__(self):
                pass

            def say(self, **message):
                watch(message)

        worker.Reporter = Reporter
        worker.main(Path(command[2]))

    monkeypatch.setattr(tracker, "run_watched", run)
    monkeypatch.setattr(torch.Tensor, "cuda", torch.Tensor.cuda)  # the worker replaces it
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "models"]:
        del sys.modules[name]
