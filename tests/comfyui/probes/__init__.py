"""Test-only nodes: exact sigmas, random prompts, stand-ins for other packs' patches, and looks inside a MODEL.

Importing it also puts small encoders of text and pictures in the places of core's (text_encoder.py, clip_vision.py).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from comfy_api.latest import ComfyExtension, io

from . import clip_vision, text_encoder
from .geometry import Geometry

COUNTS: dict = {}


class Probe(io.ComfyNode):
    """A node with its id, inputs and outputs on three lines."""

    ID, INPUTS, OUTPUTS = "", (), ()
    IS_OUTPUT = False

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=f"Probe_{cls.ID}",
            category="probes",
            inputs=list(cls.INPUTS),
            outputs=list(cls.OUTPUTS),
            is_output_node=cls.IS_OUTPUT,
        )


class Sigmas(Probe):
    ID = "Sigmas"
    INPUTS = (io.String.Input("values"),)
    OUTPUTS = (io.Sigmas.Output("sigmas"),)

    @classmethod
    def execute(cls, values):
        return io.NodeOutput(torch.tensor([float(value) for value in values.split()]))


class Text(Probe):
    ID = "Text"
    INPUTS = (io.Int.Input("seed"),)
    OUTPUTS = (io.Conditioning.Output("conditioning"),)

    @classmethod
    def execute(cls, seed):
        generator = torch.Generator().manual_seed(seed)
        return io.NodeOutput([[torch.randn(1, 12, 4096, generator=generator), {}]])


class Frames(Probe):
    """Core's own time_dim_concat: more latent frames behind the target's."""

    ID = "Frames"
    INPUTS = (io.Conditioning.Input("conditioning"), io.Latent.Input("latent"))
    OUTPUTS = (io.Conditioning.Output("with_frames"),)

    @classmethod
    def execute(cls, conditioning, latent):
        return io.NodeOutput(
            [[text, {**options, "time_dim_concat": latent["samples"]}] for text, options in conditioning]
        )


class ForeignBlock(Probe):
    """Another pack's replacement of the first block; at scale 1 it changes nothing."""

    ID = "ForeignBlock"
    INPUTS = (io.Model.Input("model"), io.Float.Input("scale"))
    OUTPUTS = (io.Model.Output("replaced"),)

    @classmethod
    def execute(cls, model, scale):
        def block(args, extra):
            COUNTS["foreign"] = COUNTS.get("foreign", 0) + 1
            out = extra["original_block"](args)
            return {**out, "img": out["img"] * scale}

        replaced = model.clone()
        replaced.set_model_patch_replace(block, "dit", "double_block", 0)
        return io.NodeOutput(replaced)


class ForeignAttention(Probe):
    """Another pack's attention, such as SageAttention; at scale 1 it changes nothing."""

    ID = "ForeignAttention"
    INPUTS = (io.Model.Input("model"), io.Float.Input("scale"))
    OUTPUTS = (io.Model.Output("overridden"),)

    @classmethod
    def execute(cls, model, scale):
        def attention(function, *args, **kwargs):
            return scale * function(*args, **kwargs)

        overridden = model.clone()
        overridden.model_options["transformer_options"]["optimized_attention_override"] = attention
        return io.NodeOutput(overridden)


class Unbatched(Probe):
    """A MODEL so large in core's eyes that guidance runs in two forwards."""

    ID = "Unbatched"
    INPUTS = (io.Model.Input("model"),)
    OUTPUTS = (io.Model.Output("unbatched"),)

    @classmethod
    def execute(cls, model):
        large = model.clone()
        large.add_object_patch("memory_required", lambda *_, **__: 1e30)
        return io.NodeOutput(large)


class Compiled(Probe):
    """torch.compile as core's own node does it, with a backend that needs no C++ compiler."""

    ID = "Compiled"
    INPUTS = (io.Model.Input("model"), io.String.Input("backend"))
    OUTPUTS = (io.Model.Output("compiled"),)

    @classmethod
    def execute(cls, model, backend):
        from comfy_api.torch_helpers import set_torch_compile_wrapper

        compiled = model.clone()
        set_torch_compile_wrapper(model=compiled, backend=backend)
        return io.NodeOutput(compiled)


class BareGuider(Probe):
    """Samples as some custom nodes do: not through core's OUTER_SAMPLE, and perhaps without the MODEL's wrappers."""

    ID = "BareGuider"
    INPUTS = (
        io.Model.Input("model"),
        io.Conditioning.Input("positive"),
        io.Conditioning.Input("negative"),
        io.Float.Input("cfg"),
        io.Boolean.Input("wrapped"),
    )
    OUTPUTS = (io.Guider.Output("guider"),)

    @classmethod
    def execute(cls, model, positive, negative, cfg, wrapped):
        import comfy.samplers
        from comfy.model_patcher import create_model_options_clone
        from comfy.sampler_helpers import prepare_model_patcher

        class Guider(comfy.samplers.CFGGuider):
            def sample(self, noise, latent_image, sampler, sigmas, *args, **kwargs):
                self.conds = {name: [cond.copy() for cond in conds] for name, conds in self.original_conds.items()}
                self.model_options = create_model_options_clone(self.model_options)
                if wrapped:
                    prepare_model_patcher(self.model_patcher, self.conds, self.model_options)
                return self.outer_sample(
                    noise, latent_image, sampler, sigmas, *args, **kwargs, latent_shapes=[latent_image.shape]
                )

        guider = Guider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
        return io.NodeOutput(guider)


