"""How long the Camera Path Editor takes to draw 20,000 points, of which 2,000 move, in both panes of 600 x 300, and how
long where the new camera's pane shows the clip's picture, a mesh of 160 x 90 points, instead.

Every frame is another frame of the clip from another side, so that nothing can be kept, and is waited for until its
pixels can be read back. Chromium runs headless without a graphics card: its WebGL is played by the processor, and
`auto`, what users get, then goes without it.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parents[1]
PAGE = "benchmarks/editor_frame_time.html"
LIMIT = 33.0  # ms
KINDS = ("auto", "2d", "webgl2")


class _Files(SimpleHTTPRequestHandler):
    extensions_map: ClassVar[dict[str, str]] = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def log_message(self, *_: Any) -> None:
        pass


def _browser() -> ModuleType:
    spec = importlib.util.spec_from_file_location("track2view_browser", ROOT / "tests/comfyui/driver/browser.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(ROOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{PAGE}"
    write = sys.stdout.write
    write("| asked for | points by | new camera | stage | median ms | 95 % ms |\n|---|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder, _browser().open_page(url, Path(folder) / "profile") as page:
        page.wait_for("window.ready === true")
        for kind, pictured in ((kind, pictured) for kind in KINDS for pictured in ("false", "true")):
            found = page.evaluate(f"measure('{kind}', {pictured})")
            size, pane = " x ".join(map(str, found["size"])), "picture" if found["pictured"] else "points"
            write(f"| {kind} | {found['kind']} | {pane} | {size} | {found['median']:.1f} | {found['late']:.1f} |\n")
            if kind == "auto" and found["median"] > LIMIT:
                write(f"Above the limit of {LIMIT:g} ms.\n")
    server.shutdown()


if __name__ == "__main__":
    main()
