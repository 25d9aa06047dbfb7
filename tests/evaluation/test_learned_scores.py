"""Learned metrics on small files of the public weights' layouts, beside other implementations of the same metrics."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from torchmetrics.functional import pairwise_cosine_similarity
from torchmetrics.functional.image import lpips as their_lpips
from torchmetrics.functional.multimodal.clip_score import _clip_score_update
from torchmetrics.image.fid import _compute_fid

from track2view_core.errors import Track2ViewError
from track2view_core.evaluation.clip_scores import clip_f, clip_t, clip_v, load_clip
from track2view_core.evaluation.fid import FeatureStatistics, frechet_distance, load_inception
from track2view_core.evaluation.lpips import load_lpips
from track2view_core.evaluation.pixel_matching import LearnedMatcher, SiftMatcher, load_matcher, matched_pixels

from .learned_models import alexnet_features, clip_folder, inception_file, lpips_folder, matcher_folder, vgg_features


def frames(count: int = 3, height: int = 64, width: int = 80, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, height // 8, width // 8, generator=generator)
    soft = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (soft * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def statistics(features: torch.Tensor) -> FeatureStatistics:
    gathered = FeatureStatistics(features.shape[1])
    for part in features.split(7):
        gathered.add(part)
    return gathered


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inception_file(tmp_path_factory.mktemp("inception"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.mark.parametrize("count", [5, 60])  # fewer pictures than features, whose covariance is singular, and more
def test_the_frechet_distance_is_that_of_torchmetrics_and_scipy(count: int):
    generator = torch.Generator().manual_seed(1)
    one = torch.randn(count, 12, generator=generator, dtype=torch.float64)
    other = 1.5 * torch.randn(count + 3, 12, generator=generator, dtype=torch.float64) + 0.3
    told = frechet_distance(statistics(one), statistics(other))
    means, covariances = [x.mean(0) for x in (one, other)], [torch.cov(x.T) for x in (one, other)]
    theirs = _compute_fid(means[0], covariances[0], means[1], covariances[1])
    assert told == pytest.approx(float(theirs), rel=1e-5)
    if count > 12:
        root = scipy.linalg.sqrtm((covariances[0] @ covariances[1]).numpy())
        closed = (means[0] - means[1]).square().sum() + covariances[0].trace() + covariances[1].trace()
        assert told == pytest.approx(float(closed) - 2 * np.trace(root).real, rel=1e-8)


def test_equal_sets_are_at_no_distance_and_a_shift_is_its_square():
    one = torch.randn(40, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert frechet_distance(statistics(one), statistics(one)) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(statistics(one), statistics(one + 2.0)) == pytest.approx(24.0)
    few, all_at_once = FeatureStatistics(6), FeatureStatistics(6)
    few.add(one[:5])
    all_at_once.add(one)
    assert frechet_distance(statistics(one), all_at_once) == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(few.covariance, torch.cov(one[:5].T))
    torch.testing.assert_close(all_at_once.covariance, torch.cov(one.T))
    with pytest.raises(Track2ViewError, match="at least 2"):
        frechet_distance(statistics(one[:1]), statistics(one))


def test_few_pictures_are_at_no_distance_from_themselves_where_torchmetrics_finds_one():
    """Why the distance is our own: the root of a singular covariance's rounding errors is no rounding error."""
    generator = torch.Generator().manual_seed(3)
    few = torch.relu(torch.randn(8, 256, generator=generator) @ torch.randn(256, 256, generator=generator)).double()
    mean, covariance = few.mean(0), torch.cov(few.T)
    assert frechet_distance(statistics(few), statistics(few)) == pytest.approx(0, abs=1e-9)
    assert abs(float(_compute_fid(mean, covariance, mean, covariance))) > 1e-5