class TimeToMoveLoop(Probe):
    """The loop of Time-to-Move by its formula: up to a level, what is known is written over with the step's noise."""

    ID = "TimeToMoveLoop"
    INPUTS = (io.Latent.Input("render"), io.Mask.Input("holes"), io.Float.Input("until_sigma"))
    OUTPUTS = (io.Sampler.Output("sampler"),)

    @classmethod
    def execute(cls, render, holes, until_sigma):
        import comfy.samplers

        def loop(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
            clean = model.inner_model.inner_model.process_latent_in(render["samples"]).to(x)
            frames = [holes[:1], *holes[1:].split(4)]
            free = torch.stack([group.unfold(1, 8, 8).unfold(2, 8, 8).amax((0, 3, 4)) for group in frames]).to(x)
            noise = (x - (1 - sigmas[0]) * clean) / sigmas[0]
            extra = {name: value for name, value in (extra_args or {}).items() if name != "denoise_mask"}
            for now, then in pairwise(sigmas):
                denoised = model(x, now.expand(len(x)), denoise_mask=None, **extra)
                slope = (x - denoised) / now
                x = x + slope * (then - now)
                if now > until_sigma:
                    x = free * x + (1 - free) * ((1 - then) * clean + then * noise)
            return x

        return io.NodeOutput(comfy.samplers.KSAMPLER(loop))


class ReCamMasterForward(Probe):
    """A MODEL whose forward is ReCamMaster's by its published formula, block by block, over WAN's own layers."""

    ID = "ReCamMasterForward"
    INPUTS = (
        io.Model.Input("model"),
        io.String.Input("file"),
        io.Custom("TRACK2VIEW_PAIRED_TRACKS").Input("paired_tracks"),
        io.Latent.Input("source_latent"),
        io.Float.Input("subject_distance"),
    )
    OUTPUTS = (io.Model.Output("published"),)

    @classmethod
    def execute(cls, model, file, paired_tracks, source_latent, subject_distance):
        import folder_paths
        import numpy as np
        from comfy.ldm.wan.model import sinusoidal_embedding_1d
        from comfy.patcher_extension import WrappersMP
        from safetensors.torch import load_file
        from torch.nn.functional import linear

        dit = model.model.diffusion_model
        own = load_file(folder_paths.get_full_path("diffusion_models", file))
        clean = model.model.process_latent_in(source_latent["samples"])
        source, target = paired_tracks.source_camera, paired_tracks.target_camera
        moves = np.linalg.inv(source.world_from_camera[0].numpy()) @ target.world_from_camera[::4].numpy()
        depth = paired_tracks.source.depth[0][paired_tracks.visible[0]].numpy()
        moves[:, :3, 3] *= subject_distance / np.median(depth[depth > 0])
        poses = torch.from_numpy(moves[:, :3].reshape(-1, 12)).float()

        def forward(executor, x, timestep, context, *args, **kwargs):
            both = torch.cat([x, clean.to(x).expand(len(x), -1, -1, -1, -1)], 2)
            frames, rows, columns = both.shape[2], both.shape[3] // 2, both.shape[4] // 2
            freqs = dit.rope_encode(*both.shape[2:], device=x.device, dtype=x.dtype)
            e = dit.time_embedding(sinusoidal_embedding_1d(dit.freq_dim, timestep).to(x))
            t_mod = dit.time_projection(e).unflatten(1, (6, dit.dim))
            text = dit.text_embedding(context)
            tokens = dit.patch_embedding(both).flatten(2).transpose(1, 2)
            for number, block in enumerate(dit.blocks):
                layer = {part: (own[f"blocks.{number}.{part}.weight"].to(x), own[f"blocks.{number}.{part}.bias"].to(x))
                         for part in ("cam_encoder", "projector")}  # fmt: skip
                shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = (block.modulation.to(x) + t_mod).chunk(6, 1)
                seen = block.norm1(tokens) * (1 + scale) + shift
                cameras = linear(poses.to(x), *layer["cam_encoder"]).repeat(2, 1)
                seen = seen + cameras[:, None, None].repeat(1, rows, columns, 1).flatten(0, 2)
                tokens = tokens + gate * linear(block.self_attn(seen, freqs), *layer["projector"])
                tokens = tokens + block.cross_attn(block.norm3(tokens), text)
                tokens = tokens + gate_ffn * block.ffn(block.norm2(tokens) * (1 + scale_ffn) + shift_ffn)
            return dit.unpatchify(dit.head(tokens, e[:, None]), (frames, rows, columns))[:, :, : x.shape[2]]

        published = model.clone()
        published.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "published", forward)
        return io.NodeOutput(published)


