"""One ComfyUI server for the whole test run, with the pack linked in and random models where none are shipped."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
WINDOW = {"width": 2000, "height": 1500, "deviceScaleFactor": 1, "mobile": False}


def _driver() -> ModuleType:
    """The package beside this file, by path: on sys.path the pack's `nodes` could become a top-level module."""
    name = "track2view_comfyui_driver"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, HERE / "driver/__init__.py", submodule_search_locations=[str(HERE / "driver")]
        )
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
        parts = "install server graph weights text_encoder clip_vision videos browser pointer frontend native"
        for part in (*parts.split(), "later_core"):
            importlib.import_module(f"{name}.{part}")
    return sys.modules[name]


@pytest.fixture(scope="session")
def driver() -> ModuleType:
    return _driver()


@pytest.fixture(scope="session")
def server(driver, tmp_path_factory):
    base = tmp_path_factory.mktemp("comfyui")
    driver.weights.provide_tiny_models(base / "models")
    with driver.server.running_server(base) as running:
        yield running


@pytest.fixture(scope="session")
def object_info(server):
    return server.get("/object_info")


@pytest.fixture(scope="session")
def workflow(driver):
    """A saved workflow by its number."""
    return lambda number: driver.graph.load_workflow(driver.graph.workflow_file(number))


@pytest.fixture(scope="session")
def recamera(driver, object_info, workflow):
    """Workflow 01 as a prompt."""
    return driver.graph.to_prompt(workflow("01"), object_info)


@pytest.fixture(scope="session")
def native(driver, server, recamera, tiny_bundle_file):
    """Graphs of the native route; its bundles lie beside the tiny one, which they differ from in their settings."""
    for rotary in ("shared", "consecutive"):
        for timestep in ("zero", "same"):
            file = server.base / "models/track2view" / f"probe_{rotary}_{timestep}.safetensors"
            driver.weights.write_variant(tiny_bundle_file, file, rotary=rotary, source_timestep=timestep)
    return driver.native.Native(server, recamera)


@pytest.fixture(scope="session")
def tiny_bundle_file(driver, server) -> Path:
    own = server.base / "models/track2view" / driver.weights.NAMES[2]
    return own if own.is_file() else driver.weights.SHIPPED[2]


@pytest.fixture(scope="session")
def tiny_dit_file(driver, server) -> Path:
    own = server.base / "models/diffusion_models" / driver.weights.NAMES[0]
    return own if own.is_file() else driver.weights.SHIPPED[0]


@pytest.fixture(scope="session", params=["asked_for", "newest"])
def frontend(request, driver, server, tmp_path_factory):
    """(which, a server) with the frontend that its ComfyUI asks for, or with the newest on PyPI."""
    if request.param == "asked_for":
        yield request.param, server
        return
    root = driver.frontend.newest_frontend()
    with driver.server.running_server(tmp_path_factory.mktemp("newest"), f"--front-end-root={root}") as running:
        yield request.param, running


@pytest.fixture(scope="session")
def browser(driver, frontend, tmp_path_factory):
    """A page that is open on that server, once for all tests."""
    with driver.browser.open_page(frontend[1].url, tmp_path_factory.mktemp("browser") / "profile") as page:
        page.call("Emulation.setDeviceMetricsOverride", **WINDOW)
        page.wait_for("!!(window.app && window.app.graph && window.app.vueAppReady)")
        page.wait_for("Object.keys(LiteGraph.registered_node_types).some(name => name.startsWith('Track2View_'))")
        yield page


@pytest.fixture(scope="module")
def nodes(frontend, browser):
    """Which renderer draws the nodes of that page: one with each frontend; the report cards meet all four pairs."""
    renderer = {"asked_for": "litegraph", "newest": "vue"}[frontend[0]]
    vue = "true" if renderer == "vue" else "false"
    browser.evaluate(f"app.extensionManager.setting.set('Comfy.VueNodes.Enabled', {vue})")
    yield renderer
    browser.evaluate("app.graph.clear()")  # or its films play on beside all other tests


@pytest.fixture(scope="session")
def gap():
    """The largest difference of two latents, in standard deviations of the expected one."""

    def largest(found, expected) -> float:
        assert found.shape == expected.shape and found.isfinite().all()
        return float((found - expected).abs().max() / expected.std())

    return largest
