"""Seconds of work by module of a room, measured from outside: the library knows nothing of it."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any


class StageClock:
    """`with StageClock(track2view_core.render) as clock: ...; clock.seconds`.

    Inside, every function of the room's modules is replaced by one that charges its processor time to its module, less
    what it spends in other modules of the room. Everything is put back at the end.
    """

    def __init__(self, *rooms: ModuleType) -> None:
        self.seconds: dict[str, float] = defaultdict(float)  # module's own name -> this process' seconds, all threads
        self._modules = [module for room in rooms for module in _modules(room)]
        self._undo: list[tuple[Any, str, Any]] = []
        self._stages: list[str] = []
        self._since = 0.0

    def __enter__(self) -> StageClock:
        replaced: dict[int, Any] = {}
        for module in self._modules:
            stage = module.__name__.rpartition(".")[2]
            for value in list(vars(module).values()):
                if getattr(value, "__module__", None) != module.__name__:
                    continue
                if inspect.isfunction(value):
                    replaced[id(value)] = self._timed(value, stage)
                elif inspect.isclass(value):
                    self._time_methods(value, stage)
        pack = self._modules[0].__name__.partition(".")[0]
        for module in [m for name, m in sys.modules.items() if name.partition(".")[0] in (pack, "benchmarks")]:
            for name, value in list(vars(module).items()):
                if id(value) in replaced:
                    self._set(module, name, replaced[id(value)])
        return self

    def __exit__(self, *raised: object) -> None:
        for owner, name, value in reversed(self._undo):
            setattr(owner, name, value)
        self._undo.clear()

    def _time_methods(self, owner: type, stage: str) -> None:
        for name, value in list(vars(owner).items()):
            if name.startswith("__") and name not in ("__init__", "__call__", "__iter__", "__next__"):
                continue
            if inspect.isfunction(value):
                self._set(owner, name, self._timed(value, stage))
            elif isinstance(value, (staticmethod, classmethod)):
                self._set(owner, name, type(value)(self._timed(value.__func__, stage)))

    def _set(self, owner: Any, name: str, value: Any) -> None:
        self._undo.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
                steps = function(*args, **kwargs)
                while True:
                    self._enter(stage)
                    try:
                        value = next(steps)
                    except StopIteration as end:
                        return end.value
                    finally:
                        self._leave()
                    yield value

            return generator

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._enter(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._leave()

        return call

    def _enter(self, stage: str) -> None:
        self._charge()
        self._stages.append(stage)

    def _leave(self) -> None:
        self._charge()
        self._stages.pop()

    def _charge(self) -> None:
        now = time.process_time()
        if self._stages:
            self.seconds[self._stages[-1]] += now - self._since
        self._since = now


def _modules(room: ModuleType) -> list[ModuleType]:
    """The room's modules, or the module itself."""
    if not hasattr(room, "__path__"):
        return [room]
    return [importlib.import_module(f"{room.__name__}.{found.name}") for found in pkgutil.iter_modules(room.__path__)]
