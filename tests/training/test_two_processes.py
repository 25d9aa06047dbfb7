"""Two processes that train together: they stop, save, skip and go on at the same steps, each on data of its own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What each of the two processes has to tell."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
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


def test_what_interrupts_one_process_stops_both_after_the_same_step_and_both_save(reports):
    first, second = reports
    assert (first["cancelled"]["ended"], second["cancelled"]["ended"]) == ("KeyboardInterrupt", "Stopped")
    assert first["told to end"]["ended"] == second["told to end"]["ended"] == "Stopped"
    for report in reports:
        assert [report[name]["saved"] for name in ("cancelled", "told to end", "resumed")] == [2, 3, 5]


def test_both_have_the_weights_of_an_unbroken_run(reports):
    """Also after a step that was lost in one process alone."""
    (weights,) = {round(report[name]["weights"], 6) for report in reports for name in ("whole", "resumed")}
    assert weights


def test_seeds_differ_by_process_step_and_part_and_a_resumed_run_has_the_same(reports):
    for kind, count in (("noise", 4 * 2), ("data", 5 * 2)):
        for report in reports:
            parts = [seed for name in ("cancelled", "told to end", "resumed") for seed in report[name][kind]]
            assert parts == report["whole"][kind]
        every = [seed for report in reports for seed in report["whole"][kind]]
        assert len(set(every)) == len(every) and len(every) >= 2 * count
