"""The target view: the source where the camera is the source's, what other times show, and what is invented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.errors import Track2ViewError
from track2view_core.render import ClipGeometry, TargetFrame, TargetView, filling, target_frames
from track2view_core.render.hole_masks import grown
from track2view_core.scenes import rendered_clip
from track2view_core.tracks import PointTracks

FRAMES, WIDTH, HEIGHT = 9, 128, 80
MAGENTA = torch.tensor([255, 0, 255], dtype=torch.uint8)


def textured(frames: int = FRAMES, strength: float = 120) -> Tensor:
    """[T, H, W, 3] uint8, a still picture."""
    noise = np.random.default_rng(3).normal(size=(HEIGHT, WIDTH, 1)).astype(np.float32)
    grey = 128 + strength * cv2.GaussianBlur(noise, (0, 0), 1.5)[..., None]
    return torch.from_numpy(np.clip(grey, 0, 255).astype(np.uint8)).expand(frames, HEIGHT, WIDTH, 3).clone()


def still(frames: int = FRAMES) -> CameraPath:
    return CameraPath.standing(frames, WIDTH, HEIGHT)


def to_the_side(camera: CameraPath, most: float) -> CameraPath:
    """Farther to the right with every frame, from the source's place on."""
    pose = camera.world_from_camera.clone()
    pose[:, 0, 3] += torch.linspace(0, most, len(camera), dtype=torch.float64)
    return replace(camera, world_from_camera=pose)


