"""Graphs of the native route, built on workflow 01's clip, tracks and condition, and their latents."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from . import graph as graphs

Graph = dict[str, Any]
DIT = "track2view_tiny_dit.safetensors"
MODEL, SAMPLER, SAVED, FACTS = "base", "sampler", "saved", "facts"


class Native:
    """Builds graphs on `recamera` (workflow 01 as a prompt), runs each once, and reads what they saved."""

    def __init__(self, server: Any, recamera: Graph):
        self.server = server
        needed = _upstream(recamera, graphs.node_id(recamera, "Track2View_ConditionOnTracks"))
        self._clip = {name: recamera[name] for name in needed}
        self.condition = graphs.node_id(recamera, "Track2View_ConditionOnTracks")
        self._bundle = graphs.node_id(recamera, "Track2View_LoadBundle")
        self._runs: dict[str, Any] = {}

    def node(self, class_type: str, **inputs: Any) -> dict[str, Any]:
        """A node; required widgets that are not given are at their defaults, since newer cores ask for more of them."""
        required = self.server.get(f"/object_info/{class_type}")[class_type]["input"].get("required", {})
        options = {name: spec[1] for name, spec in required.items() if len(spec) > 1}
        defaults = {name: spec["default"] for name, spec in options.items() if "default" in spec}
        return _node(class_type, **{**defaults, **inputs})

    @staticmethod
    def with_inputs(node: dict[str, Any], **inputs: Any) -> dict[str, Any]:
        return _node(node["class_type"], **{**node["inputs"], **inputs})

    def clip(self, *, bundle: str | None = None, **condition: Any) -> Graph:
        """The upstream part up to Condition on Tracks; keywords are that node's own inputs."""
        graph = copy.deepcopy(self._clip)
        if bundle is not None:
            graph[self._bundle]["inputs"]["file"] = bundle
        graph[self.condition]["inputs"].update(condition)
        return graph

    def native(self, *, text: bool = True, dit: str = DIT, weight_dtype: str = "default", **clip: Any) -> Graph:
        """Loader, LoRA and Apply; a sampler follows by `euler` or `ksampler`."""
        graph = self.clip(**clip)
        graph[MODEL] = _node("UNETLoader", unet_name=dit, weight_dtype=weight_dtype)
        graph["shift"] = _node("ModelSamplingSD3", model=[MODEL, 0], shift=5.0)
        graph["lora"] = _node("Track2View_ApplyLoRA", model=["shift", 0], bundle=[self._bundle, 0], strength=1.0)
        graph["positive"], graph["negative"] = _prompts(text)
        graph["apply"] = _node(
            "Track2View_ApplyToModel",
            model=["lora", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            condition=[self.condition, 0],
        )
        return graph

    def diffusers(
        self, *, steps: int, cfg: float, seed: int = 5, text: bool = True, dit: str = DIT, **clip: Any
    ) -> Graph:
        graph = self.clip(**clip)
        graph["wan"] = _node("Track2View_LoadWanDiffusers", file=dit, dtype="float32")
        graph["positive"], graph["negative"] = _prompts(text)
        graph[SAMPLER] = _node(
            "Track2View_SampleDiffusers",
            wan=["wan", 0],
            bundle=[self._bundle, 0],
            positive=["positive", 0],
            negative=["negative", 0],
            condition=[self.condition, 0],
            seed=seed,
            steps=steps,
            cfg=cfg,
            shift=5.0,
            scheduler="euler",
        )
        return _saving(graph)

    def euler(self, graph: Graph, *, steps: int, cfg: float, seed: int = 5, **links: Any) -> Graph:
        """SamplerCustomAdvanced over the very sigmas of the diffusers route; `links` replace those to Apply."""
        from track2view_core.wan.sampler import make_scheduler

        sigmas = make_scheduler("euler", steps, 5.0).sigmas.tolist()
        told = _links(links)
        return _saving(
            {
                **graph,
                "sigmas": _node("Probe_Sigmas", values=" ".join(map(repr, sigmas))),
                "noise": _node("RandomNoise", noise_seed=seed),
                "euler": _node("KSamplerSelect", sampler_name="euler"),
                "guider": _node(
                    "CFGGuider", model=told["model"], positive=told["positive"], negative=told["negative"], cfg=cfg
                ),
                SAMPLER: _node(
                    "SamplerCustomAdvanced",
                    noise=["noise", 0],
                    guider=["guider", 0],
                    sampler=["euler", 0],
                    sigmas=["sigmas", 0],
                    latent_image=told["latent"],
                ),
            }
        )

    def ksampler(
        self, graph: Graph, *, steps: int = 2, cfg: float = 3.0, seed: int = 5, sampler: str = "euler", **links: Any
    ) -> Graph:
        told = _links(links)
        node = _node(
            "KSampler",
            model=told["model"],
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler,
            scheduler="simple",
            positive=told["positive"],
            negative=told["negative"],
            latent_image=told["latent"],
            denoise=1.0,
        )
        return _saving({**graph, SAMPLER: node})

    @staticmethod
    def saving(graph: Graph) -> Graph:
        """The graph with its sampler's latent saved, to be read by `latent`."""
        return _saving(graph)

    def with_facts(self, graph: Graph, model: list[Any] | None = None) -> Graph:
        """The graph with a look at its MODEL after sampling."""
        return {**graph, FACTS: _node("Probe_Facts", model=model or ["apply", 0], latent=[SAMPLER, 0])}

    def run(self, graph: Graph) -> Any:
        """Run a graph, once: the same graph again would be served from ComfyUI's cache and save nothing."""
        key = json.dumps(graph, sort_keys=True)
        if key not in self._runs:
            self._runs[key] = self.server.run(graph, seconds=900)
        return self._runs[key]

    def latent(self, graph: Graph) -> torch.Tensor:
        run = self.run(graph)
        assert run.error is None, f"{run.message}\n{self.server.log_end()}"
        (saved,) = run.outputs[SAVED]["latents"]
        file = Path(self.server.base) / "output" / saved["subfolder"] / saved["filename"]
        return load_file(file)["latent_tensor"]

    def facts(self, graph: Graph) -> dict[str, Any]:
        run = self.run(graph)
        assert run.error is None, f"{run.message}\n{self.server.log_end()}"
        return run.outputs[FACTS]["facts"][0]

    def message(self, graph: Graph) -> str:
        return self.run(graph).message


def _upstream(graph: Graph, name: str) -> list[str]:
    found = [name]
    for link in graph[name]["inputs"].values():
        if isinstance(link, list):
            found += _upstream(graph, link[0])
    return found


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _prompts(text: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    if text:
        return _node("Probe_Text", seed=1), _node("Probe_Text", seed=2)
    return _node("Track2View_EmptyPrompt"), _node("Track2View_EmptyPrompt")


def _links(other: dict[str, Any]) -> dict[str, Any]:
    return {"model": ["apply", 0], "positive": ["apply", 1], "negative": ["apply", 2], "latent": ["apply", 3], **other}


def _saving(graph: Graph) -> Graph:
    return {**graph, SAVED: _node("SaveLatent", samples=[SAMPLER, 0], filename_prefix="latents/native")}
