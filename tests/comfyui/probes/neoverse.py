"""NeoVerse's control branch from its published formulas in plain torch; nothing of ComfyUI or of the pack."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def embedded(own: dict[str, Tensor], paired_tracks, scene_depth: float) -> Tensor:
    """[1, 64, F, h, w] of a path that starts at the source camera, nothing but the first frame known."""
    source, target = paired_tracks.source_camera, paired_tracks.target_camera
    depth = paired_tracks.source.depth[0][paired_tracks.visible[0]].double()
    poses = torch.linalg.inv(source.world_from_camera[0]) @ target.world_from_camera
    poses[:, :3, 3] *= scene_depth / depth.quantile(0.5)
    y, x = torch.meshgrid(torch.arange(target.height), torch.arange(target.width), indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], -1).double()
    seen = torch.einsum("tij,hwj->tihw", target.intrinsics.inverse(), pixels)
    d = torch.einsum("tij,tjhw->tihw", poses[:, :3, :3], seen)
    d = d / (d * d).sum(1, keepdim=True).sqrt()
    o = poses[:, :3, 3, None, None].expand_as(d)
    told = torch.cat([torch.zeros_like(d[:, :1]), d, torch.cross(o, d, dim=1)], 1).float()
    told[0, 0] = 1
    told = F.pad(told.permute(1, 0, 2, 3)[None], (0, 0, 0, 0, 3, 0))
    name = "control_mask_cam_embedding."
    out = F.conv3d(told, own[f"{name}0.weight"], own[f"{name}0.bias"], stride=(4, 8, 8))
    return F.silu(F.group_norm(out, 8, own[f"{name}1.weight"], own[f"{name}1.bias"]))


def hints(
    own: dict[str, Tensor],
    control: Tensor,  # [1, 96, F, h, w]
    tokens: Tensor,  # [B, L, D] of the noisy latent
    text: Tensor,  # [B, M, D]
    t_mod: Tensor,  # [B, 6, D]
    grid: tuple[int, int, int],
    heads: int,
) -> list[Tensor]:
    """What each control block adds to the tokens."""
    name = "control_patch_embedding."
    c = F.conv3d(control.to(tokens), own[f"{name}weight"].to(tokens), own[f"{name}bias"].to(tokens), stride=(1, 2, 2))
    c = c.flatten(2).transpose(1, 2).expand(len(tokens), -1, -1)
    turns = _turns(grid, tokens.shape[2] // heads)
    found = []
    for number in range(len({key.split(".")[1] for key in own if key.startswith("control_blocks.")})):
        start = f"control_blocks.{number}."
        w = {key.removeprefix(start): value.to(tokens) for key, value in own.items() if key.startswith(start)}
        if number == 0:
            c = _linear(w, "before_proj", c) + tokens
        c = _block(w, c, text, t_mod, turns, heads)
        found.append(_linear(w, "after_proj", c))
    return found


def _block(w, x, text, t_mod, turns, heads):
    shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = (w["modulation"] + t_mod).chunk(6, 1)
    own = _norm(x) * (1 + scale) + shift
    x = x + gate * _attention(w, "self_attn", own, own, heads, turns)
    x = x + _attention(w, "cross_attn", _norm(x) * w["norm3.weight"] + w["norm3.bias"], text, heads)
    inner = F.gelu(_linear(w, "ffn.0", _norm(x) * (1 + scale_ffn) + shift_ffn), approximate="tanh")
    return x + gate_ffn * _linear(w, "ffn.2", inner)


def _attention(w, name, x, told, heads, turns=None):
    q, k, v = (_linear(w, f"{name}.{part}", of) for part, of in (("q", x), ("k", told), ("v", told)))
    q, k = (part * (part.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * w[f"{name}.norm_{which}.weight"]
            for which, part in (("q", q), ("k", k)))  # fmt: skip
    q, k, v = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    if turns is not None:
        q, k = (torch.view_as_real(torch.view_as_complex(part.double().unflatten(3, (-1, 2))) * turns).flatten(3).to(v)
                for part in (q, k))  # fmt: skip
    weights = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).softmax(3)
    return _linear(w, f"{name}.o", (weights @ v).transpose(1, 2).flatten(2))


def _turns(grid, size):
    """Rotary turns [L, size / 2] of the frame, row and column of each token."""
    places = torch.stack(torch.meshgrid(*map(torch.arange, grid), indexing="ij"), -1).reshape(-1, 3).double()
    shares = (size - 4 * (size // 6), 2 * (size // 6), 2 * (size // 6))
    angles = [places[:, axis, None] * 10000.0 ** -(torch.arange(0, part, 2).double() / part)
              for axis, part in enumerate(shares)]  # fmt: skip
    return torch.polar(torch.ones(()).double(), torch.cat(angles, 1))


def _norm(x):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def _linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])
