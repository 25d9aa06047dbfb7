"""The mesh in another view: planes go by their homography, near hides far, steps tear, and no order matters."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from track2view_core.cameras import CameraPath
from track2view_core.render import warping
from track2view_core.render.hole_masks import grown
from track2view_core.render.warping import Reprojection, sampled, warped

WIDTH, HEIGHT = 120, 80


def cameras(x: float = 0.0, y: float = 0.0, z: float = 0.0, turn: float = 0.0) -> tuple[CameraPath, CameraPath]:
    """A camera at the origin and one beside it, turned about the vertical by `turn` radians."""
    source = CameraPath.standing(1, WIDTH, HEIGHT, fov_degrees=60)
    pose = source.world_from_camera.clone()
    pose[0, :3, 3] = torch.tensor([x, y, z], dtype=torch.float64)
    c, s = np.cos(turn), np.sin(turn)
    pose[0, :3, :3] = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
    return source, replace(source, world_from_camera=pose)


def slanted(camera: CameraPath, normal: Tensor) -> Tensor:
    """Inverse depth [H, W] of the plane `normal . X = 1`."""
    lens = camera.intrinsics[0]
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    rays = torch.stack([(x - lens[0, 2]) / lens[0, 0], (y - lens[1, 2]) / lens[1, 1], torch.ones_like(x)], -1)
    return (rays.double() @ normal).float()


def smooth(seed: int = 0) -> Tensor:
    """[3, H, W] float32, 0..255."""
    noise = np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return torch.from_numpy(np.clip(128 + 250 * blurred, 0, 255).astype(np.float32)).permute(2, 0, 1)


@pytest.mark.parametrize(
    "move", [{"x": 0.3}, {"x": -0.2, "y": 0.15, "turn": 0.1}, {"z": 0.6}, {"z": -0.5, "turn": -0.15}], ids=str
)
def test_a_plane_lands_where_its_homography_says(move: dict[str, float]) -> None:
    source, target = cameras(**move)
    normal = torch.tensor([0.08, -0.1, 0.4], dtype=torch.float64)
    way = Reprojection.between(source, 0, target, 0)
    warp = warped(slanted(source, normal), way, (HEIGHT, WIDTH))
    picture = smooth()
    lens = source.intrinsics[0]
    pose = target.camera_from_world[0]
    plane = lens @ (pose[:3, :3] + pose[:3, 3:] @ normal[None]) @ torch.linalg.inv(lens)
    half = torch.tensor([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], dtype=torch.float64)  # OpenCV counts from the centres
    truth = cv2.warpPerspective(
        picture.permute(1, 2, 0).numpy(),
        (torch.linalg.inv(half) @ plane @ half).numpy(),
        (WIDTH, HEIGHT),
        flags=cv2.INTER_CUBIC,
        borderValue=(-1e4, -1e4, -1e4),
    )
    inside = ~grown(torch.from_numpy((truth <= -50).any(-1)), 3)
    assert inside.float().mean() > 0.5 and warp.covered[inside].all()
    off = (sampled(picture, warp.x, warp.y).permute(1, 2, 0) - torch.from_numpy(truth))[inside].abs()
    assert off.mean() < 0.6 and off.max() < 8  # OpenCV's places are whole 1/32 px
    z = 1 / warp.inverse[inside]
    y, x = inside.nonzero(as_tuple=True)
    rays = torch.stack([(x + 0.5), (y + 0.5), torch.ones_like(x)], -1).double() @ torch.linalg.inv(lens).T
    world = rays * z[:, None] @ target.world_from_camera[0, :3, :3].T + target.world_from_camera[0, :3, 3]
    assert (world @ normal - 1).abs().max() < 1e-3


def test_near_hides_far_and_a_step_is_torn() -> None:
    source, target = cameras(x=0.5)
    inverse = torch.full((HEIGHT, WIDTH), 0.2)
    inverse[20:60, 40:80] = 1.0
    warp = warped(inverse, Reprojection.between(source, 0, target, 0), (HEIGHT, WIDTH))
    shift = float(source.intrinsics[0, 0, 0]) * 0.5
    left, right = round(40 - shift), round(80 - shift)  # the near square has gone to the left by its parallax
    assert (warp.inverse[22:58, max(left, 0) + 2 : right - 2] == 1).all()
    hole = ~warp.covered[22:58, right + 2 : round(80 - 0.2 * shift) - 2]
    assert hole.all(), "the far plane behind the square was never seen"
    assert torch.isclose(warp.inverse[warp.covered], torch.tensor(0.2)).sum() + (warp.inverse == 1).sum() == int(
        warp.covered.sum()
    ), "nothing lies between the two surfaces"


def test_where_the_picture_has_no_edge_a_small_step_is_no_tear() -> None:
    source, target = cameras(x=0.7)
    inverse = torch.full((HEIGHT, WIDTH), 0.5)
    inverse[:, 60:] = 0.45
    way = Reprojection.between(source, 0, target, 0)
    whole = torch.ones(HEIGHT - 1, WIDTH - 1, dtype=torch.bool)
    torn, stretched = warped(inverse, way, (HEIGHT, WIDTH)), warped(inverse, way, (HEIGHT, WIDTH), whole=whole)
    assert not torn.covered[:, 5:40].all() and stretched.covered[:, 5:40].all()


def test_neither_strips_nor_the_order_of_rows_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = cameras(x=0.4, turn=0.1)
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(HEIGHT // 8, WIDTH // 8, generator=generator) + 0.3
    inverse = torch.nn.functional.interpolate(rough[None, None], (HEIGHT, WIDTH))[0, 0]
    way = Reprojection.between(source, 0, target, 0)
    whole = warped(inverse, way, (HEIGHT, WIDTH))
    monkeypatch.setattr(warping, "CELLS_AT_ONCE", 7 * WIDTH)
    strips = warped(inverse, way, (HEIGHT, WIDTH))
    for name in ("x", "y", "inverse"):
        assert torch.equal(getattr(strips, name), getattr(whole, name))
    upside_down = warped(inverse.flip(0), way, (HEIGHT, WIDTH))
    assert torch.equal(upside_down.covered.flip(0), whole.covered)
    assert torch.allclose(upside_down.inverse.flip(0), whole.inverse, atol=1e-5)
    same = (upside_down.x.flip(0) - whole.x).abs() < 1e-2
    assert same[whole.covered].float().mean() > 0.999


def test_only_what_is_wanted_need_be_drawn() -> None:
    source, target = cameras(x=0.4, turn=0.1)
    inverse = slanted(source, torch.tensor([0.1, 0.1, 0.4], dtype=torch.float64))
    way = Reprojection.between(source, 0, target, 0)
    wanted = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    wanted[30:40, 50:70] = True
    all_of_it, some = warped(inverse, way, (HEIGHT, WIDTH)), warped(inverse, way, (HEIGHT, WIDTH), wanted=wanted)
    assert torch.equal(some.x[wanted], all_of_it.x[wanted]) and some.covered.sum() < all_of_it.covered.sum() / 4


def test_a_wall_seen_askew_is_one_surface_and_a_step_is_two() -> None:
    source, target = cameras(x=-1.0)  # sees more of the wall's front
    way = Reprojection.between(source, 0, target, 0)
    wall = slanted(source, torch.tensor([5.0, 0.0, 3.0], dtype=torch.float64)).clamp(min=0.05)
    assert (wall.diff(dim=1) / wall[:, 1:]).max() > 2 * warping.TEAR_STANDING
    covered = warped(wall, way, (HEIGHT, WIDTH)).covered
    columns = covered[HEIGHT // 2].nonzero().squeeze(1)
    assert len(columns) > 20
    assert covered[HEIGHT // 2, columns[0] : columns[-1] + 1].all()
    step = torch.full((HEIGHT, WIDTH), 0.4)
    step[:, WIDTH // 2 :] = 0.3
    torn = warped(step, Reprojection.between(source, 0, cameras(x=1.0)[1], 0), (HEIGHT, WIDTH)).covered
    assert not torn[HEIGHT // 2].all()
