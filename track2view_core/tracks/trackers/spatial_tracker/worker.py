"""Runs in the user's own SpaTrackerV2 checkout with the user's own Python; imports numpy, torch and its `models` alone.

`python worker.py FOLDER`: FOLDER/request.json and request.npz in, FOLDER/result.npz out, all plain arrays that are
never unpickled. Progress goes to standard output, one JSON object a line; what the checkout prints goes to standard
error. Nothing of Track2View is imported here, and nothing of the checkout anywhere else.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path

EDGE = 0.03  # a relative step of depth to the neighbouring pixels above this is an edge
FARTHEST = 10.0  # the tracker takes depth beyond this many lower quartiles for sky
SHARES = {"loading": (0.0, 0.1), "geometry": (0.1, 0.45), "tracking": (0.45, 0.97), "writing": (0.97, 1.0)}
STAGES = {
    "loading": "loading SpatialTrackerV2",
    "geometry": "estimating depth and cameras",
    "tracking": "tracking points",
    "writing": "writing the tracks",
}


class Refusal(Exception):
    """One sentence for the user."""


class Reporter:
    """Writes to the real standard output; the checkout's own prints are sent elsewhere."""

    def __init__(self):
        sys.stdout.flush()
        self._stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        threading.Thread(target=self._beat, daemon=True).start()

    def say(self, **message):
        with self._lock:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()

    def stage(self, name, share=0.0):
        start, stop = SHARES[name]
        self.say(stage=STAGES[name], share=start + (stop - start) * min(share, 1.0))

    def _beat(self):
        """End with the parent, whichever way it ended: nobody reads any more."""
        while True:
            time.sleep(1.0)
            try:
                self.say()
            except OSError:
                os._exit(1)

    def count_calls(self, modules, calls, name):
        """Report `calls` calls of torch modules as the progress of stage `name`."""
        done = 0

        def called(*_):
            nonlocal done
            done += 1
            self.stage(name, done / max(calls, 1))

        for module in modules:
            module.register_forward_hook(called)


def main(folder):
    reporter = Reporter()
    try:
        request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        reporter.stage("loading")
        libraries = import_checkout(request)
        import numpy as np

        with np.load(folder / "request.npz", allow_pickle=False) as arrays:
            frames, queries = arrays["frames"], arrays["queries"]
        result = track(libraries, request, frames, queries, reporter)
        reporter.stage("writing")
        with (folder / "result.part").open("wb") as stream:
            np.savez(stream, **result)
        (folder / "result.part").replace(folder / "result.npz")
    except Refusal as refusal:
        reporter.say(error=str(refusal))


def import_checkout(request):
    neighbours = str(Path(__file__).parent)  # must not stand in for modules of the checkout
    sys.path[:] = [request["checkout"], *(entry for entry in sys.path if entry != neighbours)]
    with contextlib.suppress(ImportError):
        __import__("pycolmap")  # as the checkout's own scripts do: before torch, or their libraries collide
    try:
        import torch
        from models.SpaTrackV2.models.predictor import Predictor
        from models.SpaTrackV2.models.vggt4track.models.vggt_moe import VGGT4Track
    except ImportError as error:
        raise Refusal(
            f"The Python {sys.executable} cannot import SpatialTrackerV2 ({error}); install the requirements of "
            f"{request['checkout']} into it, or set python to the one that has them."
        ) from error
    device = torch.device(request["device"])
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Refusal(
            f"The Python {sys.executable} sees no CUDA device; install a CUDA build of torch in it, or set device to "
            "cpu in the profile."
        )
    if device.type == "cpu":  # the checkout calls .cuda() by name
        # Less than what it stands for takes, and all that the checkout calls.
        torch.Tensor.cuda = lambda tensor, *_, **__: tensor  # pyright: ignore[reportAttributeAccessIssue]
    elif device.index is not None:
        torch.cuda.set_device(device)
    torch.manual_seed(0)  # support points are drawn at random
    return torch, VGGT4Track, Predictor, device


def load_weights(model, folder):
    try:
        return model.from_pretrained(folder)
    except OSError as error:
        raise Refusal(
            f"The weights in {folder} cannot be loaded ({type(error).__name__}); download them again, or name another "
            "folder in the profile."
        ) from error


