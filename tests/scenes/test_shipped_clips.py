"""The sample clips that are shipped as files are those that the renderer draws, with the camera that drew them."""

import pytest

from track2view_core.scenes import DEMOS, shipped_clip
from track2view_core.video import read_clip


@pytest.mark.parametrize("name", DEMOS)
def test_frames_of_the_file_are_those_of_the_renderer(name):
    shipped, film = shipped_clip(name), read_clip(shipped_clip(name).file)
    chosen = (0, len(film) // 2, len(film) - 1)
    drawn = DEMOS[name](only=chosen)
    assert (film.width, film.height, film.fps) == (drawn.camera.width, drawn.camera.height, drawn.fps)
    assert len(film) == len(shipped.camera) == len(drawn.camera)
    apart = (film.frames[list(chosen)].float() - drawn.frames.float()).abs().mean(dim=(1, 2, 3))
    assert apart.max() < 2  # grey levels
    neighbours = film.frames[[1, chosen[1] + 1, chosen[2] - 1]].float()
    assert ((neighbours - drawn.frames.float()).abs().mean(dim=(1, 2, 3)) > 1.5 * apart).all()
