"""Compare Videos in a real browser: both frontends."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest

GRAPH = Path(__file__).parent / "graphs/compare_videos.json"
NODE = "app.graph._nodes.find(node => node.type === 'Track2View_CompareVideos')"
VIEW = f"{NODE}.track2viewComparison"
SOCKETS = f"{NODE}.inputs.map(input => input.name).filter(name => name.startsWith('video_'))"


class Desk:
    def __init__(self, page, pointer, renderer: str):
        self.page, self.pointer, self.renderer = page, pointer, renderer

    def __call__(self, script: str):
        return self.page.evaluate(script)

    def wait(self, script: str) -> None:
        self.page.wait_for(script, 60)

    def stop_at(self, share: float) -> None:
        self(f"{VIEW}.video.pause(), {VIEW}.video.currentTime = {share} * {VIEW}.video.duration")
        self.wait(f"!{VIEW}.video.seeking")
        self(f"{VIEW}.draw()")

    def place(self, across: float, down: float) -> list[float]:
        """Page pixels of a place on the stage."""
        box = f"{VIEW}.stage.getBoundingClientRect()"
        return self(f"[{box}.left + {across} * {box}.width, {box}.top + {down} * {box}.height]")

    def colour(self, across: float, down: float) -> list[int]:
        """What the canvas shows there."""
        at = f"{across} * {VIEW}.canvas.width, {down} * {VIEW}.canvas.height"
        return self(f"Array.from({VIEW}.canvas.getContext('2d').getImageData({at}, 1, 1).data.slice(0, 3))")

    def wipe_to(self, across: float) -> None:
        self.pointer.move(*self.place(across, 0.5))
        time.sleep(0.1)
        self(f"{VIEW}.draw()")


@pytest.fixture
def desk(driver, frontend, browser, nodes):
    """The graph has run once: two clips of other sizes, rates, lengths and shapes."""
    made = Desk(browser, driver.pointer.Pointer(browser), nodes)
    browser.evaluate(f"app.loadGraphData({GRAPH.read_text(encoding='utf-8')})")
    made.wait(f"!!{NODE}?.track2viewComparison")
    browser.evaluate("app.queuePrompt(0, 1)")
    made.wait(f"{VIEW}.video.videoWidth > 0")
    yield made
    assert [error for error in browser.errors if "track2view" in error.lower()] == []


def test_the_wipe_shows_either_video_and_is_there_after_a_reload(desk, frontend):
    desk.stop_at(0.5)
    desk.wipe_to(0.9)
    first = desk.colour(0.5, 0.06)
    desk.wipe_to(0.1)
    second = desk.colour(0.5, 0.06)
    assert max(second) < 20 < 100 < max(first)  # the margin of the wide clip, where the square one has its picture
    desk(f"{VIEW}.show('grid')")
    desk.wait("new Promise(done => requestAnimationFrame(() => done(true)))")
    assert desk(f"{VIEW}.choices.every(choice => choice.hidden)")
    told = desk(f"JSON.stringify({VIEW}.choices.map(choice => [...choice.options].map(option => option.text)))")
    assert json.loads(told) == [["shapes", "room"]] * 2
    saved = max((frontend[1].base / "output/compare").glob("*.mp4"))
    with av.open(str(saved)) as film:
        stream = film.streams.video[0]
        assert (stream.average_rate, sum(1 for _ in film.decode(stream))) == (Fraction(12), 26)
    address = desk(f"{VIEW}.video.getAttribute('src')")
    desk("app.loadGraphData(app.graph.serialize())")  # as a page does that opens again
    desk.wait(f"{VIEW}.video.videoWidth > 0")
    assert desk(f"{VIEW}.video.getAttribute('src')") == address


def test_a_free_socket_appears_as_the_one_before_is_linked(desk):
    assert desk(SOCKETS) == ["video_1", "video_2", "video_3"]
    link = "app.graph._nodes.find(node => node.type === 'Track2View_DemoClip').connect(0, {node}, {at})"
    slot = f"{NODE}.inputs.findIndex(input => input.name === 'video_{{}}')"
    for number in (3, 4):
        desk(f"!!{link.format(node=NODE, at=slot.format(number))}")
        desk.wait(f"{SOCKETS}.includes('video_{number + 1}')")
    queued = "app.graphToPrompt().then(p => Object.values(p.output).find(n => n.class_type.includes('Compare')).inputs)"
    inputs = desk(queued)
    assert set(inputs) >= {"video_1", "video_2", "video_3", "video_4"} and inputs["columns"] == 0
    again = "app.loadGraphData(app.graph.serialize())"
    desk(again)
    desk.wait(f"{SOCKETS}.length === 5")
    assert desk(queued) == inputs
    desk(f"void {NODE}.disconnectInput({slot.format(4)})")
    desk.wait(f"{SOCKETS}.length === 4")
    gone = desk(f"window.gone = {VIEW}, app.graph.remove({NODE}), [gone.disposed, gone.element.isConnected]")
    assert gone == [True, False]


def test_a_graph_that_opens_keeps_six_videos_at_their_sockets(browser, nodes, workflow):
    saved = workflow("20")
    (wanted,) = [node["inputs"] for node in saved["nodes"] if node["type"] == "Track2View_CompareVideos"]
    browser.evaluate(f"app.loadGraphData({json.dumps(saved)})")
    browser.wait_for(f"app.graph._nodes.length === {len(saved['nodes'])} && {SOCKETS}.length === 6")
    links = browser.evaluate(
        f"{NODE}.inputs.filter(({{ link }}) => link != null).map(({{ name, link }}) => [name, link])"
    )
    assert sorted(links) == [[socket["name"], socket["link"]] for socket in wanted if socket["link"]]
