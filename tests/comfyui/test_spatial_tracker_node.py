"""Track 3D Points (SpatialTrackerV2) on a server: profiles from this machine alone, and a run over a stand-in."""

from __future__ import annotations

import json

import pytest
import requests

from ..tracks.trackers.spatial_checkout import calls, write_checkout

NODE = "Track2View_TrackPointsSpatialTracker"


def graph(**inputs):
    """A clip whose frames are black to dark red, tracked; the stand-in reads frame numbers off the red."""
    blank = {"width": 96, "height": 64, "batch_size": 4, "color": 0}
    widgets = {"profile": "mine", "points": 40, "variant": "offline", "camera_fixed": True, "start_frames": 1}
    return {
        "1": {"class_type": "EmptyImage", "inputs": blank},
        "2": {"class_type": NODE, "inputs": {"image": ["1", 0], **widgets, "support_points": 64, **inputs}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 2]}},
        "4": {
            "class_type": "Track2View_SaveTracks",
            "inputs": {"point_tracks": ["2", 0], "filename_prefix": "stand_in", "file_format": "npz"},
        },
    }


@pytest.fixture
def profiles(server, tmp_path):
    file = server.base / "user/__track2view/trackers.json"
    file.parent.mkdir(parents=True, exist_ok=True)

    def write(**behaviour):
        profile = write_checkout(tmp_path, aspect=1.5, standing=True, **behaviour)
        entry = {
            "checkout": str(profile.checkout),
            "python": str(profile.python),
            "weights": dict(profile.weights),
            "device": "cpu",
        }
        file.write_text(json.dumps({"spatial_tracker_v2": {"mine": entry}}), encoding="utf-8")

        return profile

    yield write
    file.unlink(missing_ok=True)


def said(server, wrong):
    answer = server.refusal(wrong)
    (error,) = answer["node_errors"]["2"]["errors"]
    return error["details"]


def test_without_a_profile_it_is_offered_and_refused_in_one_sentence(server):
    kind, *options = server.get(f"/object_info/{NODE}")[NODE]["input"]["required"]["profile"]
    offered = kind if isinstance(kind, list) else options[0]["options"]
    assert offered == ["no profile found"]
    message = said(server, graph(profile="no profile found"))
    assert "No install of SpatialTrackerV2 is known" in message and "trackers.json" in message
    assert "\n" not in message and message.endswith(".")


def test_a_profile_runs_and_its_tracks_are_saved(server, profiles):
    profiles()
    kind, *options = server.get(f"/object_info/{NODE}")[NODE]["input"]["required"]["profile"]
    assert (kind if isinstance(kind, list) else options[0]["options"]) == ["mine"]
    run = server.run(graph())
    assert run.error is None, run.error
    assert any(text == "tracking points" for _, text in run.texts)
    from track2view_core.tracks import load_tracks

    (saved,) = run.outputs["4"]["text"]
    tracks = load_tracks(server.base / "output" / saved)
    assert (len(tracks), tracks.camera.width, tracks.positions.shape[1]) == (4, 96, 40)
    assert tracks.notes[0].code == "spatial_tracker_fixed"


def test_an_edit_of_the_checkout_tracks_again_and_nothing_else_does(server, profiles):
    profile = profiles()
    for _ in range(2):
        assert server.run(graph(points=30)).error is None
    assert len(calls(profile)) == 1
    scene = profile.checkout / "models/scene.py"
    scene.write_text(scene.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    assert server.run(graph(points=30)).error is None
    assert len(calls(profile)) == 2


def test_an_unknown_name_and_a_broken_file_are_refused_by_name(server, profiles):
    profiles()
    assert 'profile is "other"; choose one of mine' in said(server, graph(profile="other"))
    (server.base / "user/__track2view/trackers.json").write_text("{", encoding="utf-8")
    assert "not readable JSON" in said(server, graph())


def test_the_api_can_neither_read_nor_write_a_profile(server, profiles):
    profiles()
    file = server.base / "user/__track2view/trackers.json"
    before = file.read_bytes()
    for name, user in (("..%2F__track2view%2Ftrackers.json", None), ("trackers.json", "__track2view")):
        headers = {"comfy-user": user} if user else {}
        url = f"{server.url}/userdata/{name}"
        assert not requests.get(url, headers=headers, timeout=10).ok
        requests.post(url, data=b"{}", headers=headers, timeout=10)
    assert file.read_bytes() == before
