"""What work costs: wall-clock seconds on a device, and the peak of bytes that live at once."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Result = TypeVar("Result")


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], Any], device: torch.device) -> float:
    synchronise(device)
    begin = time.perf_counter()
    call()
    synchronise(device)
    return time.perf_counter() - begin


def work_seconds(call: Callable[[], Any], device: torch.device) -> float:
    """`seconds`; on the CPU those of this process' work, over all its threads, which other programs do not stretch."""
    return seconds(call, device) if device.type == "cuda" else cpu_and_wall(call)[1]


def cpu_and_wall(call: Callable[[], Result]) -> tuple[Result, float, float]:
    """What the call gives, this process' seconds of work, and those of the clock."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else "CPU"


def quartiles(values: Iterable[float]) -> tuple[float, float, float]:
    """Of at least one value."""
    values = list(values)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * values
    return low, middle, high


def start_peak(device: torch.device) -> None:
    """From here on `peak_bytes` counts."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_bytes(device: torch.device) -> int | None:
    """The most that a card's memory held; None on a CPU, where `LivePeak` tells."""
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else None


def median_seconds(call: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """One run that is not counted, then the median of `repeats`."""
    call()
    return statistics.median(seconds(call, device) for _ in range(repeats))


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