def flat(
    camera: CameraPath, inverse: float = 0.25, silhouettes: Tensor | None = None, mover: float = 0.6
) -> ClipGeometry:
    """A wall, and what moves in front of it at half size."""
    frames = len(camera)
    if silhouettes is None:
        silhouettes = torch.zeros(frames, HEIGHT // 2, WIDTH // 2, dtype=torch.bool)
    standing = torch.full((frames, HEIGHT // 4, WIDTH // 4), inverse)
    return ClipGeometry(standing, silhouettes, mover * silhouettes.float(), camera)


def walker(video: Tensor, step: int = 4) -> Tensor:
    """Paints a magenta block that goes to the right into the video; its silhouettes at half size."""
    masks = torch.zeros(len(video), HEIGHT // 2, WIDTH // 2, dtype=torch.bool)
    for t in range(len(video)):
        left = 40 + step * t
        video[t, 30:70, left : left + 24] = MAGENTA
        masks[t, 15:35, left // 2 : left // 2 + 12] = True
    return masks


def eroded(mask: Tensor) -> Tensor:
    """Two pixels smaller."""
    return ~grown(~mask, 2)


def magenta(pixels: Tensor) -> Tensor:
    """Red and blue over green, in grey levels."""
    red, green, blue = pixels.float().unbind(-1)
    return (red + blue) / 2 - green


def test_at_the_source_camera_it_is_the_source() -> None:
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (3, HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=generator)
    masks = walker(video)[:3]
    rough = 0.1 + torch.rand(3, HEIGHT // 4, WIDTH // 4, generator=generator)  # in places nearer than the mover
    geometry = ClipGeometry(rough, masks, 0.6 * masks.float(), still(3))
    for source, frame in zip(video, target_frames(video, geometry, still(3), plates=video), strict=True):
        assert int((frame.picture.int() - source.int()).abs().max()) <= 1
        assert not frame.hole.any() and frame.seen.all()


def test_a_moving_thing_never_enters_what_is_filled_in() -> None:
    video = textured(strength=60)
    geometry = flat(still(), silhouettes=walker(video, step=0))
    frames = list(target_frames(video, geometry, to_the_side(still(), 0.9), plates=video))
    for frame in frames[3:]:
        assert frame.hole.any()
        # Its own antialiased rim may be seen within two pixels of it; the hole beyond is the wall's grey.
        rim = grown(~frame.hole & (magenta(frame.picture) > 20), 2)
        assert magenta(frame.picture)[frame.hole & ~rim].max() < 8


def test_what_a_moving_thing_hides_is_taken_from_the_times_that_show_it() -> None:
    clean, video = textured(21), textured(21)
    geometry = flat(still(21), silhouettes=walker(video, step=8))
    darker = (torch.cat([clean, video]).float() * 0.8).to(torch.uint8)
    target = to_the_side(still(21), 0.3)
    # The camera has gone on, the wall has not: every frame is the first, moved.
    truth = list(target_frames(clean, flat(still(21)), target))
    frames = list(target_frames(video, geometry, target, plates=video))
    t = 6
    shown = ~frames[t].seen & ~frames[t].hole & truth[t].seen
    assert shown.sum() > 100
    off = (frames[t].picture.float() - truth[t].picture.float())[shown].abs().mean()
    assert off < 6, "other times show the very wall"
    mixed = video.clone()
    mixed[:t], mixed[t + 1 :] = darker[21 : 21 + t], darker[22 + t :]
    lit = list(target_frames(mixed, geometry, target, plates=mixed))[t]
    assert (lit.picture.float() - truth[t].picture.float())[shown].abs().mean() < 8, "as bright as the frame itself"


def test_a_hole_has_the_colours_of_what_is_farther() -> None:
    video = torch.zeros(3, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    video[..., 2] = 200  # blue, far
    video[:, 24:64, 40:80] = torch.tensor([220, 0, 0], dtype=torch.uint8)  # red, near
    inverse = torch.full((3, HEIGHT, WIDTH), 0.2)
    inverse[:, 24:64, 40:80] = 0.8
    nothing = torch.zeros(3, HEIGHT, WIDTH)
    geometry = ClipGeometry(inverse, nothing > 0, nothing, still(3))
    last = list(target_frames(video, geometry, to_the_side(still(3), 0.3)))[-1]
    inner = eroded(last.hole)
    inner[:, -12:] = False  # the picture's edge
    assert inner.sum() > 100
    red, blue = last.picture[inner][:, 0].float(), last.picture[inner][:, 2].float()
    assert red.mean() < 15 and blue.mean() > 180
    assert torch.isclose(1 / last.depth[inner], torch.tensor(0.2), atol=0.02).all()


def test_invented_pixels_stay_with_the_surface_that_they_lie_on(monkeypatch: pytest.MonkeyPatch) -> None:
    video = textured(17)
    inverse = torch.full((17, HEIGHT, WIDTH), 0.2)
    inverse[:, 20:60, 50:90] = 0.8
    nothing = torch.zeros(17, HEIGHT, WIDTH)
    geometry = ClipGeometry(inverse, nothing > 0, nothing, still(17))
    target = to_the_side(still(17), 0.6)

    def unsteadiness() -> float:
        """Grey levels by which invented pixels change from frame to frame as the wall goes by."""
        frames = list(target_frames(video, geometry, target))
        change = []
        for before, now in pairwise(frames[8:]):
            shift = 0.6 / 16 * float(still().intrinsics[0, 0, 0]) * 0.2  # pixels a frame that the wall goes to the left
            way, size = np.array([[1, 0, -shift], [0, 1, 0]], np.float32), (WIDTH, HEIGHT)
            moved = cv2.warpAffine(
                before.picture.numpy(), way, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            off = (now.picture.float() - torch.from_numpy(moved).float()).abs()
            change.append(float(off[eroded(now.hole & before.hole)].mean()))
        return float(np.mean(change))

    steady = unsteadiness()
    monkeypatch.setattr(filling, "CARRIED", 0.0)
    assert steady < 0.5 * unsteadiness()


def test_the_mask_is_the_majority_of_three_frames() -> None:
    video, camera = textured(7), still(7)
    jump = camera.world_from_camera.clone()
    jump[3, 0, 3] = 2.0  # in one frame alone the camera sees what the clip does not show
    target = replace(camera, world_from_camera=jump)
    frames = list(target_frames(video, flat(camera), target))
    assert not any(frame.hole.any() for frame in frames) and not frames[3].seen.all()


def test_pictures_are_taken_one_ahead_and_may_be_larger_than_the_analysis() -> None:
    video = textured(6)
    large = torch.nn.functional.interpolate(video.permute(0, 3, 1, 2).float(), scale_factor=2, mode="bilinear")
    large = large.permute(0, 2, 3, 1).round().to(torch.uint8)
    taken = 0

    def pictures() -> Iterator[Tensor]:
        nonlocal taken
        for picture in large:
            taken += 1
            yield picture

    silhouettes = torch.zeros(6, HEIGHT // 2, WIDTH // 2, dtype=torch.bool)
    silhouettes[:, 10:20, 10:20] = True
    geometry, target = flat(still(6), silhouettes=silhouettes), to_the_side(still(6), 0.4)
    small = list(target_frames(video, geometry, target, plates=video))
    for t, frame in enumerate(target_frames(pictures(), geometry, target, plates=video)):
        assert taken <= t + 2
        assert frame.picture.shape == (2 * HEIGHT, 2 * WIDTH, 3) and frame.depth.shape == (2 * HEIGHT, 2 * WIDTH)
        halved = torch.nn.functional.avg_pool2d(frame.picture.permute(2, 0, 1)[None].float(), 2)[0].permute(1, 2, 0)
        both = small[t].seen & frame.seen[::2, ::2]
        assert (halved - small[t].picture.float())[both].abs().mean() < 6


@pytest.fixture(scope="module")
def clip():
    return rendered_clip("arc", frames=9, width=160, height=96, seed=1)


def tracks_of(clip) -> PointTracks:
    world = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([-0.5, -0.5, 2.0])
    shape = len(clip.frames), 40
    return PointTracks(
        world.expand(len(clip.frames), -1, -1), torch.ones(shape, dtype=torch.bool), torch.ones(shape), clip.camera
    )


def test_holes_are_shown_as_a_model_wants_them() -> None:
    frames = torch.full((1, 2, 2, 3), 7, dtype=torch.uint8)
    holes = torch.tensor([[[True, False], [False, False]]])
    view = TargetView(frames, holes, torch.ones(1, 2, 2))
    for shown, value in (
        (view.with_holes("grey"), 128),
        (view.with_holes("black"), 0),
        (view.with_holes("filled"), 7),
    ):
        assert (shown[holes] == value).all() and (shown[~holes] == 7).all()
    assert (view.frames == 7).all()


def test_what_does_not_belong_together_is_refused() -> None:
    video = textured(3)
    with pytest.raises(Track2ViewError, match="target camera has 5 frames and the clip 3"):
        next(target_frames(video, flat(still(3)), still(5)))
    with pytest.raises(Track2ViewError, match="more pictures than the 3 frames"):
        list(target_frames(textured(4), flat(still(3)), still(3)))
    with pytest.raises(Track2ViewError, match="2 pictures and the geometry has 3"):
        list(target_frames(video[:2], flat(still(3)), still(3)))
    with pytest.raises(Track2ViewError, match="other times has 2 frames"):
        next(target_frames(video, flat(still(3)), still(3), plates=video[:2]))


def holes_of(frames: list[TargetFrame]) -> Tensor:
    return torch.stack([frame.hole for frame in frames])


def test_holes_do_not_flip(clip) -> None:
    nothing = torch.zeros_like(clip.depth)
    geometry = ClipGeometry(1 / clip.depth, nothing > 0, nothing, clip.camera)
    target = preset_path("orbit_left", clip.camera, amount=0.3, scene_scale=float(clip.depth[0].median()))
    holes = holes_of(list(target_frames(clip.frames, geometry, target, plates=clip.frames)))
    assert (holes[1:] != holes[:-1]).float().mean() < 0.025


def test_a_wall_guessed_behind_a_mover_does_not_hide_it():
    video, camera = textured(), still()
    geometry = flat(camera, silhouettes=walker(video))
    wrong = torch.where(geometry.mover_inverse[:, ::2, ::2] > 0, 0.9, geometry.standing)
    views = target_frames(video, replace(geometry, standing=wrong), to_the_side(camera, 0.3))
    for view, source in zip(views, video, strict=True):
        assert (magenta(view.picture) > 200).sum() > 0.9 * (magenta(source) > 200).sum()
