"""The peak of what lives at once: every storage a torch operation makes, from its birth to its end.

Counted by tensors, not by the allocator, so it reads the same on the CPU, on a card and on the meta device, where whole
models of full size can be measured without a byte. What an operation takes and gives back inside itself is not seen.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LivePeak(TorchDispatchMode):
    """`with LivePeak() as peak: ...; peak.bytes`. What lived before is not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self._live = 0
        self._known: dict[int, int] = {}
        self._attention = _AttentionOutput()

    def __enter__(self) -> LivePeak:
        super().__enter__()
        self._attention.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._attention.__exit__(*raised)
        super().__exit__(*raised)

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in given and key not in self._known:
                    self._born(storage, key)
        return result

    def _born(self, storage: torch.UntypedStorage, key: int) -> None:
        self._known[key] = storage.nbytes()
        self._live += storage.nbytes()
        self.bytes = max(self.bytes, self._live)
        weakref.finalize(storage, self._died, key)

    def _died(self, key: int) -> None:
        self._live -= self._known.pop(key, 0)


class _AttentionOutput(TorchFunctionMode):
    """On the meta device torch writes attention out in full; every real kernel keeps the scores to itself."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.nn.functional.scaled_dot_product_attention:
            given = dict(zip(("query", "key", "value"), args, strict=False)) | (kwargs or {})
            if given["query"].is_meta:
                return given["query"].new_empty(*given["query"].shape[:-1], given["value"].shape[-1])
        return function(*args, **(kwargs or {}))
