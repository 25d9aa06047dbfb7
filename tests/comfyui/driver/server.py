"""A ComfyUI server with the pack linked in, and a client that queues graphs and listens."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import websocket

from .install import PACKAGES, install

PACK = Path(__file__).resolve().parents[3]
PROBES = PACK / "tests/comfyui/probes"
START_SECONDS = 600
OPTIONS = (
    "--cpu",
    "--listen=127.0.0.1",
    "--disable-api-nodes",
    "--disable-auto-launch",
    "--database-url=sqlite:///:memory:",
    "--preview-method=none",
)


NOTHING_ABOVE_THE_CANVAS = {"Comfy.TutorialCompleted": True, "Comfy.Workflow.ShowMissingModelsWarning": False}


@dataclass
class Run:
    """What the server said about one queued graph."""

    prompt_id: str
    executed: list[str] = field(default_factory=list)  # nodes that ran, in order; cached ones are not among them
    cached: list[str] = field(default_factory=list)
    progress: list[tuple[str, int, int]] = field(default_factory=list)  # (node, value, max)
    texts: list[tuple[str, str]] = field(default_factory=list)  # (node, what it is at, or its card)
    outputs: dict[str, Any] = field(default_factory=dict)  # node -> its ui
    error: dict[str, Any] | None = None
    interrupted: bool = False

    @property
    def message(self) -> str:
        """The error the user reads."""
        assert self.error is not None, "the graph ran without an error"
        return self.error["exception_message"].strip()


class Server:
    """One running server. `base` is its base directory; `url` its address."""

    def __init__(self, base: Path, url: str, log: Path):
        self.base, self.url, self.log = base, url, log
        self._client = uuid.uuid4().hex
        self._socket = websocket.create_connection(
            f"{url.replace('http', 'ws')}/ws?clientId={self._client}", timeout=10
        )

    def get(self, path: str) -> Any:
        answer = requests.get(self.url + path, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        return requests.post(self.url + path, json=body or {}, timeout=60)

    def refusal(self, graph: dict[str, Any]) -> dict[str, Any]:
        """What the server answers to a graph it does not even queue."""
        answer = self.post("/prompt", {"prompt": graph, "client_id": self._client})
        assert answer.status_code == 400, answer.text
        return answer.json()

    def queue(self, graph: dict[str, Any], *, targets: list[str] | None = None) -> str:
        body: dict[str, Any] = {"prompt": graph, "client_id": self._client}
        if targets is not None:
            body["partial_execution_targets"] = targets
        answer = self.post("/prompt", body)
        assert answer.status_code == 200, answer.text
        return answer.json()["prompt_id"]

    def run(self, graph: dict[str, Any], *, targets: list[str] | None = None, seconds: float = 300) -> Run:
        """Queue a graph and listen until it ended, one way or another."""
        run = Run(self.queue(graph, targets=targets))
        for _ in self.events(run, seconds):
            pass
        return run

    def events(self, run: Run, seconds: float = 300) -> Iterator[str]:
        """Fill `run` from the websocket, giving each event's name, until the graph ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                message = self._socket.recv()
            except websocket.WebSocketTimeoutException:
                continue
            if isinstance(message, bytes):
                yield _note_binary(run, message)
                continue
            event, data = json.loads(message)["type"], json.loads(message)["data"]
            if data.get("prompt_id", run.prompt_id) != run.prompt_id:
                continue
            yield _note(run, event, data)
            if event in ("execution_success", "execution_error", "execution_interrupted"):
                return
        raise TimeoutError(f"the graph did not end within {seconds} s; the server's log ends:\n{self.log_end()}")

    def log_end(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def close(self) -> None:
        self._socket.close()


def _note(run: Run, event: str, data: dict[str, Any]) -> str:
    if event == "executing" and data["node"] is not None:
        run.executed.append(data["node"])
    elif event == "execution_cached":
        run.cached.extend(data["nodes"])
    elif event == "progress":
        run.progress.append((data["node"], data["value"], data["max"]))
    elif event == "executed":
        run.outputs[data["node"]] = data["output"]
        for card in map(json.loads, (data["output"] or {}).get("track2view_card", [])):
            lines = [card["headline"], card["table"], *(line["text"] for line in card["lines"])]
            run.texts.append((data["node"], "\n".join(lines)))
    elif event == "execution_error":
        run.error = data
    elif event == "execution_interrupted":
        run.interrupted = True
    return event


def _note_binary(run: Run, message: bytes) -> str:
    kind = int.from_bytes(message[:4], "big")
    if kind == 3:  # a progress text: the node's name with its length before it, then the text
        length = int.from_bytes(message[4:8], "big")
        run.texts.append((message[8 : 8 + length].decode(), message[8 + length :].decode()))
        return "progress_text"
    return "binary"


@contextmanager
def running_server(base: Path, *options: str) -> Iterator[Server]:
    """Start a server on a free port with `base` as its base directory; end it by its own process id."""
    comfyui = install()
    nodes = base / "custom_nodes"
    nodes.mkdir(parents=True, exist_ok=True)
    (nodes / "track2view").symlink_to(PACK, target_is_directory=True)
    (nodes / "track2view_probes").symlink_to(PROBES, target_is_directory=True)
    for folder in ("models/track2view", "models/vae", "models/diffusion_models", "input", "output", "user/default"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    settings = base / "user/default/comfy.settings.json"
    settings.write_text(json.dumps(NOTHING_ABOVE_THE_CANVAS), encoding="utf-8")
    port = _free_port()
    start = Path(__file__).with_name("start.py")
    command = [
        sys.executable,
        str(start),
        str(comfyui),
        str(PACKAGES),
        *OPTIONS,
        f"--port={port}",
        f"--base-directory={base}",
        *options,
    ]
    environment = {**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    log = base / "server.log"
    with log.open("wb") as output:
        pipes = {"stdin": subprocess.PIPE, "stdout": output, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=base, env=environment, **pipes)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url, log)
            server = Server(base, url, log)
            yield server
            server.close()
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{url}/system_stats", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise RuntimeError(f"ComfyUI did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}")
