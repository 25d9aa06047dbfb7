"""Two processes that train together: they stop, save, skip and go on at the same steps, each on data of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import two_processes

SCRIPT = Path(two_processes.__file__)
KINDS = tuple(two_processes.KINDS)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be asked to end there")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What each of the two processes has to tell."""
    folder = tmp_path_factory.mktemp("two")
    # accelerate asks for an address, which nobody calls: the processes meet in a file
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [json.loads((folder / f"rank_{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_interrupts_one_process_stops_both_after_the_same_step_and_both_save(reports, kind):
    first, second = (report[kind] for report in reports)
    assert (first["cancelled"]["ended"], second["cancelled"]["ended"]) == ("KeyboardInterrupt", "Stopped")
    assert first["told to end"]["ended"] == second["told to end"]["ended"] == "Stopped"
    for report in (first, second):
        assert [report[name]["saved"] for name in ("cancelled", "told to end", "resumed")] == [2, 3, 5]


def test_all_have_the_weights_of_an_unbroken_run_in_shards_or_not(reports):
    """Also after a step that was lost in one process alone."""
    runs = [report[kind][name]["weights"] for report in reports for kind in KINDS for name in ("whole", "resumed")]
    for weights in runs:
        assert weights == pytest.approx(runs[0], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("drawn", "each"), [("noise", 10), ("data", 10), ("dropout", 5)])
def test_seeds_differ_by_process_step_and_part_and_a_resumed_run_has_the_same(reports, kind, drawn, each):
    """Five steps of two parts each; what the modules themselves draw has one seed a step."""
    every = []
    for report in reports:
        parts = [
            seed for name in ("cancelled", "told to end", "resumed") for seed in report[kind][name]["seeds"][drawn]
        ]
        assert parts == report[kind]["whole"]["seeds"][drawn]
        every.append(set(parts))
    assert [len(seeds) for seeds in every] == [each, each] and every[0].isdisjoint(every[1])
