"""ReCamMaster's poses against its own loader, by its published formulas, and its camera layers in files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.cameras.formats import write_path
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid
from track2view_core.errors import Track2ViewError
from track2view_core.wan.recammaster_cameras import CameraLayers, is_trained_with, pose_rows, read_camera_layers

FRAMES, WIDTH = 17, 8
# The ten trajectories that ReCamMaster's inference comes with, by the presets' names.
PRESETS = ("pan_right", "pan_left", "tilt_up", "tilt_down", "dolly_in", "dolly_out", "pedestal_up", "pedestal_down",
           "arc_left", "arc_right")  # fmt: skip


@pytest.fixture
def source() -> CameraPath:
    """A camera that travels and turns, and starts neither at the origin nor level."""
    share = torch.linspace(0, 1, FRAMES, dtype=torch.float64)[:, None]
    turns = matrix_from_axis_angle(torch.tensor([0.1, -0.4, 0.2]) + share * torch.tensor([-0.2, 0.3, 0.1]))
    poses = rigid(turns, torch.tensor([1.0, -2.0, 0.5]) + share * torch.tensor([0.4, 0.1, -0.6]))
    lens = torch.tensor([[700.0, 0, 416], [0, 700, 240], [0, 0, 1]], dtype=torch.float64).expand(FRAMES, 3, 3)
    return CameraPath(poses, lens, 832, 480)


def by_recammasters_loader(source_file, target_file) -> np.ndarray:
    """Its data set's camera_extrinsics.json to the rows of the target, as its training reads them."""

    def poses(file):
        frames = json.loads(file.read_text())
        for frame in range(0, FRAMES, 4):
            rows = frames[f"frame{frame}"]["cam01"].strip().split("] ")
            pose = np.array([list(map(float, row.strip("[] ").split())) for row in rows]).T
            pose = pose[:, [1, 2, 0, 3]]
            pose[:3, 1] *= -1.0
            pose[:3, 3] /= 100
            yield pose

    to_source = np.linalg.inv(next(poses(source_file)))
    return np.stack([(to_source @ pose)[:3].reshape(12) for pose in poses(target_file)])


@pytest.mark.parametrize("name", PRESETS)
def test_the_poses_of_its_ten_trajectories_are_those_of_its_own_loader(source, name, tmp_path):
    """In its own files a unit is a metre; measured otherwise, translations alone scale."""
    target = preset_path(name, source, amount=0.8, scene_scale=2.5)
    for path, file in ((source, "source.json"), (target, "target.json")):
        write_path(path, tmp_path / file, format="recammaster")
    expected = torch.from_numpy(by_recammasters_loader(tmp_path / "source.json", tmp_path / "target.json")).float()
    rows = pose_rows(source, target, metres=1.0)
    assert rows.shape == (1 + FRAMES // 4, 12) and (rows - expected).abs().max() < 1e-6
    grown = pose_rows(source, target, metres=3.0).view(-1, 3, 4)
    assert torch.equal(grown[:, :, :3], rows.view(-1, 3, 4)[:, :, :3])
    assert torch.allclose(grown[:, :, 3], 3 * rows.view(-1, 3, 4)[:, :, 3])


def test_poses_are_measured_from_where_the_clip_begins_and_not_from_where_the_path_does(source):
    """A path need not start at the clip's camera: two units to its right, and looking back over its shoulder."""
    shoulder = rigid(matrix_from_axis_angle(torch.tensor([[0.0, 3.0, 0.0]])), torch.tensor([[2.0, 0.0, 0.0]])).double()
    rows = pose_rows(source, replace(source, world_from_camera=source.world_from_camera @ shoulder), metres=1.5)
    assert torch.allclose(rows[0].view(3, 4)[:, 3], torch.tensor([3.0, 0, 0]), atol=1e-6)
    assert torch.allclose(rows[0].view(3, 4)[:, :3], shoulder[0, :3, :3].float(), atol=1e-6)


def test_a_zoom_is_refused_and_the_same_lens_at_another_size_is_not(source):
    with pytest.raises(Track2ViewError, match=r"zooms: its focal length in frame 16 is 0\.\d\d times.*dolly_in"):
        pose_rows(source, preset_path("dolly_zoom", source, amount=1.0, scene_scale=2.5), metres=1.0)
    assert torch.equal(pose_rows(source, source.resized(416, 240), metres=1.0), pose_rows(source, source, metres=1.0))


@pytest.fixture
def layers() -> CameraLayers:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CameraLayers(WIDTH).requires_grad_(False)


def test_the_camera_is_added_to_all_tokens_of_its_frame_in_both_views_and_to_none_that_follow(layers):
    draw = torch.Generator().manual_seed(1)
    frames, pixels = 3, 4
    tokens = torch.randn(2, 2 * frames * pixels + pixels, WIDTH, generator=draw)
    poses = torch.randn(frames, 12, generator=draw)
    found = layers(tokens, poses, pixels, lambda seen: 2 * seen)
    encoder, projector = layers.cam_encoder, layers.projector
    for place in range(tokens.shape[1]):
        frame = place // pixels % frames
        seen = tokens[:, place]
        if place < 2 * frames * pixels:
            seen = seen + encoder.weight @ poses[frame] + encoder.bias
        assert torch.allclose(found[:, place], 2 * seen @ projector.weight.mT + projector.bias, atol=1e-6)


def written(blocks: dict[int, dict], file, prefix: str = ""):
    extra = {"head.modulation": torch.zeros(1, 2, WIDTH), "blocks.0.self_attn.q.bias": torch.full((WIDTH,), 1.06)}
    weights = {f"blocks.{number}.{key}": value for number, state in blocks.items() for key, value in state.items()}
    save_file({prefix + key: value.clone() for key, value in {**extra, **weights}.items()}, file)
    return file


def test_the_layers_of_a_whole_checkpoint_are_read_as_they_are(layers, tmp_path):
    state = {key: value.bfloat16() for key, value in layers.state_dict().items()}
    blocks = {0: state, 1: {key: 2 * value for key, value in state.items()}}
    first, second = read_camera_layers(written(blocks, tmp_path / "recam.safetensors", "model.diffusion_model."))
    for block, factor in ((first, 1), (second, 2)):
        assert all(torch.equal(value, factor * state[key]) for key, value in block.state_dict().items())


def test_files_that_are_no_recammaster_are_refused(layers, tmp_path):
    state = layers.state_dict()
    file = tmp_path / "recam.safetensors"
    with pytest.raises(Track2ViewError, match=r"recam.safetensors has no camera layers .* Wan2_1_kwai_recammaster"):
        read_camera_layers(written({}, file))
    with pytest.raises(Track2ViewError, match="lacks the camera layers of block 1"):
        read_camera_layers(written({0: state, 2: state}, file))
    with pytest.raises(Track2ViewError, match=r"block 0, or has them in another shape"):
        read_camera_layers(written({0: {**state, "cam_encoder.weight": torch.zeros(WIDTH, 16)}}, file))


def test_a_model_of_another_file_is_told_by_its_attention(layers, tmp_path):
    file = written({0: layers.state_dict()}, tmp_path / "recam.safetensors")
    own = torch.full((WIDTH,), 1.06)
    assert all(is_trained_with(own.to(dtype), file) for dtype in (torch.bfloat16, torch.float8_e4m3fn))
    assert not is_trained_with(torch.full((WIDTH,), 1.2), file)
