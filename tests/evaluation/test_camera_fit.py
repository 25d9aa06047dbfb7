"""The fit must be honest before a figure of it means anything; benchmarks/camera_fit.py shows it on more scenes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import CameraFit, CameraFitter, counted_errors, rotation_error, translation_error
from track2view_core.evaluation.camera_fit import starting_poses
from track2view_core.scenes import HELD_OUT_MOVES, random_paths, random_scenes, render

SIZE, FRAMES, EVERY = 96, 5, 2


class Clip:
    def __init__(self, seed: int) -> None:
        self.scene = random_scenes(1, seed=seed)
        paths = random_paths(1, FRAMES, seed=seed, width=SIZE, height=SIZE, moves=HELD_OUT_MOVES[:2])
        self.source, self.target = paths.world_from_camera[0]
        video = [
            render(self.scene, poses[None], paths.intrinsics, paths.time, SIZE, SIZE).rgb[0]
            for poses in (self.source, self.target)
        ]
        self.source_video, self.target_video = video
        self.fitter = CameraFitter(
            self.scene,
            self.source,
            self.target,
            paths.intrinsics[0],
            paths.time[0],
            width=SIZE,
            height=SIZE,
            every=EVERY,
        )

    def errors(self, video: torch.Tensor):
        return counted_errors(self.fitter.fit(video), self.source, self.target)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [Clip(seed) for seed in (1003, 1004, 1005)]


def mean_of(clips: list[Clip], make) -> tuple[float, float, float]:
    errors = [clip.errors(make(clip)) for clip in clips]
    return tuple(
        float(torch.cat([getattr(e, name).double() for e in errors]).mean())
        for name in ("rotation", "metric_translation", "unmeasurable")
    )


@pytest.fixture(scope="module")
def copied(clips) -> tuple[float, float, float]:
    """What the copied source scores by the true cameras."""
    rotation = torch.cat([rotation_error(c.source, c.target)[EVERY::EVERY] for c in clips])
    translation = torch.cat([translation_error(c.source, c.target, "none")[EVERY::EVERY] for c in clips])
    return float(rotation.mean()), float(translation.mean()), 0.0


def test_the_true_video_comes_out_right(clips):
    rotation, translation, unmeasurable = mean_of(clips, lambda c: c.target_video)
    assert rotation < 0.3
    assert translation < 0.06
    assert unmeasurable == 0


def test_the_copied_source_is_found_at_the_source_camera(clips, copied):
    rotation, translation, unmeasurable = mean_of(clips, lambda c: c.source_video)
    assert rotation == pytest.approx(copied[0], abs=0.3)
    assert translation == pytest.approx(copied[1], abs=0.06)
    assert unmeasurable == 0


def test_grey_is_unmeasurable_and_counts_as_the_copied_source(clips, copied):
    found = mean_of(clips, lambda c: torch.full_like(c.target_video, 0.5))
    assert found == pytest.approx((copied[0], copied[1], 1.0), rel=1e-5)


def test_a_ghost_of_source_and_target_does_not_pass_for_good(clips, copied):
    rotation, translation, _ = mean_of(clips, lambda c: (c.source_video + c.target_video) / 2)
    assert rotation > 0.4 * copied[0]
    assert translation > 0.4 * copied[1]


def test_a_blurred_truth_does_not_pass_for_good(clips, copied):
    def blurred(clip: Clip) -> torch.Tensor:
        planes = clip.target_video.permute(0, 3, 1, 2)
        for _ in range(3):
            planes = F.avg_pool2d(F.pad(planes, (6,) * 4, mode="replicate"), 13, 1)
        return planes.permute(0, 2, 3, 1)

    rotation, _, unmeasurable = mean_of(clips, blurred)
    assert unmeasurable > 0.7
    assert rotation > 0.7 * copied[0]


def test_no_start_is_at_either_end_of_the_way(clips):
    for clip in clips:
        source, target = clip.source[1:].double(), clip.target[1:].double()
        starts = starting_poses(source, target)
        for end, other in ((source, target), (target, source)):
            nearest = (starts - end[:, None]).abs().amax((-2, -1)).amin(1)
            away = (end - other).abs().amax((-2, -1))
            assert (nearest > 0.05 * away).all()


def test_the_starts_bracket_the_way():
    source = torch.eye(4, dtype=torch.float64)[None]
    target = source.clone()
    target[:, 0, 3] = 1.0
    along = starting_poses(source, target)[0, :, 0, 3]
    for low, high in ((-0.5, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.5)):
        assert ((along > low) & (along < high)).any()


def test_unmeasurable_frames_count_as_the_copied_source():
    clip = random_paths(1, 5, seed=3, width=64, height=64, moves=("spiral",)).world_from_camera[0].double()
    source, target = clip
    wrong = target.clone()
    wrong[2, :3, 3] += 9
    measurable = torch.tensor([True, True, False, True, True])
    errors = counted_errors(CameraFit(torch.arange(5), wrong, torch.zeros(5), measurable), source, target)
    expected = torch.zeros(4, dtype=torch.float64)
    expected[1] = translation_error(source, target)[2]
    torch.testing.assert_close(errors.translation, expected)
    expected[1] = rotation_error(source, target)[2]
    torch.testing.assert_close(errors.rotation, expected, atol=1e-5, rtol=0)
    assert errors.unmeasurable.tolist() == [False, True, False, False]


def test_mistakes_are_one_sentence(clips):
    with pytest.raises(Track2ViewError, match=r"\(5, 64, 96, 3\).*\(5, 96, 96, 3\)"):
        clips[0].fitter.fit(torch.zeros(5, 64, 96, 3))
    with pytest.raises(Track2ViewError, match="2 scenes"):
        CameraFitter(
            random_scenes(2, seed=0), clips[0].source, clips[0].target, torch.eye(3), torch.zeros(5), width=8, height=8
        )
