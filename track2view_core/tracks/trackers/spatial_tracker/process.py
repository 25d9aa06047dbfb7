"""A child process that is watched line by line and never outlives its call, nor do its own children."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from ....errors import Track2ViewError

POLL_SECONDS, MEET_SECONDS = 0.1, 0.5
END_SECONDS = 2.0
"""How long the ended processes are waited for."""
LAST_LINES = 3
LONGEST_TAIL = 240

Message = dict[str, Any]


def run_watched(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    watch: Callable[[Message | None], None],
    name: str,
) -> None:
    """Run `command` (no shell) in `folder` to its end; whatever ends this call ends the child and its descendants.

    Args:
        watch: called with every JSON object that the child writes as a line, and with None many times a second; what
            it raises ends the child. Other lines of the child are noise.
        name: what is run, for messages.

    Raises:
        Track2ViewError: the child cannot be started, or ends with another code than 0; with its last words.
    """
    try:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise Track2ViewError(
            f"{command[0]} of {name} cannot be started ({error.strerror or error}); set python to an interpreter that "
            "runs on this machine."
        ) from error
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    words: deque[bytes] = deque(maxlen=50)
    family = _Family(process)
    readers = [_reader(process.stdout, lines.put), _reader(process.stderr, words.append)]
    try:
        while process.poll() is None:
            family.meet()
            _pass_on(lines, watch)
            watch(None)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
        for reader in readers:  # a descendant may hold the pipes open
            reader.join(END_SECONDS)
        _pass_on(lines, watch)
    finally:
        family.end()
        for reader in readers:
            reader.join(END_SECONDS)
    if process.returncode != 0:
        raise Track2ViewError(f"{name} stopped with {_code(process.returncode)}; its last words were: {_tail(words)}.")


class _Family:
    """A child and all that it ever started, also what its own end has left behind."""

    def __init__(self, process: subprocess.Popen[bytes]):
        self._process = process
        self._members: set[psutil.Process] = set()
        self._met = float("-inf")
        with contextlib.suppress(psutil.NoSuchProcess):
            self._members.add(psutil.Process(process.pid))

    def meet(self, *, now: bool = False) -> None:
        """Remember the descendants of today: once their parent is gone, nothing leads to them."""
        if not now and time.monotonic() - self._met < MEET_SECONDS:
            return
        for member in list(self._members):
            with contextlib.suppress(psutil.Error):
                self._members.update(member.children(recursive=True))
        self._met = time.monotonic()

    def end(self) -> None:
        for member in self._members:  # a stopped process starts no further ones
            with contextlib.suppress(psutil.Error):
                member.suspend()
        self.meet(now=True)
        for member in self._members:
            with contextlib.suppress(psutil.Error):
                member.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        deadline = time.monotonic() + END_SECONDS
        while any(map(_lives, self._members)) and time.monotonic() < deadline:
            time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    """A zombie does not: nobody may ever collect a grandchild."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _reader(stream: IO[bytes] | None, take: Callable[[bytes], None]) -> threading.Thread:
    def read() -> None:
        assert stream is not None
        with stream:
            for line in stream:
                take(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _pass_on(lines: queue.SimpleQueue[bytes], watch: Callable[[Message | None], None]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            message = _message(lines.get_nowait())
            if message is not None:
                watch(message)


def _message(line: bytes) -> Message | None:
    try:
        message = json.loads(line)
    except ValueError:  # noise of the child's libraries
        return None
    return message if isinstance(message, dict) else None


def _code(returncode: int) -> str:
    return f"exit code {returncode}" if returncode > 0 else f"signal {-returncode}"


def _tail(words: deque[bytes]) -> str:
    lines = [line.decode("utf-8", errors="replace").strip() for line in words]
    text = " / ".join([line for line in lines if line][-LAST_LINES:])
    text = "... " + text[-LONGEST_TAIL:] if len(text) > LONGEST_TAIL else text
    return text.rstrip(".") or "none"