def track(libraries, request, frames, queries, reporter):
    torch, front_class, tracker_class, device = libraries
    video = torch.from_numpy(frames).permute(0, 3, 1, 2).float()  # [T, 3, H, W] 0..255

    def precision():
        return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()

    front = load_weights(front_class, request["weights"]["front"]).eval().to(device)
    watch_front(front, reporter)
    reporter.stage("geometry")
    with torch.no_grad(), precision():
        poses, intrinsics, depth, certain = geometry(front(video[None].to(device) / 255), len(frames))
    left, right = request["content"]
    certain[:, :, :left] = certain[:, :, right:] = False  # padding
    del front
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if request["camera_fixed"]:
        poses = torch.eye(4).repeat(len(frames), 1, 1)
        intrinsics = intrinsics.median(dim=0).values.repeat(len(frames), 1, 1)
    kept = choose(torch, queries, depth, certain, request["carried"], request["new"])

    tracker = load_weights(tracker_class, request["weights"]["tracker"])
    tracker.spatrack.track_num = request["support_points"]
    tracker.eval()
    tracker.to(device)  # gives nothing back
    watch_tracker(tracker, len(frames), request["iterations"], reporter)
    reporter.stage("tracking")
    with torch.no_grad(), precision():
        found = tracker.forward(
            video,
            depth=depth.numpy(),
            intrs=intrinsics.numpy(),
            extrs=poses.numpy(),
            unc_metric=certain.numpy(),
            queries=queries[kept],
            fps=1,
            full_point=True,  # without it queries are dropped and random ones appended, and the order is lost
            iters_track=request["iterations"],
            query_no_BA=True,
            fixed_cam=request["camera_fixed"],
            stage=1,
            support_frame=len(frames) - 1,
            replace_ratio=0.2,
        )
    camera, lens, _, _, points, pixels, visibility, confidence = (plain(value) for value in found[:8])
    return {
        "kept": kept,
        "world_from_camera": camera,
        "intrinsics": lens,
        "camera_points": points[..., :3],
        "pixels": pixels[..., :2],
        "visibility": visibility[..., 0],
        "confidence": confidence[..., 0],
    }


def geometry(predicted, frames):
    """Poses [T, 4, 4] camera-to-world, intrinsics [T, 3, 3], depth [T, H, W] and where it is certain, on the CPU."""
    depth = predicted["points_map"][..., 2].reshape(frames, *predicted["points_map"].shape[-3:-1])
    certain = predicted["unc_metric"].reshape(depth.shape) > 0.5
    poses, intrinsics = predicted["poses_pred"].reshape(frames, 4, 4), predicted["intrs"].reshape(frames, 3, 3)
    return tuple(value.float().cpu() for value in (poses, intrinsics, depth, certain))


def choose(torch, queries, depth, certain, carried, new):
    """Indices of the queries [N, 3] (frame, x, y) to track: where depth is certain, no edge and no sky.

    The first `carried` queries come from an earlier piece of the clip; of the others at most `new` are taken, in order.
    """
    frame, x, y = torch.from_numpy(queries).round().long().unbind(1)
    x, y = x.clamp(0, depth.shape[2] - 1), y.clamp(0, depth.shape[1] - 1)
    highest = torch.nn.functional.max_pool2d(depth[:, None], 3, 1, 1)[:, 0]
    lowest = -torch.nn.functional.max_pool2d(-depth[:, None], 3, 1, 1)[:, 0]
    positive = depth[depth > 0][:: max(1, depth.numel() // 1_000_000)]  # quantile has a limit
    if len(positive) == 0:
        raise Refusal("SpatialTrackerV2 found no depth in front of the camera; track another part of the clip.")
    here = depth[frame, y, x]
    good = (certain[frame, y, x] > 0.5) & (here > 0) & (here < FARTHEST * positive.quantile(0.25))
    no_edge = (highest - lowest)[frame, y, x] < EDGE * here
    wanted = good & no_edge if (good & no_edge).sum() >= new / 2 else good  # edges, rather than hardly any points
    old = wanted[:carried].nonzero()[:, 0]
    fresh = wanted[carried:].nonzero()[:new, 0] + carried
    kept = torch.cat([old, fresh])
    if len(kept) == 0:
        raise Refusal(
            f"SpatialTrackerV2 is certain of the depth at none of the {len(queries)} points where tracks could start; "
            "use the other tracker for this clip."
        )
    return kept.numpy()


def watch_front(front, reporter):
    blocks = getattr(getattr(front, "aggregator", None), "frame_blocks", ())
    reporter.count_calls(blocks, len(blocks), "geometry")


def watch_tracker(tracker, frames, iterations, reporter):
    step = getattr(getattr(tracker.spatrack, "Track3D", None), "updateformer3D", None)
    window, overlap = getattr(tracker, "S_wind", frames), getattr(tracker, "overlap", 0)
    windows = 1 if frames <= window else 1 + -(-(frames - window) // max(1, window - overlap))
    reporter.count_calls(() if step is None else (step,), iterations * windows, "tracking")


def plain(value):
    return value.detach().float().cpu().numpy()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
