"""What a keyframe document means on a clip, with and without the clip's own camera."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from track2view_core.cameras import CameraPath, parse_document, preset_path, sample_document, to_json
from track2view_core.cameras.keyframes.on_clip import path_on_clip
from track2view_core.cameras.presets import preset_document
from track2view_core.errors import Track2ViewError

FRAMES, SCALE = 17, 2.5
TEXT = to_json(preset_document("orbit_left", 0.5, FRAMES))


@pytest.fixture
def clip() -> CameraPath:
    """A camera that travels to the right."""
    poses = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    poses[:, 0, 3] = torch.linspace(0, 0.5, FRAMES, dtype=torch.float64)
    lens = torch.tensor([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]], dtype=torch.float64).repeat(FRAMES, 1, 1)
    return CameraPath(poses, lens, 128, 96, 8.0)


def test_keys_ride_on_the_clips_camera(clip: CameraPath) -> None:
    drawn = path_on_clip(TEXT, clip, scene_scale=SCALE)
    wanted = preset_path("orbit_left", clip, amount=0.5, scene_scale=SCALE)
    torch.testing.assert_close(drawn.path.world_from_camera, wanted.world_from_camera, atol=1e-9, rtol=0)
    assert drawn.notes == () and drawn.seed is None


def test_nothing_drawn_is_the_camera_itself_or_the_linked_path(clip: CameraPath) -> None:
    alone = path_on_clip("  \n", clip, scene_scale=SCALE)
    assert alone.path is clip and [note.code for note in alone.notes] == ["path_of_base"] and alone.seed is None
    linked = preset_path("crane_up", clip, amount=1.0, scene_scale=SCALE)
    seeded = path_on_clip("", clip, scene_scale=SCALE, linked=linked)
    assert seeded.path is linked and [note.code for note in seeded.notes] == ["path_of_link"]
    again = sample_document(seeded.seed, clip, scene_scale=SCALE)
    assert (again.world_from_camera - linked.world_from_camera).abs().max() < 3e-3 * SCALE
    longer = path_on_clip("", clip, scene_scale=SCALE, linked=linked.resampled(33))
    assert len(longer.path) == FRAMES and longer.notes[0].facts == {"frames": 33, "clip": FRAMES}


def test_a_linked_path_never_changes_keys(clip: CameraPath) -> None:
    linked = preset_path("crane_up", clip, amount=1.0, scene_scale=SCALE)
    drawn = path_on_clip(TEXT, clip, scene_scale=SCALE, linked=linked)
    assert torch.equal(drawn.path.world_from_camera, path_on_clip(TEXT, clip, scene_scale=SCALE).path.world_from_camera)
    assert [note.code for note in drawn.notes] == ["path_not_used"]


def test_without_a_clip_keys_ride_on_the_linked_path_or_on_a_standing_camera(clip: CameraPath) -> None:
    drawn = path_on_clip(TEXT, linked=clip)
    wanted = sample_document(parse_document(TEXT), clip, scene_scale=1.0)
    assert torch.equal(drawn.path.world_from_camera, wanted.world_from_camera)
    assert [note.code for note in drawn.notes] == ["path_unit"]
    assert path_on_clip("", linked=clip).path is clip
    document = replace(parse_document(TEXT), aspect=(480, 832), fps=24.0)
    still = path_on_clip(to_json(document))
    assert (len(still.path), still.path.width, still.path.height, still.path.fps) == (FRAMES, 480, 832, 24.0)
    assert [note.code for note in still.notes] == ["path_stands", "path_unit"] and len(path_on_clip("").path) == 81


def test_a_longer_drawing_is_rescaled_and_a_bad_one_refused(clip: CameraPath) -> None:
    drawn = path_on_clip(to_json(preset_document("roll", 1.0, 33)), clip, scene_scale=SCALE)
    assert len(drawn.path) == FRAMES and [note.code for note in drawn.notes] == ["keys_rescaled"]
    with pytest.raises(Track2ViewError, match="is no JSON"):
        path_on_clip("{", clip, scene_scale=SCALE)
