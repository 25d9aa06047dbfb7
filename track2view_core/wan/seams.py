"""The two seams into WAN's transformer: deltas added after patch embedding, and the rotary positions of two views.

Only forward hooks on `patch_embedding` and `rope`; the transformer's own forward runs unchanged on the sequence
[target, source] (frame axis), and its output is cropped to the target. With `source_attention` own the self-attentions
get a processor besides (`source_attention.py`), and each view can run alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from einops import repeat
from torch import Tensor, nn

from ..conditioner import TrackConditioner
from ..errors import Track2ViewError
from ..tracks import TrackBatch

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

    from .kept_states import KeptStates

Rotary = Literal["shared", "consecutive"]
SourceTimestep = Literal["zero", "same"]
SourceAttention = Literal["full", "own"]
SourceText = Literal["prompt", "empty"]
Views = Literal["both", "source", "target"]
ROTARY = ("shared", "consecutive")
SOURCE_TIMESTEPS = ("zero", "same")
SOURCE_ATTENTIONS = ("full", "own")
SOURCE_TEXTS = ("prompt", "empty")


def check_source(source_attention: str, source_timestep: str, source_text: str = "prompt") -> None:
    """Refuse unknown settings of the source, `own` where its tokens take the target's timestep and so change, and an
    empty text where they see the target, which reads the prompt."""
    for name, value, allowed in (
        ("source_attention", source_attention, SOURCE_ATTENTIONS),
        ("source_timestep", source_timestep, SOURCE_TIMESTEPS),
        ("source_text", source_text, SOURCE_TEXTS),
    ):
        if value not in allowed:
            raise Track2ViewError(f'{name} is "{value}"; allowed are {", ".join(allowed)}.')
    if source_text == "empty" and source_attention != "own":
        raise Track2ViewError(
            f'source_text is "empty" and source_attention is "{source_attention}"; empty needs source_attention "own".'
        )
    if source_attention == "own" and source_timestep != "zero":
        raise Track2ViewError(
            f'source_attention is "own" and source_timestep is "{source_timestep}"; own needs source_timestep "zero".'
        )


class Deltas(NamedTuple):
    """What the conditioner adds to the tokens of each view."""

    source: Tensor  # [B, D, F, h, w]
    target: Tensor  # [B, D, F, h, w]

    def scaled(self, strength: float) -> Deltas:
        return Deltas(self.source * strength, self.target * strength)

    def to(self, device: torch.device | str) -> Deltas:
        return Deltas(self.source.to(device), self.target.to(device))


@dataclass
class _Call:
    """What the hooks need to know about the forward that is running."""

    batch: TrackBatch | None
    deltas: Deltas | None
    views: Views = "both"
    record: KeptStates | None = None  # of the source alone: where its keys and values go
    kept: KeptStates | None = None  # of the target alone: the source's
    source_text_tokens: int = 0  # of the text of both views, so many at its end are the source's own
    tokens_reached: bool = False
    rotary_reached: bool = False


class Seams:
    """A transformer with the seams attached; made by `attach_seams`, ended by `detach` or as a context manager.

    Outside `forward` and `deltas` the hooks let everything pass, so a plain call of the transformer stays a plain call.
    """

    def __init__(
        self,
        transformer: WanTransformer3DModel,
        conditioner: TrackConditioner | None,
        rotary: Rotary,
        source_timestep: SourceTimestep,
        source_attention: SourceAttention,
        source_text: Tensor | None,
    ):
        self.transformer, self.conditioner = transformer, conditioner
        self.rotary, self.source_timestep, self.source_attention = rotary, source_timestep, source_attention
        self.source_text = source_text
        self._call: _Call | None = None
        self._handles = [
            transformer.patch_embedding.register_forward_hook(self._after_patch_embedding),
            transformer.rope.register_forward_hook(self._after_rope),
        ]
        self._usual_attention = None
        if source_attention == "own":
            from .source_attention import set_own_attention

            self._usual_attention = set_own_attention(transformer)

    def __enter__(self) -> Seams:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def detach(self) -> None:
        """Take hooks and processors off again; the transformer is what it was before."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._usual_attention is not None:
            from .source_attention import restore_attention

            restore_attention(self.transformer, self._usual_attention)
            self._usual_attention = None

    def deltas(self, source: Tensor, batch: TrackBatch) -> Deltas:
        """Run the conditioner on the clean source latent [B, 16, F, h8, w8]; it sees neither timestep nor noise."""
        tokens = self.transformer.patch_embedding(source.to(self._dtype))
        return self._conditioned(tokens, source, batch)

    def forward(
        self,
        target: Tensor,  # [B, 16, F, h8, w8] the noised target latent
        source: Tensor,  # [B, 16, F, h8, w8] the clean source latent, normalised like the target
        timestep: Tensor,  # [B] in 0..1000
        text: Tensor,  # [B, L, text_dim]
        batch: TrackBatch | None = None,
        *,
        deltas: Deltas | None = None,
    ) -> Tensor:
        """Velocity [B, 16, F, h8, w8] of the target view.

        With `batch` the conditioner runs in this call and gradients reach it (training); with `deltas`, a result of
        `deltas()`, it does not run (sampling); with neither, source and target are only concatenated.
        """
        if target.shape != source.shape:
            raise Track2ViewError(
                f"The target latent {tuple(target.shape)} and the source latent {tuple(source.shape)} differ in shape; "
                "prepare both views at one size and length."
            )
        sequence = torch.cat([target, source], dim=2)
        call = _Call(batch, deltas)
        if self.source_text is not None:
            own = padded_text(self.source_text, text)
            text, call.source_text_tokens = torch.cat([text, own], dim=1), own.shape[1]
        velocity = self._run(call, sequence, self._timesteps(timestep, target), text)
        return velocity[:, :, : target.shape[2]]

    __call__ = forward

    def source_states(
        self,
        source: Tensor,  # [B, 16, F, h8, w8] the clean source latent
        text: Tensor,  # [B, L, text_dim]
        *,
        deltas: Deltas | None = None,
        in_host_memory: bool = False,
    ) -> KeptStates:
        """The source's keys and values in every block, by one forward of it alone; with `own` no step changes them.

        A text of the source's own stands in the place of `text`: then they serve every prompt.
        """
        from .kept_states import KeptStates

        if self.source_attention != "own":
            raise Track2ViewError(
                f'source_attention is "{self.source_attention}", where the source sees the target and changes with it; '
                'its states can be kept with "own" alone.'
            )
        states = KeptStates(in_host_memory=in_host_memory)
        timestep = torch.zeros(len(source), device=source.device)
        if self.source_text is not None:
            text = padded_text(self.source_text, text)[:1].expand(len(source), -1, -1)
        self._run(_Call(None, deltas, "source", record=states), source, timestep, text)
        return states

    def forward_target(
        self,
        target: Tensor,  # [B, 16, F, h8, w8] the noised target latent
        timestep: Tensor,  # [B] in 0..1000
        text: Tensor,  # [B, L, text_dim]
        states: KeptStates,  # of `source_states`, with the same text and deltas; of one source for all of the batch
        *,
        deltas: Deltas | None = None,
    ) -> Tensor:
        """`forward` on the target's tokens alone: velocity [B, 16, F, h8, w8]."""
        return self._run(_Call(None, deltas, "target", kept=states), target, timestep, text)

    def _run(self, call: _Call, latent: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """The transformer on the latent of one view or both."""
        with self._running(call):
            # The empty dict changes nothing in WAN. torch.compile does not notice hooks that come after its first call,
            # but it does notice an argument that was None then, and compiles once more, with the hooks.
            return self.transformer(
                latent.to(self._dtype), timestep, text.to(self._dtype), attention_kwargs={}, return_dict=False
            )[0]

    @property
    def _dtype(self) -> torch.dtype:
        return self.transformer.patch_embedding.weight.dtype

    @contextmanager
    def _running(self, call: _Call) -> Iterator[None]:
        if not self._handles:
            raise Track2ViewError("These seams were detached; attach them again before the next forward.")
        self._call = call
        try:
            yield
        finally:
            self._call = None
        if not (call.tokens_reached and call.rotary_reached):
            raise Track2ViewError(
                "This transformer was compiled before the seams were attached, and its compiled code passes them by; "
                "call torch.compiler.reset() once, or attach the seams before torch.compile."
            )

    def _timesteps(self, timestep: Tensor, target: Tensor) -> Tensor:
        """[B] when both views share it, else [B, tokens of target then source] with zeros for the clean source."""
        if self.source_timestep == "same":
            return timestep
        tokens = math.prod(target.shape[2:]) // math.prod(self.transformer.config["patch_size"])
        one_view = repeat(timestep, "b -> b tokens", tokens=tokens)
        return torch.cat([one_view, torch.zeros_like(one_view)], dim=1)

    def _conditioned(self, tokens: Tensor, latents: Tensor, batch: TrackBatch) -> Deltas:
        if self.conditioner is None:
            raise Track2ViewError(
                "Tracks came to seams that were attached without a conditioner; attach them with one."
            )
        dtype = next(self.conditioner.parameters()).dtype
        source, target = self.conditioner(tokens.to(dtype), batch, latents.to(dtype))
        return Deltas(source.to(tokens.dtype), target.to(tokens.dtype))

    def _after_patch_embedding(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        """The first seam: the tokens [B, D, F of each view, h, w] get their deltas."""
        call = self._call
        if call is None:
            return None
        call.tokens_reached = True
        deltas = call.deltas
        if deltas is None:
            if call.batch is None:
                return None
            frames = output.shape[2] // 2
            deltas = self._conditioned(output[:, :, frames:], inputs[0][:, :, inputs[0].shape[2] // 2 :], call.batch)
        views = {"both": (deltas.target, deltas.source), "source": (deltas.source,), "target": (deltas.target,)}
        return output + torch.cat(views[call.views], dim=2).to(output)

    def _after_rope(self, module: nn.Module, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]):
        """The second seam: both views get the rotary positions of the target, and attentions are told their views."""
        call = self._call
        if call is None:
            return None
        call.rotary_reached = True
        tables = self._tables(call, module, inputs[0], output)
        if self.source_attention == "full":
            return tables
        from .source_attention import PassTables

        told = PassTables(tables)
        told.record, told.kept, told.source_text_tokens = call.record, call.kept, call.source_text_tokens
        told.target_tokens = tables[0].shape[1] // 2 if call.views == "both" else None
        return told

    def _tables(
        self, call: _Call, rope: nn.Module, latent: Tensor, output: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, ...]:
        """The rotary tables, each [1, tokens, 1, head]: the target's of frames 0..F-1, the source's too, or F..2F-1."""
        if call.views == "both" and self.rotary == "shared":
            first_half = (table[:, : table.shape[1] // 2] for table in output)
            return tuple(torch.cat([half, half], dim=1) for half in first_half)
        if call.views == "source" and self.rotary == "consecutive":
            both = rope.forward(torch.cat([latent, latent], dim=2))
            return tuple(table[:, table.shape[1] // 2 :] for table in both)
        return output


def attach_seams(
    transformer: WanTransformer3DModel,
    conditioner: TrackConditioner | None,
    *,
    rotary: Rotary = "shared",
    source_timestep: SourceTimestep = "zero",
    source_attention: SourceAttention = "full",
    source_text: Tensor | None = None,
) -> Seams:
    """Hook the seams into a WAN transformer.

    rotary: "shared" gives both views the temporal positions 0..F-1, "consecutive" gives 0..2F-1.
    source_timestep: "zero" for the clean source's tokens, or "same" as the target's.
    source_attention: what the source's tokens attend to: "full" is both views, "own" the source alone, which lets
        `source_states` be computed once for all steps; it needs source_timestep "zero".
    source_text: [n, text_dim] what the source's tokens read in the place of the prompt, padded to its length; None is
        the prompt. It needs source_attention "own".
    """
    if rotary not in ROTARY:
        raise Track2ViewError(f'rotary is "{rotary}"; allowed are {", ".join(ROTARY)}.')
    check_source(source_attention, source_timestep, "prompt" if source_text is None else "empty")
    hooks = transformer.patch_embedding._forward_hooks.values()
    if any(isinstance(getattr(hook, "__self__", None), Seams) for hook in hooks):
        raise Track2ViewError("This transformer already carries seams; detach those before attaching others.")
    return Seams(transformer, conditioner, rotary, source_timestep, source_attention, source_text)


def padded_text(text: Tensor, like: Tensor) -> Tensor:
    """[n, text_dim] as [B, L, text_dim] of the prompts `like`, with zeros behind its last token, as WAN pads them."""
    behind = max(0, like.shape[1] - len(text))
    return nn.functional.pad(text.to(like), (0, 0, 0, behind)).expand(len(like), -1, -1)
