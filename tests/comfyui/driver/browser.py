"""A headless chromium over its DevTools protocol: enough to open a page and run scripts in it."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # the page must not need the network
    "--remote-allow-origins=*",
    "--remote-debugging-port=0",
    "--window-size=1600,1000",
)


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One open page."""

    def __init__(self, address: str):
        self._socket = websocket.create_connection(address, timeout=120)
        self._numbers = itertools.count(1)
        self.errors: list[str] = []
        self.call("Page.enable")
        self.call("Runtime.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(message["params"]["exceptionDetails"].get("exception", {}).get("description", "?"))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def evaluate(self, script: str) -> Any:
        """The value of a script, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = 120) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = self.evaluate(script)
            if value:
                return value
            time.sleep(0.25)
        raise TimeoutError(f"{script} stayed false for {seconds} s")

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def open_page(url: str, profile: Path) -> Iterator[Page]:
    """Start the browser on `url`; it is ended by its own process id."""
    browser = find_chromium()
    assert browser, "no chromium found"
    with (profile.parent / "browser.log").open("wb") as log:
        process = subprocess.Popen([browser, *OPTIONS, f"--user-data-dir={profile}", url], stdout=log, stderr=log)
        try:
            yield Page(_page_address(process, profile, url))
        finally:
            process.terminate()
            process.wait(20)


def _page_address(process: subprocess.Popen[bytes], profile: Path, url: str) -> str:
    port_file = profile / "DevToolsActivePort"
    for _ in range(600):
        if port_file.is_file() and (lines := port_file.read_text().splitlines()):
            pages = requests.get(f"http://127.0.0.1:{lines[0]}/json", timeout=10).json()
            for page in pages:
                if page["type"] == "page" and page["url"].startswith(url):
                    return page["webSocketDebuggerUrl"]
        assert process.poll() is None, "the browser ended at once"
        time.sleep(0.2)
    raise TimeoutError("the browser opened no page")
