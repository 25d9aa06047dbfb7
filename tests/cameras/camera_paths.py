"""Camera paths for tests: a wandering one with a moving lens, and what hypothesis may draw."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from track2view_core.cameras import CameraPath
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid


def wandering(frames: int = 17, seed: int = 0, size: float = 0.1, zoom: float = 1.3) -> CameraPath:
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).cumsum(0) * size
    intrinsics = torch.tensor([[110.0, 0.3, 60], [0, 112.0, 50], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    intrinsics[:, :2, :2] *= torch.linspace(1, zoom, frames, dtype=torch.float64)[:, None, None]
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), intrinsics, 128, 96, fps=24.0)


def still(frames: int = 17) -> CameraPath:
    return wandering(1, size=0.0).with_frames([0] * frames)


paths = st.builds(
    wandering,
    st.integers(1, 24),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.02, 0.2]),
    st.sampled_from([1.0, 1.4]),
)


def assert_same(path: CameraPath, other: CameraPath, tolerance: float = 0.0) -> None:
    torch.testing.assert_close(path.world_from_camera, other.world_from_camera, atol=tolerance, rtol=0)
    torch.testing.assert_close(path.intrinsics, other.intrinsics, atol=tolerance * 100, rtol=0)
    assert (path.width, path.height, path.fps) == (other.width, other.height, other.fps)
