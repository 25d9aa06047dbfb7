"""Render the sample clips into the small files that are shipped.

python -m benchmarks.demo_clips [FOLDER]

The files are those of `track2view_core/scenes/clips`; a test holds frames of them to the renderer.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from track2view_core.scenes import DEMOS, shipped_clip
from track2view_core.video import VideoClip, write_clip

QUALITY = {"shapes": 0, "room": 12}  # of x264; smooth walls lose their depth to the least noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=None)
    folder = parser.parse_args().folder
    for name, rendered in DEMOS.items():
        demo = rendered()
        file = shipped_clip(name).file if folder is None else folder / f"{name}.mp4"
        print(write_clip(VideoClip(demo.frames, demo.fps), file, quality=QUALITY[name]))


if __name__ == "__main__":
    main()
