"""The log: what is written beside its lines, by one process, and what a full disk costs."""

import errno
import json

import pytest
import torch

from track2view_core.training import run_log
from track2view_core.training.run_log import RunLog, Samples


@pytest.fixture
def samples():
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (2, 5, 32, 48, 3), generator=generator, dtype=torch.uint8)
    return Samples([{"source": clips[0], "sample": clips[1]}], 16.0)


def files(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("write", [True, False])
def test_samples_are_written_by_the_process_that_writes_alone(tmp_path, samples, write):
    log = RunLog(tmp_path, 0, tensorboard=False, write=write)
    log.samples(3, "samples", samples)
    log.figures(3, {"loss": 0.5})
    wanted = ["log.jsonl", "samples/step_00000003.mp4", "samples/step_00000003.png"]
    assert files(tmp_path) == (wanted if write else [])


def test_samples_that_cannot_be_written_are_counted_and_named(tmp_path, samples, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_log, "write_picture", full)
    log = RunLog(tmp_path, 0, tensorboard=False)
    log.samples(3, "samples", samples)
    (line,) = map(json.loads, log.file.read_text(encoding="utf-8").splitlines())
    assert log.lost == 1 and (line["step"], line["event"]) == (3, "failed_write")
    assert "samples of step 3" in line["text"] and "No space left" in line["text"]
