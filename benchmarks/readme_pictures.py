"""Re-film the demo's clip and Big Buck Bunny as the command line would, and draw the README's two pictures of it.

python -m benchmarks.readme_pictures BIGBUCKBUNNY.mp4 [FOLDER]

Big Buck Bunny is (c) Blender Foundation, CC BY 3.0; `tests/conftest.py` says where the clip is from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from track2view_core import Refilm, VideoClip, read_clip, refilm
from track2view_core.preview.drawing import GAP, GROUND, caption
from track2view_core.scenes import furnished_clip
from track2view_core.video.resizing import resize_picture

COLUMNS, WIDTH = 4, 1240
QUALITY = 86  # of JPEG: below 150 kB a picture
BUNNY_FRAMES = 49


def strip(source: Tensor, result: Tensor) -> np.ndarray:
    """Frames of the source above the same ones of the result, [h, w, 3] uint8."""
    wide = (WIDTH - (COLUMNS - 1) * GAP) // COLUMNS
    tall = round(wide * source.shape[1] / source.shape[2])
    sheet = np.full((2 * tall + GAP, WIDTH, 3), GROUND, np.uint8)
    for row, (clip, name) in enumerate(((source, "source"), (result, "re-filmed"))):
        for column in range(COLUMNS):
            t = round((column + 1) * (len(clip) - 1) / COLUMNS)
            picture = resize_picture(clip[t].numpy(), wide, tall)
            if column == 0:
                caption(picture, name)
            top, left = row * (tall + GAP), column * (wide + GAP)
            sheet[top : top + tall, left : left + wide] = picture
    return sheet


def write_jpeg(picture: np.ndarray, file: Path) -> None:
    file.write_bytes(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, metavar="BIGBUCKBUNNY.mp4")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/images"), metavar="FOLDER")
    asked = parser.parse_args()
    demo = furnished_clip()
    clips = {
        "demo.jpg": (VideoClip(demo.frames, demo.fps), 0.5),
        "bigbuckbunny.jpg": (read_clip(asked.clip, frames=BUNNY_FRAMES), 0.3),
    }
    for name, (clip, amount) in clips.items():
        made = refilm(clip, "orbit_left", Refilm(amount=amount))
        write_jpeg(strip(clip.frames, made.clip.frames), asked.folder / name)


if __name__ == "__main__":
    main()