def test_inception_is_the_one_of_torch_fidelity(inception: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Fetched for this test alone and without what it would draw in; it shifts pictures by half a grey level."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), "torch-fidelity"]
    subprocess.run(command, check=True)
    package = types.ModuleType("torch_fidelity")
    package.__path__ = [str(tmp_path / "torch_fidelity")]
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3("any", ["2048"], feature_extractor_weights_path=str(inception)).eval()
    picture = frames(1, 299, 299)[:, :299, :299]
    with torch.no_grad():
        own = load_inception(inception)(((picture.float() - 128) / 128 + 1) / 2)
        (other,) = theirs(picture.permute(0, 3, 1, 2))
    assert own.std() > 0.01
    torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-5)


def test_other_weights_than_fids_are_refused(tmp_path: Path):
    first = {"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 3, 3)}
    wrong = {
        "classifier's own Inception": {**first, "AuxLogits.conv0.conv.weight": torch.zeros(1)},
        "lacks the tensor Conv2d_1a_3x3.bn.weight": first,
        r"shape \[32, 3, 5, 5\]": {"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 5, 5)},
        "NaN": {"Conv2d_1a_3x3.conv.weight": torch.full((32, 3, 3, 3), math.nan)},
    }
    for words, broken in wrong.items():
        torch.save(broken, tmp_path / "weights.pth")
        with pytest.raises(Track2ViewError, match=words):
            load_inception(tmp_path / "weights.pth")
    (tmp_path / "weights.pth").write_bytes(b"not weights")
    with pytest.raises(Track2ViewError, match="damaged"):
        load_inception(tmp_path)
    with pytest.raises(Track2ViewError, match="no file or folder"):
        load_inception(tmp_path / "nowhere")


@pytest.mark.parametrize(("name", "features"), [("alex", alexnet_features), ("vgg", vgg_features)])
def test_lpips_is_that_of_torchmetrics_with_its_published_linear_weights(name, features, tmp_path, monkeypatch):
    torch.manual_seed(0)
    backbone = features()
    monkeypatch.setattr(their_lpips, "_get_tv_model_features", lambda net, pretrained=False: backbone)
    theirs = their_lpips._LPIPS(net=name).eval()
    published = Path(their_lpips.__file__).parent / "lpips_models" / f"{name}.pth"
    lpips_folder(tmp_path, backbone, torch.load(published, map_location="cpu", weights_only=True))
    metric = load_lpips(tmp_path)
    assert metric.backbone == name
    own, true = frames(), frames(seed=1)
    with torch.no_grad():
        other = theirs(own.permute(0, 3, 1, 2) / 127.5 - 1, true.permute(0, 3, 1, 2) / 127.5 - 1).flatten()
    torch.testing.assert_close(metric(own, true), other, rtol=1e-4, atol=1e-7)
    assert (metric(own, own) == 0).all() and (other > 0).all()


def test_lpips_needs_both_files_of_one_backbone(tmp_path: Path):
    linear = {f"lin{i}.model.1.weight": torch.ones(1, width, 1, 1) for i, width in enumerate((64, 128, 256, 512, 512))}
    lpips_folder(tmp_path, alexnet_features(), linear)
    with pytest.raises(Track2ViewError, match=r"1\.weight of linear\.pth has shape"):
        load_lpips(tmp_path)
    (tmp_path / "linear.pth").unlink()
    with pytest.raises(Track2ViewError, match="linear weights"):
        load_lpips(tmp_path)


def test_clip_scores_of_given_features():
    north, east = torch.tensor([0.0, 2.0]), torch.tensor([3.0, 0.0])
    turning = torch.stack([north, north, east])
    assert clip_t(turning, north) == pytest.approx(200 / 3)
    assert clip_f(turning) == pytest.approx(50) and math.isnan(clip_f(turning[:1]))
    assert clip_v(turning, turning) == pytest.approx(100)
    assert clip_v(turning, torch.stack([north, east, -east])) == pytest.approx(0)
    with pytest.raises(Track2ViewError, match="one length"):
        clip_v(turning, turning[:2])


class GivenFeatures:
    """A model and processor in one, for torchmetrics' CLIP score: image i has feature i, and every text the same."""

    def __init__(self, images: torch.Tensor, text: torch.Tensor) -> None:
        self.images, self.text, self.config = images, text, types.SimpleNamespace(max_position_embeddings=77)
        self.config.text_config = self.config

    def to(self, device: object) -> GivenFeatures:
        return self

    def __call__(self, images: object = None, text: list[str] | None = None, **_: object) -> dict[str, torch.Tensor]:
        ids = torch.zeros(len(text or []), 4, dtype=torch.long)
        return {"pixel_values": self.images, "input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def get_image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.images

    def get_text_features(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.text.expand(len(ids), -1)


def test_clip_t_and_clip_v_are_torchmetrics_scores_of_the_same_features():
    generator = torch.Generator().manual_seed(5)
    images, text = torch.randn(4, 8, generator=generator), torch.randn(8, generator=generator)
    given = GivenFeatures(images, text)
    score, _ = _clip_score_update([torch.zeros(3, 8, 8)] * 4, ["any"] * 4, given, given)
    assert clip_t(images, text) == pytest.approx(float(score.mean()), rel=1e-5)
    pairs = pairwise_cosine_similarity(images, images.flip(0)).diagonal()
    assert clip_v(images, images.flip(0)) == pytest.approx(100 * float(pairs.mean()), rel=1e-5)


def test_clip_reads_frames_and_prompts_as_its_own_processor_does(clip: Path):
    from PIL import Image
    from transformers import CLIPImageProcessor, CLIPModel

    told = load_clip(clip)
    clip_frames = frames(2, 48, 80)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    pictures = [Image.fromarray(frame.numpy()) for frame in clip_frames]
    pixels = CLIPImageProcessor(**size)(pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        theirs = CLIPModel.from_pretrained(clip).get_image_features(pixel_values=pixels)
    theirs = getattr(theirs, "pooler_output", theirs)
    torch.testing.assert_close(told.frame_features(clip_frames), theirs, atol=2e-2, rtol=2e-2)
    text = told.text_features("a red ball")
    assert text.shape == (16,) and not torch.allclose(text, told.text_features("the floor"))
    assert not told.cut_short("a red ball") and told.cut_short("a red ball on the floor " * 5)
    assert told.text_features("a red ball on the floor " * 5).isfinite().all()


def test_a_folder_that_is_no_clip_is_refused(clip: Path, tmp_path: Path):
    with pytest.raises(Track2ViewError, match=r"no config.json"):
        load_clip(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(Track2ViewError, match="'bert'"):
        load_clip(tmp_path)
    for file in clip.iterdir():
        if file.name != "model.safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(Track2ViewError, match="cannot be loaded"):
        load_clip(tmp_path)
    from safetensors.torch import load_file, save_file

    state = load_file(clip / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(Track2ViewError, match="lack 1 tensors"):
        load_clip(tmp_path)


def test_a_frame_matches_itself_best_and_a_grey_one_not_at_all():
    source = frames(2, 128, 160)
    noise = (torch.rand(source.shape, generator=torch.Generator().manual_seed(3)) * 60).to(torch.uint8)
    source = source // 2 + noise
    other = frames(2, 128, 160, seed=9) // 2 + noise.flip(1, 2)
    sift = SiftMatcher()
    same, apart = matched_pixels(source, source, sift), matched_pixels(other, source, sift)
    assert (same > 0.05).all() and (apart < 0.5 * same).all()
    assert (matched_pixels(torch.full_like(source, 128), source, sift) == 0).all()
    assert "0.8" in sift.name and "0.6" in load_matcher("sift", 0.6).name


def test_a_learned_matcher_comes_from_a_folder(tmp_path: Path):
    matcher_folder(tmp_path)
    matcher = LearnedMatcher(tmp_path, threshold=0.0)
    assert "96 x 64" in matcher.name and "confidence above 0" in matcher.name
    counted = matched_pixels(frames(2), frames(2), matcher)
    assert counted.shape == (2,) and (counted >= 0).all() and (counted < 0.065).all()
    with pytest.raises(Track2ViewError, match="sift"):
        load_matcher(tmp_path / "nowhere")
    with pytest.raises(Track2ViewError, match="below 1"):
        LearnedMatcher(tmp_path, threshold=1.0)
