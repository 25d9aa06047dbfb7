"""What loading the pack costs and the order of its inputs, seen in a process that only loads it."""

import json
import subprocess
import sys

import pytest

LATE = ("diffusers", "peft", "transformers", "cv2", "scipy", "safetensors", "av", "accelerate")


@pytest.fixture(scope="module")
def pack(driver):
    comfyui = driver.install.install()
    script = driver.server.PACK / "tests/comfyui/driver/inspect_pack.py"
    command = [sys.executable, str(script), str(comfyui), str(driver.install.PACKAGES), str(driver.server.PACK)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_loading_the_pack_imports_nothing_heavy(pack):
    assert not [name for name in pack["imported"] if name.split(".")[0] in LATE]


def test_the_packs_nodes_folder_is_no_top_level_module(pack):
    assert "nodes" not in pack["imported"]


def test_required_inputs_come_before_optional_ones(pack):
    for name, schema in pack["schemas"].items():
        optional = [is_optional for _, is_optional in schema["inputs"]]
        assert optional == sorted(optional), name


def test_ids_are_unique_across_inputs_and_outputs(pack):
    for name, schema in pack["schemas"].items():
        ids = [entry for entry, _ in schema["inputs"]] + schema["outputs"]
        assert len(set(ids)) == len(ids), name
