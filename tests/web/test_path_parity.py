"""The browser draws the path that Python samples: to 1e-9, and its points to a millionth of a pixel."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import torch

from track2view_core.cameras import EASES, PRESETS, document_notes, parse_document, project, sample_document, to_json
from track2view_core.cameras.keyframes.documents import Keyframe, PathDocument
from track2view_core.cameras.presets import MOVES, preset_document, preset_keys
from track2view_core.errors import Track2ViewError

from .node_answers import Refused, ask
from .random_documents import as_browser_source, random_document, random_source

TOLERANCE = 1e-9
CASES = [(random_document(Random(seed)), random_source(seed, frames=[1, 17, 41][seed % 3])) for seed in range(100)]
CASES += [(document, random_source(7, document.frames)) for document, _ in CASES[:20]]
SCALE = 2.3


def assert_close(answer: list[float], wanted: torch.Tensor, tolerance: float = TOLERANCE) -> None:
    found = torch.tensor(answer, dtype=torch.float64).reshape(wanted.shape)
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=0)


def test_a_hundred_random_documents_are_the_same_path() -> None:
    asked = [
        ("sample", {"document": to_json(document), "source": as_browser_source(source), "scale": SCALE})
        for document, source in CASES
    ]
    for (document, source), answer in zip(CASES, ask(*asked), strict=True):
        path = sample_document(document, source, scene_scale=SCALE)
        # a position may be large; 1e-9 of its size is what 64-bit floats can promise
        size = max(1.0, float(path.world_from_camera[:, :3, 3].abs().max()))
        assert_close(answer["world_from_camera"], path.world_from_camera, TOLERANCE * size)
        assert_close(answer["intrinsics"], path.intrinsics)
        assert len(answer["notes"]) == len(document_notes(document, source))


def test_rescaled_in_time_a_document_is_the_same_path() -> None:
    cases = [(document, random_source(3, frames)) for document, _ in CASES[:30] for frames in (1, 9, 121)]
    asked = [
        (
            "sample_rescaled",
            {"document": to_json(d), "frames": len(s), "source": as_browser_source(s), "scale": SCALE},
        )
        for d, s in cases
    ]
    for (document, source), answer in zip(cases, ask(*asked), strict=True):
        try:
            path = sample_document(document, source, scene_scale=SCALE)
        except Track2ViewError:
            assert isinstance(answer, Refused)
            continue
        if isinstance(answer, Refused):  # keys nearer than a float can tell, moved together in time
            raise AssertionError(answer)
        size = max(1.0, float(path.world_from_camera[:, :3, 3].abs().max()))
        # a subject that moves between frames turns corners where it had frames; without one nothing changes
        if document.subject is None or len(source) == document.frames:
            assert_close(answer["world_from_camera"], path.world_from_camera, 10 * TOLERANCE * size)
        was_rescaled = bool(document.keys) and document.frames != len(source)
        assert len(answer["notes"]) == len(document_notes(document, source)) - was_rescaled


def test_a_rescaled_document_says_its_new_length() -> None:
    document = preset_document("orbit_left", 1.0, 81)
    (text,) = ask(("rescaled", {"document": to_json(document), "frames": 41}))
    wanted = replace(document, frames=41, keys=(document.keys[0], replace(document.keys[1], frame=40)))
    assert parse_document(text) == wanted


def test_what_python_cannot_sample_the_browser_cannot_either() -> None:
    stands_in_it = PathDocument(5, (Keyframe(2, position=(0, 0, 1), look_at="subject"),), subject=((0, 0, 1),) * 5)
    source = random_source(1, 5)
    still = replace(source, world_from_camera=torch.eye(4, dtype=torch.float64).repeat(5, 1, 1))
    for document, camera, scale in ((stands_in_it, still, SCALE), (stands_in_it, still, -1), (stands_in_it, still, 0)):
        given = {"document": to_json(document), "source": as_browser_source(camera), "scale": scale}
        with pytest.raises(Track2ViewError, match="Key 1, field look_at" if scale > 0 else "scene_scale"):
            sample_document(document, camera, scene_scale=scale)
        (answer,) = ask(("sample", given))
        assert isinstance(answer, Refused) and ("Key 1, field look_at" if scale > 0 else "scene_scale") in answer


def test_points_land_on_the_same_pixels() -> None:
    random = torch.Generator().manual_seed(2)
    asked, wanted = [], []
    for _, source in CASES[:40]:
        points = torch.randn(500, 3, dtype=torch.float64, generator=random) * torch.tensor([3.0, 3.0, 4.0])
        points[0] = source.world_from_camera[0, :3, 3]  # in the camera itself
        given = {"width": source.width, "height": source.height, "points": points.flatten().tolist()}
        given |= {
            "pose": source.world_from_camera[0].flatten().tolist(),
            "intrinsics": source.intrinsics[0].flatten().tolist(),
        }
        asked.append(("project", given))
        wanted.append((points, source.with_frames([0])))
    for (points, camera), answer in zip(wanted, ask(*asked), strict=True):
        local = (points - camera.world_from_camera[0, :3, 3]) @ camera.world_from_camera[0, :3, :3]
        depth = local[:, 2]
        front = depth > 1e-6
        xy = (local @ camera.intrinsics[0, :2].T / depth[:, None]).clamp(-1e6, 1e6)
        xy[~front] = torch.tensor([-832.0, -480.0], dtype=torch.float64)
        assert_close(answer["depth"], depth, 1e-12)
        near = front & (xy.abs().amax(dim=1) < 1e5)  # beyond, a millionth of a pixel is finer than the numbers
        found = torch.tensor(answer["xy"], dtype=torch.float64).reshape(-1, 2)
        torch.testing.assert_close(found[near | ~front], xy[near | ~front], atol=1e-6, rtol=0)
        python = project(camera, points[None])
        assert answer["inside"] == python.inside[0].int().tolist()
        torch.testing.assert_close(found.float(), python.xy[0], atol=1e-4, rtol=1e-6)


def test_unprojecting_a_pixel_finds_its_point() -> None:
    source = random_source(11, 3)
    points = torch.tensor([[0.3, -0.2, 4.0], [-2.0, 1.0, 9.0]], dtype=torch.float64)
    pose, lens = source.world_from_camera[2], source.intrinsics[2]
    world = points @ pose[:3, :3].T + pose[:3, 3]
    pixels = points @ lens.T
    for place, (x, y, depth) in zip(world, (pixels / torch.tensor([1, 1, 1])).tolist(), strict=True):
        given = {"pose": pose.flatten().tolist(), "intrinsics": lens.flatten().tolist()}
        (found,) = ask(("unproject", given | {"x": x / depth, "y": y / depth, "depth": depth}))
        assert found == pytest.approx(place.tolist(), abs=1e-12)


def test_the_table_of_moves_is_python_s() -> None:
    moves, names = ask(("moves", {}), ("presets", {}))
    assert names == list(PRESETS)
    for name, move in MOVES.items():
        assert moves[name] == {field: value for field, value in vars(move).items() if value}


def test_every_preset_is_the_same_document() -> None:
    cases = [
        (name, amount, frames, ease, subject)
        for name in PRESETS
        for amount, frames, ease, subject in (
            (1.0, 81, "smooth", None),
            (-0.7, 17, "linear", None),
            (9.0, 9, "ease_in", None),
            (0.0, 9, "smooth", None),
            (0.8, 17, "smooth", (0.3, -0.2, 0.6)),
            (7.0, 9, "ease_out", (-0.4, 0.1, 1.5)),
        )
    ] + [
        ("orbit", 1.0, 9, "smooth", None),
        ("pan_left", 1.0, 9, "smoothly", None),
        ("dolly_zoom", 2.49, 9, "smooth", None),
        ("roll", 1.0, 1, "smooth", None),
    ]
    names = ("name", "amount", "frames", "ease", "subject")
    answers = ask(*[("preset", dict(zip(names, case, strict=True))) for case in cases])
    source = {frames: random_source(frames, frames) for frames in (1, 9, 17, 81)}
    assert set(EASES) >= {case[3] for case in cases[:-4]}
    for (name, amount, frames, ease, subject), answer in zip(cases, answers, strict=True):
        try:
            aim = {"subject": subject} if subject else {}
            document = PathDocument(frames, preset_keys(name, amount, frames, ease=ease, **aim))
        except Track2ViewError:
            assert isinstance(answer, Refused)
            continue
        drawn = sample_document(parse_document(answer), source[frames], scene_scale=SCALE)
        wanted = sample_document(document, source[frames], scene_scale=SCALE)
        torch.testing.assert_close(drawn.world_from_camera, wanted.world_from_camera, atol=TOLERANCE, rtol=0)
        torch.testing.assert_close(drawn.intrinsics, wanted.intrinsics, atol=TOLERANCE, rtol=0)
