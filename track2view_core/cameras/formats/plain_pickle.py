"""Plain data out of a pickle without running it: dicts, lists, text, numbers and numpy arrays, and nothing else.

A pickle is a program for a small stack machine. This reads the program's instructions with `pickletools` and carries
out only those that build plain data. Names of classes and functions are compared with a short list and become
numbers read by `numpy.frombuffer`; nothing is imported or called by name, so a hostile file is refused, no more.

Kept instead of a `pickle.Unpickler` whose `find_class` lets numpy's names pass: numpy's own array and type state then
follow pointers out of the file (the process dies), and ten bytes of it make the unpickler take gigabytes of memory.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import Track2ViewError

MOST_INSTRUCTIONS = 50_000_000
ARRAY_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}
SCALAR_NAMES = {("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")}
PLAIN_NAMES = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), *ARRAY_NAMES, *SCALAR_NAMES}
NUMBER_KINDS = "biuf"
_MARK = object()


@dataclass(frozen=True)
class _Name:
    """A class or function the pickle names; one of PLAIN_NAMES."""

    module: str
    name: str


@dataclass
class _Dtype:
    code: str
    order: str = "="

    def numpy(self) -> np.dtype[Any]:
        if self.code == "O8" or self.code == "O":
            return np.dtype(object)
        try:
            told = np.dtype(self.code)
        except (TypeError, ValueError) as error:
            raise _damaged() from error
        if told.kind not in NUMBER_KINDS:
            raise _refused(f"an array of {self.code[:20]!r}")
        return told.newbyteorder(">" if self.order == ">" else "<")


@dataclass
class _Array:
    """An array before its state has come."""

    values: Any = None
    state: bool = field(default=False)


def plain_data(pickled: bytes) -> Any:
    """The data of a pickle; arrays of numbers as numpy arrays, arrays of objects as lists.

    Raises:
        Track2ViewError: the pickle is damaged, or names anything but plain data. The sentence begins with a verb.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
            if count > MOST_INSTRUCTIONS:
                raise _refused("more instructions than camera lists need")
            if opcode.name == "STOP":
                return _finished(machine.pop(), {})
            machine.run(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, Track2ViewError):
            raise
        raise _damaged() from error
    except (MemoryError, AssertionError, EOFError) as error:
        raise _damaged() from error
    raise _damaged()


def _damaged() -> Track2ViewError:
    return Track2ViewError("is damaged or cut short; download it again.")


def _refused(what: str) -> Track2ViewError:
    return Track2ViewError(
        f"holds {what}, which is never opened; only numbers, text, lists and dicts are read from it."
    )


class _Machine:
    """The stack machine, less everything that could run code."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise _damaged()
        return value

    def to_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def run(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(argument)
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in ("PROTO", "FRAME"):
            pass
        elif name in ("NONE", "NEWTRUE", "NEWFALSE"):
            self.stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[len(self.memo) if name == "MEMOIZE" else int(argument)] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[int(argument)])
        elif name in ("POP", "DUP"):
            value = self.stack.pop() if name == "POP" else self.stack[-1]
            self.stack.extend([] if name == "POP" else [value])
        else:
            self._collect(name, argument)

    def _collect(self, name: str, argument: Any) -> None:
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            values = [self.pop() for _ in range(int(name[-1]))]
            self.stack.append(tuple(values[::-1]))
        elif name in ("TUPLE", "LIST"):
            values = self.to_mark()
            self.stack.append(tuple(values) if name == "TUPLE" else values)
        elif name in ("APPEND", "APPENDS"):
            values = [self.pop()] if name == "APPEND" else self.to_mark()
            self._top(list).extend(values)
        elif name in ("SETITEM", "SETITEMS", "DICT"):
            values = [self.pop(), self.pop()][::-1] if name == "SETITEM" else self.to_mark()
            if name == "DICT":
                self.stack.append({})
            if len(values) % 2:
                raise _damaged()
            self._top(dict).update(zip(values[::2], values[1::2], strict=True))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            if name == "GLOBAL":
                module, _, attribute = argument.partition(" ")
            else:
                attribute, module = self.pop(), self.pop()
            if (module, attribute) not in PLAIN_NAMES:
                raise _refused(f"a pickled {str(module)[:30]}.{str(attribute)[:30]}")
            self.stack.append(_Name(module, attribute))
        elif name == "REDUCE":
            arguments, named = self.pop(), self.pop()
            self.stack.append(_made(named, arguments))
        elif name == "BUILD":
            _build(self.pop(), self.stack[-1])
        else:
            raise _refused(f"the pickle instruction {name}")

    def _top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise _damaged()
        return self.stack[-1]


_CONSTANTS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
}  # fmt: skip
_EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}


def _made(named: Any, arguments: Any) -> Any:
    """What a call of one of PLAIN_NAMES stands for, without the call."""
    if not isinstance(named, _Name) or not isinstance(arguments, tuple):
        raise _damaged()
    told = (named.module, named.name)
    if told in ARRAY_NAMES:
        return _Array()
    if told == ("numpy", "dtype"):
        if not isinstance(arguments[0], str):
            raise _damaged()
        return _Dtype(arguments[0])
    if told == ("_codecs", "encode"):
        if not isinstance(arguments[0], str) or arguments[1:] not in ((), ("latin1",), ("latin-1",)):
            raise _damaged()
        return arguments[0].encode("latin1")
    if told in SCALAR_NAMES:
        dtype, raw = arguments
        if not isinstance(dtype, _Dtype) or dtype.numpy().kind == "O":
            raise _damaged()
        return np.frombuffer(_bytes(raw), dtype.numpy(), count=1)[0].item()
    raise _refused(f"a pickled {named.module}.{named.name}")


def _build(state: Any, target: Any) -> None:
    """The state of a dtype (its byte order) or of an array (shape, dtype, order, values)."""
    if isinstance(target, _Dtype):
        target.order = state[1] if isinstance(state[1], str) and len(state[1]) == 1 else "="
        return
    if not isinstance(target, _Array) or target.state:
        raise _damaged()
    _, shape, dtype, fortran, values = state
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise _damaged()
    if any(isinstance(side, bool) or not isinstance(side, int) or side < 0 for side in shape):
        raise _damaged()
    target.state = True
    if dtype.numpy().kind == "O":
        if not isinstance(values, list):
            raise _damaged()
        target.values = values
        return
    array = np.frombuffer(_bytes(values), dtype.numpy())
    target.values = array.reshape(shape, order="F" if fortran else "C")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("latin1")
    if not isinstance(value, bytes):
        raise _damaged()
    return value


def _finished(value: Any, done: dict[int, Any], depth: int = 0) -> Any:
    """The data with every array in its place; a value that stands in two places is one in both."""
    if depth > 20:
        raise _refused("lists nested deeper than camera lists are")
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, _Array):
        if not value.state:
            raise _damaged()
        result = _finished(value.values, done, depth + 1) if isinstance(value.values, list) else value.values
    elif isinstance(value, list | tuple):
        result = [_finished(entry, done, depth + 1) for entry in value]
    elif isinstance(value, dict):
        result = {key: _finished(entry, done, depth + 1) for key, entry in value.items()}
    elif isinstance(value, _Name | _Dtype):
        raise _damaged()
    else:
        return value
    done[id(value)] = result
    return result
