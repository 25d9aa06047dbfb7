"""The packed meshes: the browser draws the clip's picture at the depth that was found, torn where surfaces part."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from track2view_core.preview.picture_mesh import GRID, MOST_BYTES, pack_meshes
from track2view_core.render import ClipGeometry

from .node_answers import ask
from .random_documents import random_source

WALL, POST = 0.25, 0.5  # inverse depth


def scene(frames: int, height: int, width: int, *, moves: bool = False) -> tuple[Tensor, ClipGeometry]:
    """A red post before a blue wall, standing or moving; the wall is nearer on its right."""
    wall = torch.linspace(WALL, 1.2 * WALL, width).expand(frames, height, width).clone()
    post = torch.zeros(frames, height, width, dtype=torch.bool)
    for t in range(frames):
        start = width // 3 + (t % 3 if moves else 0)
        post[t, height // 4 :, start : start + width // 4] = True
    video = torch.where(post[..., None], torch.tensor([220, 30, 20]), torch.tensor([20, 40, 200])).to(torch.uint8)
    standing = wall if moves else torch.where(post, POST, wall)
    movers = post if moves else torch.zeros_like(post)
    return video, ClipGeometry(standing, movers, movers * POST, random_source(0, frames))


def read(folder: Path, video: Tensor, geometry: ClipGeometry, frames: list[int]) -> list[dict]:
    file = folder / "meshes.bin"
    file.write_bytes(pack_meshes(video, geometry))
    (answer,) = ask(("meshes", {"file": str(file), "frames": frames}))
    return answer


@pytest.mark.parametrize("moves", [False, True])
def test_surfaces_are_whole_and_part_at_steps_alone(tmp_path: Path, moves: bool) -> None:
    video, geometry = scene(5, 48, 80, moves=moves)
    for t, mesh in zip((0, 4), read(tmp_path, video, geometry, [0, 4]), strict=True):
        assert mesh["time"] == t and mesh["size"] == mesh["colour"] == {"width": 80, "height": 48}
        assert torch.equal(torch.tensor(mesh["colors"], dtype=torch.uint8).reshape(48, 80, 3), video[t])
        vertices = torch.tensor(mesh["vertices"]).reshape(-1, 4)
        grid, halves = vertices[: 48 * 80], vertices[48 * 80 :]
        wanted = torch.where(video[t, ..., 0] > 100, POST, torch.linspace(WALL, 1.2 * WALL, 80).expand(48, 80))
        torch.testing.assert_close(grid[:, 2], wanted.flatten(), atol=1e-3, rtol=0)
        assert grid[0, :2].tolist() == [0, 0] and grid[-1, :2].tolist() == [1, 1]  # up to the picture's edges
        corners = vertices[torch.tensor(mesh["triangles"]).reshape(-1, 3)]
        spread = corners[..., 2].amax(1) / corners[..., 2].amin(1)
        assert float(spread.max()) < 1.02, "no triangle joins the post and the wall"
        # the two halves of a torn cell share it between them, so that nothing is shown twice or not at all
        torn = halves.reshape(-1, 2, 4, 4)
        assert len(torn) > 2 * 36
        torch.testing.assert_close(torn[..., 3].sum(1), torch.ones(len(torn), 4))
        assert len(corners) == 2 * (47 * 79 + len(torn))


def test_the_slope_of_a_floor_is_no_step_however_coarse_the_mesh(tmp_path: Path) -> None:
    video, geometry = scene(1, 450, 800)
    floor = torch.linspace(0.02, 1.5, 450)[:, None].expand(450, 800)[None].contiguous()
    (mesh,) = read(tmp_path, video * 0 + 90, ClipGeometry(floor, geometry.silhouettes, floor * 0, geometry.camera), [0])
    points = mesh["size"]["width"] * mesh["size"]["height"]
    assert 0.9 * GRID < points <= GRID
    assert len(mesh["vertices"]) == 4 * points


def test_the_file_stays_below_twelve_megabytes_and_keeps_frames_spread_over_the_clip(tmp_path: Path) -> None:
    video, geometry = scene(130, 240, 416)
    first, middle, last = read(tmp_path, video, geometry, [0, 66, 129])
    assert 0.9 * MOST_BYTES < (tmp_path / "meshes.bin").stat().st_size < 12_000_000
    assert (first["time"], last["time"]) == (0, 129) and abs(middle["time"] - 66) <= 1
    assert first["colour"]["width"] * first["colour"]["height"] > 1.3 * GRID


def moved(x: float = 0.0, z: float = 0.0, turned: bool = False) -> list[float]:
    """world_from_camera, 16; turned looks back."""
    side = -1.0 if turned else 1.0
    return [side, 0, 0, x, 0, 1, 0, 0, 0, 0, side, z, 0, 0, 0, 1]


def test_what_another_camera_sees_of_a_frame_is_counted_in_pixels(tmp_path: Path) -> None:
    width, height, focal = 320, 192, 300.0
    video, geometry = scene(1, height, width)
    wall = ClipGeometry(
        torch.full((1, height, width), WALL), geometry.silhouettes, geometry.mover_inverse, geometry.camera
    )
    lens = [focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1]
    way = 0.25 * width / (focal * WALL)  # along which the wall goes a quarter of the picture to the left
    views = [moved(), moved(x=way), moved(z=-4.0), moved(turned=True), moved(x=way / 5)]
    given = {"source": moved(), "targets": views, "intrinsics": lens, "width": width, "height": height}
    shown = []
    for kind in (wall, geometry):
        (tmp_path / "meshes.bin").write_bytes(pack_meshes(video, kind))
        (answer,) = ask(("shown", {"file": str(tmp_path / "meshes.bin"), **given}))
        shown.append(torch.tensor(answer, dtype=torch.bool).reshape(5, 48, 80))
    same, aside, back, away, _ = shown[0]
    assert same.all() and not away.any()
    assert aside[:, :59].all() and not aside[:, 61:].any()
    assert back[13:35, 21:59].all() and float(back.float().mean()) == pytest.approx(0.25, abs=0.02)
    # a little to the right: the wall goes 4 pixels to the left, the post before it 8, and 4 beside it are uncovered
    a_little = shown[1][4]
    assert not a_little[20:, 40:42].any() and a_little[20:, 44:75].all() and a_little[20:, :38].all()
    assert a_little[:9, :75].all()
