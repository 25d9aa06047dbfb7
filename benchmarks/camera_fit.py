"""Is the camera fit honest? The true video must come out right, and no impostor may pass for good.

python -m benchmarks.camera_fit                the table, on the evaluation's kind of scenes
python -m benchmarks.camera_fit --calibrate    the threshold, on scenes of their own
"""

from __future__ import annotations

import argparse
import time

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from benchmarks.held_out_clips import CALIBRATION_SEED, EVALUATION_SEED, HeldOutClip, held_out_clips
from track2view_core.evaluation import CameraFitter, counted_errors, psnr, rotation_error, translation_error
from track2view_core.evaluation.camera_fit import MEASURABLE_RATIO

RIGHT = ("truth", "soft truth", "rough truth")
IMPOSTORS = ("blurred truth", "ghost", "grey")
_FAR_ROTATION, _FAR_TRANSLATION = 4.0, 0.5  # from here on source and target differ enough for a ghost to be one


def candidates(source: Tensor, target: Tensor, seed: int) -> dict[str, Tensor]:
    """Videos [T, H, W, 3] 0..1 whose verdict is known beforehand."""
    generator = torch.Generator().manual_seed(seed)
    frames, size = len(target), target.shape[1]
    fine = torch.randn(target.shape, generator=generator)
    stains = F.interpolate(torch.randn(frames, 3, 16, 16, generator=generator), size=(size, size), mode="bilinear")
    return {
        "truth": target,
        "soft truth": (_blurred(target, size / 85) + 0.03 * fine).clamp(0, 1),
        "rough truth": (_blurred(target, size / 85) + 0.12 * rearrange(stains, "t c h w -> t h w c")).clamp(0, 1),
        "blurred truth": _blurred(target, size / 16),
        "ghost": (source + target) / 2,
        "grey": torch.full_like(target, 0.5),
        "source": source,
    }


def _blurred(video: Tensor, sigma: float) -> Tensor:
    half = int(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-half, half + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    planes = F.pad(rearrange(video, "t h w c -> t c h w"), (half,) * 4, mode="replicate")
    planes = rearrange(planes, "t c h w -> (t c) 1 h w")
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return rearrange(planes, "(t c) 1 h w -> t h w c", c=3)


def measure(clip: HeldOutClip, every: int, seed: int) -> dict[str, dict[str, Tensor]]:
    """Errors and ratios [K-1] of every candidate of one clip."""
    source, target = clip.view(clip.source).rgb[0], clip.view(clip.target).rgb[0]
    fitter = CameraFitter(
        clip.scene, clip.source, clip.target, clip.intrinsics, clip.time, width=clip.size, height=clip.size, every=every
    )
    found = {}
    for name, video in candidates(source, target, seed).items():
        start = time.process_time()
        fit = fitter.fit(video)
        seconds = time.process_time() - start
        errors = counted_errors(fit, clip.source, clip.target)
        kept = fit.frames[1:]
        rotation = rotation_error(clip.source, clip.target)[kept]
        translation = translation_error(clip.source, clip.target, "none")[kept]
        found[name] = {
            "rotation": errors.rotation,
            "raw rotation": rotation_error(fit.world_from_camera, clip.target[fit.frames])[1:],
            "translation": errors.translation,
            "metric": errors.metric_translation,
            "unmeasurable": errors.unmeasurable,
            "ratio": fit.ratio[1:],
            "far": (rotation > _FAR_ROTATION) | (translation > _FAR_TRANSLATION),
            "psnr": psnr(video, target)[1:].clamp(max=99),
            "seconds": torch.tensor([seconds]),
        }
    return found


def calibrated_threshold(right: Tensor, impostors: Tensor) -> tuple[float, float, float]:
    """The ratio with the fewest mistakes: (threshold, share of right frames refused, share of impostors let in)."""
    tried = torch.linspace(0.05, 1.0, 96)
    refused = (right[:, None] >= tried).double().mean(0)
    let_in = (impostors[:, None] < tried).double().mean(0)
    best = int((refused + let_in).argmin())
    return float(tried[best]), float(refused[best]), float(let_in[best])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--every", type=int, default=2, help="fit every n-th frame")
    parser.add_argument("--calibrate", action="store_true", help="find the threshold, on scenes of their own")
    options = parser.parse_args()
    seed = CALIBRATION_SEED if options.calibrate else EVALUATION_SEED
    clips = held_out_clips(options.scenes, seed=seed, size=options.size, frames=options.frames)
    measured = [measure(clip, options.every, index) for index, clip in enumerate(clips)]
    table = {
        name: {key: torch.cat([one[name][key] for one in measured]) for key in row} for name, row in measured[0].items()
    }
    print(
        f"{options.scenes} scenes, {options.size} x {options.size} x {options.frames}, every {options.every} frames\n"
    )
    print("| video | PSNR | RotErr, deg | of the bare fit | TransErr | metric | unmeasurable | ratio 10 / 50 / 90 % |")
    print("|---|---|---|---|---|---|---|---|")
    for name, row in table.items():
        spread = torch.quantile(row["ratio"].double(), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
        print(
            f"| {name} | {row['psnr'].mean():.1f} | {row['rotation'].mean():.2f} | {row['raw rotation'].mean():.2f} "
            f"| {row['translation'].nanmean():.3f} | {row['metric'].nanmean():.3f} "
            f"| {100 * row['unmeasurable'].double().mean():.0f} % | {' / '.join(f'{min(x, 99):.2f}' for x in spread)} |"
        )
    print(f"\n{torch.stack([row['seconds'].mean() for row in table.values()]).mean():.2f} s of one core a video")
    if options.calibrate:
        right = torch.cat([table[name]["ratio"] for name in RIGHT])
        impostors = torch.cat([table[name]["ratio"][table[name]["far"]] for name in IMPOSTORS])
        threshold, refused, let_in = calibrated_threshold(right, impostors)
        print(
            f"threshold {threshold:.2f} (in use: {MEASURABLE_RATIO}): refuses {refused:.1%} of right frames, ", end=""
        )
        print(f"lets in {let_in:.1%} of impostors")


if __name__ == "__main__":
    main()