class NeoVerseForward(Probe):
    """A plain WAN with NeoVerse's control by its published formula, of its own weights under its own names."""

    ID = "NeoVerseForward"
    INPUTS = (
        io.Model.Input("model"),
        io.String.Input("file"),
        io.Custom("TRACK2VIEW_PAIRED_TRACKS").Input("paired_tracks"),
        io.Latent.Input("shown"),
        io.Latent.Input("shown_depth"),
        io.Float.Input("scene_depth"),
        io.Float.Input("strength"),
    )
    OUTPUTS = (io.Model.Output("published"),)

    @classmethod
    def execute(cls, model, file, paired_tracks, shown, shown_depth, scene_depth, strength):
        import folder_paths
        from comfy.ldm.wan.model import sinusoidal_embedding_1d
        from comfy.patcher_extension import WrappersMP
        from safetensors.torch import load_file

        from .neoverse import embedded, hints

        dit = model.model.diffusion_model
        own = load_file(folder_paths.get_full_path("diffusion_models", file))
        latents = torch.cat([model.model.process_latent_in(part["samples"]) for part in (shown, shown_depth)], 1)
        control = torch.cat([latents, embedded(own, paired_tracks, scene_depth)], 1)

        def forward(executor, x, timestep, context, *args, **kwargs):
            grid = (x.shape[2], x.shape[3] // 2, x.shape[4] // 2)
            freqs = dit.rope_encode(*x.shape[2:], device=x.device, dtype=x.dtype)
            e = dit.time_embedding(sinusoidal_embedding_1d(dit.freq_dim, timestep).to(x))
            t_mod = dit.time_projection(e).unflatten(1, (6, dit.dim))
            text = dit.text_embedding(context)
            tokens = dit.patch_embedding(x).flatten(2).transpose(1, 2)
            told = hints(own, control, tokens, text, t_mod, grid, dit.num_heads)
            apart = len(dit.blocks) // len(told)
            for number, block in enumerate(dit.blocks):
                tokens = block(tokens, e=t_mod, freqs=freqs, context=text)
                if number % apart == 0:
                    tokens = tokens + strength * told[number // apart]
            return dit.unpatchify(dit.head(tokens, e[:, None]), grid)

        published = model.clone()
        published.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "published", forward)
        return io.NodeOutput(published)


class Count(Probe):
    """Counts the conditioner's calls and the latent frames of each forward from here on; Facts tells and ends it."""

    ID = "Count"
    INPUTS = (io.Model.Input("model"), io.Int.Input("number"))
    OUTPUTS = (io.Model.Output("counted"),)

    @classmethod
    def execute(cls, model, number):
        (patcher,) = model.get_additional_models_with_key("track2view")

        def counted(*_):
            COUNTS["conditioner"] += 1

        def measured(_module, inputs):
            COUNTS["frames"].append(inputs[0].shape[2])

        COUNTS.update(conditioner=0, foreign=0, frames=[])
        COUNTS_HANDLES.append(patcher.model.module.register_forward_hook(counted))
        COUNTS_HANDLES.append(model.model.diffusion_model.patch_embedding.register_forward_pre_hook(measured))
        return io.NodeOutput(model)


COUNTS_HANDLES: list = []


class Control(Probe):
    """What core's WanVaceToVideo made of pictures and mask, as a file."""

    ID = "Control"
    INPUTS = (io.Conditioning.Input("conditioning"),)
    IS_OUTPUT = True

    @classmethod
    def execute(cls, conditioning):
        import folder_paths
        from safetensors.torch import save_file

        told = conditioning[0][1]
        save_file(
            {name: told[name][0].contiguous() for name in ("vace_frames", "vace_mask")},
            f"{folder_paths.get_output_directory()}/control.safetensors",
        )
        return io.NodeOutput()


class Facts(Probe):
    """What a MODEL holds after the sampler that made the latent."""

    ID = "Facts"
    INPUTS = (io.Model.Input("model"), io.Latent.Input("latent"))
    IS_OUTPUT = True

    @classmethod
    def execute(cls, model, latent):
        while COUNTS_HANDLES:
            COUNTS_HANDLES.pop().remove()
        facts = {
            "uuid": str(model.patches_uuid),
            "loaded_uuid": str(model.model.current_weight_patches_uuid),
            "patches": len(model.patches),
            "additional": sorted(model.additional_models),
            "wrappers": sorted(kind for kind, keys in model.wrappers.items() if keys.get("track2view")),
            "wrapper_count": sum(len(keys.get("track2view", ())) for keys in model.wrappers.values()),
            "finite": bool(latent["samples"].isfinite().all()),
            **COUNTS,
        }
        return io.NodeOutput(ui={"facts": [facts]})


class Probes(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            Sigmas, Text, Frames, ForeignBlock, ForeignAttention, Unbatched, Compiled, BareGuider, TimeToMoveLoop,
            ReCamMasterForward, NeoVerseForward, Count, Control, Facts, Geometry,
        ]  # fmt: skip


async def comfy_entrypoint() -> Probes:
    text_encoder.stand_in()
    clip_vision.stand_in()
    return Probes()
