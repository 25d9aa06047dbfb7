"""Small files in the layouts of the public weights, with random numbers in them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from track2view_core.evaluation.fid import Inception

WORDS = ["a", "red", "ball", "on", "the", "floor"]


def inception_file(folder: Path) -> Path:
    """Named and shaped as pt_inception-2015-12-05-6726825d.pth, its classifier included."""
    generator = torch.Generator().manual_seed(0)
    state = Inception().state_dict()
    for name, value in state.items():
        if name.endswith("conv.weight"):
            value.copy_(torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5)
    file = folder / "pt_inception-2015-12-05-6726825d.pth"
    torch.save({**state, "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, file)
    return file


def alexnet_features() -> nn.Sequential:
    """torchvision's AlexNet up to its last rectifier, layer by layer."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip


def vgg_features() -> nn.Sequential:
    """torchvision's VGG-16 (configuration D)."""
    layers: list[nn.Module] = []
    width = 3
    for step in (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"):
        if isinstance(step, int):
            layers += [nn.Conv2d(width, step, 3, padding=1), nn.ReLU()]
            width = step
        else:
            layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


def lpips_folder(folder: Path, features: nn.Sequential, linear: dict[str, torch.Tensor]) -> Path:
    state = {f"features.{name}": value for name, value in features.state_dict().items()}
    torch.save({**state, "classifier.6.bias": torch.zeros(1000)}, folder / "backbone.pth")
    torch.save(linear, folder / "linear.pth")
    return folder


def clip_folder(folder: Path) -> Path:
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

    torch.manual_seed(0)
    ends = ["<|startoftext|>", "<|endoftext|>"]
    signs = sorted({sign for word in WORDS for sign in word})
    tokens = [*signs, *(f"{sign}</w>" for sign in signs), *ends]
    (folder / "vocab.json").write_text(json.dumps({token: place for place, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    last = len(tokens) - 1
    text = CLIPTextConfig(
        **size, vocab_size=len(tokens), max_position_embeddings=24, bos_token_id=last - 1, eos_token_id=last
    )
    vision = CLIPVisionConfig(**size, image_size=32, patch_size=8)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    return folder


def matcher_folder(folder: Path) -> Path:
    from transformers import LightGlueConfig, LightGlueForKeypointMatching, SuperPointConfig

    torch.manual_seed(0)
    detector = SuperPointConfig(
        encoder_hidden_sizes=[8, 8, 16, 16], decoder_hidden_size=16, keypoint_decoder_dim=65,
        descriptor_decoder_dim=32, keypoint_threshold=0.0, max_keypoints=64, border_removal_distance=4,
    )  # fmt: skip
    config = LightGlueConfig(
        keypoint_detector_config=detector.to_dict(), descriptor_dim=32, num_hidden_layers=2, num_attention_heads=2
    )
    LightGlueForKeypointMatching(config).save_pretrained(folder)
    size = {"size": {"height": 64, "width": 96}}
    (folder / "preprocessor_config.json").write_text(json.dumps(size))
    return folder
