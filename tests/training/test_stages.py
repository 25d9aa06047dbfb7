"""The stages by `track2view train`: each from a config and a data set on disk to the file that the package opens."""

import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from track2view_core.cli import main
from track2view_core.dataset import DatasetInfo, Shard, VaeIdentity, start_dataset, write_shard
from track2view_core.errors import Track2ViewError
from track2view_core.training import train
from track2view_core.training.run import make_stage, run_config
from track2view_core.training.settings import config_from
from track2view_core.wan.bundle import load_bundle
from track2view_core.wan.checkpoints import load_transformer
from track2view_core.wan.vae import encode, load_vae

from .pair_data import curve, events, made_pair

FRAMES, SIZE = 9, 32
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory, random_weights):
    return three_pairs(tmp_path_factory.mktemp("data"), random_weights)


@pytest.fixture(scope="module")
def told_data(tmp_path_factory, random_weights):
    return three_pairs(tmp_path_factory.mktemp("told_data"), random_weights, text=True)


def three_pairs(folder: Path, random_weights, *, text: bool = False) -> Path:
    """A data set with pictures, and with embedded captions, its latents said to be of the random VAE."""
    vae = VaeIdentity("random", hashlib.sha256(random_weights.vae.read_bytes()).hexdigest())
    pairs = [made_pair(seed, FRAMES, SIZE, text) for seed in range(3)]
    clips = [clip for pair in pairs for clip in (pair.source, pair.target)]
    info = DatasetInfo(SIZE, SIZE, FRAMES, 16.0, "made up", "exact", vae, has_frames=True, has_text=text)
    start_dataset(folder, info)
    generator = torch.Generator().manual_seed(0)
    shard = Shard(
        world_from_camera=torch.stack([clip.camera.world_from_camera for clip in clips]),
        intrinsics=torch.stack([clip.camera.intrinsics for clip in clips]),
        positions=torch.stack([pair.tracks.positions for pair in pairs]),
        visible=torch.stack([pair.tracks.visible for pair in pairs]),
        track_counts=torch.full((3,), pairs[0].tracks.positions.shape[1]),
        pairs=torch.tensor([[0, 1, 0], [2, 3, 1], [4, 5, 2]]),
        names=tuple(f"clip{i}" for i in range(6)),
        captions=("",) * 6,
        text=tuple(clip.text.bfloat16() for clip in clips) if text else (),
        latents=torch.stack([clip.latent for clip in clips]).half(),
        frames=torch.randint(0, 256, (6, FRAMES, SIZE, SIZE, 3), generator=generator, dtype=torch.uint8),
    )
    write_shard(shard, folder, 0, info)
    return folder


def document(stage, data, folder, **sections):
    run = {"steps": 3, "device": "cpu", "prefetch": 0, "tensorboard": False, "log_every": 1, "checkpoint_every": 2}
    optimiser = {"name": "muon", "rate": 1e-3, "warmup": 2}
    export = {"file": str(folder / "out" / f"{stage}.safetensors"), "dtype": "fp32"}
    run |= {"optimiser": optimiser, **sections.pop("run", {})}
    draw = {} if stage == "vae" else {"draw": {"batch": 2, "tracks": [8, 24]}}
    base = {"stage": stage, "folder": str(folder / stage), "data": [{"folder": str(data)}], "run": run}
    return {**base, **draw, "export": export, **sections}


def conditioner_document(data, folder, base, **sections):
    return document(
        "conditioner",
        data,
        folder,
        model={"transformer": str(base), "uses_text": False},
        lora={"rank": 2, "alpha": 4.0},
        conditioner={"dim": 128, "width": 16, "layers": 1, "heads": 1},
        sampling={"steps": 2, "guidance": 1.0, "scheduler": "euler"},
        **sections,
    )


def test_the_conditioner_stage_ends_in_a_bundle_for_its_base(data, random_weights, tmp_path, capsys):
    validation = {"folder": str(data), "pairs": 2, "levels": [0.5], "samples": 1, "vae": str(random_weights.vae)}
    flow = {"source_attention": "own"}
    table = conditioner_document(data, tmp_path, random_weights.dit, validation=validation, flow=flow)
    done = run_config(config_from(table))
    bundle, base = load_bundle(done.exported), load_transformer(random_weights.dit)
    bundle.check_fits(base)
    assert bundle.config.sampling.source_attention == "own"
    assert bundle.config.sampling.frames == FRAMES and not bundle.config.sampling.uses_text
    assert "3 pairs (made up, tracks: exact)" in bundle.config.card["data"] and bundle.config.card["steps"] == "3"
    # Nothing but LoRA and conditioner: no weight of the base is in the file.
    keys = load_file(done.exported).keys()
    assert all(key.startswith("track2view.") or ".lora_" in key or key.endswith(".alpha") for key in keys)
    assert bundle.lora["diffusion_model.blocks.0.self_attn.q.alpha"] == 4.0
    lines = [json.loads(line) for line in (tmp_path / "conditioner/log.jsonl").read_text().splitlines()]
    assert [line["held_out_loss"] for line in lines if "held_out_loss" in line]
    assert {file.suffix for file in (tmp_path / "conditioner/samples").iterdir()} == {".png", ".mp4"}


@pytest.mark.parametrize("stage", ["base", "conditioner"])
def test_the_time_embedder_stays_in_float32_whatever_the_run_s_precision(data, random_weights, tmp_path, stage):
    """In half precision timesteps near each other would become one; the blocks' products are in half all the same."""
    run = {"precision": "bf16", "steps": 1}
    validation = {"folder": str(data), "pairs": 1, "levels": [0.5]}
    if stage == "base":
        base = {"width": 128, "layers": 1, "ffn": 64}
        table = document(stage, data, tmp_path, model={"uses_text": False}, base=base, run=run, validation=validation)
    else:
        table = conditioner_document(data, tmp_path, random_weights.dit, run=run, validation=validation)
        table["model"]["dtype"] = "bf16"
    config = config_from(table)
    made = make_stage(config)
    transformer, found = made.objective.transformer, {"time": [], "block": []}
    embedder = transformer.condition_embedder.time_embedder
    embedder.register_forward_hook(lambda _module, _inputs, out: found["time"].append(out.dtype))
    ffn = transformer.blocks[0].ffn
    ffn.register_forward_hook(lambda _module, _inputs, out: found["block"].append(out.dtype))
    train(made.objective, made.source, config.run, tmp_path / "run", validate=made.validate)
    assert {weight.dtype for weight in embedder.parameters()} == {torch.float32}
    assert len(found["time"]) == 2 and set(found["time"]) == {torch.float32}
    assert set(found["block"]) == {torch.bfloat16}


def test_training_goes_on_from_a_bundle_s_own_weights(data, random_weights, tmp_path):
    begun = run_config(config_from(conditioner_document(data, tmp_path / "begun", random_weights.dit))).exported
    table = conditioner_document(data, tmp_path, random_weights.dit)
    table["model"]["bundle"] = str(begun)
    table["run"] |= {"steps": 1, "ema": 0.0, "optimiser": {"name": "adamw", "rate": 1e-12, "warmup": 0}}
    first, second = load_bundle(begun), load_bundle(run_config(config_from(table)).exported)
    for before, after in (
        (first.lora, second.lora),
        (first.conditioner.state_dict(), second.conditioner.state_dict()),
    ):
        assert before.keys() == after.keys()
        for name, value in before.items():
            torch.testing.assert_close(after[name], value, rtol=0, atol=1e-9)
    assert any(value.any() for name, value in first.lora.items() if "lora_B" in name)
    assert second.config.card["start"] == begun.name

    table = conditioner_document(data, tmp_path / "other", random_weights.dit)
    table["model"]["bundle"] = str(begun)
    for section, field, said in (
        ("lora", {"rank": 3}, "rank 2 and alpha 4; set lora.rank to 2"),
        ("conditioner", {"scatter_norm": "max1"}, "conditioner.scatter_norm is 'max1'"),
    ):
        with pytest.raises(Track2ViewError, match=said):
            run_config(config_from({**table, section: {**table[section], **field}}))


def test_only_the_conditioner_stage_starts_from_a_bundle(data, tmp_path):
    table = document("base", data, tmp_path, model={"uses_text": False, "bundle": "bundle.safetensors"})
    with pytest.raises(Track2ViewError, match="is what stage conditioner starts from"):
        config_from(table)


def test_the_base_stage_ends_in_a_transformer(data, tmp_path):
    table = document(
        "base", data, tmp_path, model={"uses_text": False}, base={"width": 128, "layers": 1, "ffn": 64},
        validation={"folder": str(data), "pairs": 1},
    )  # fmt: skip
    transformer = load_transformer(run_config(config_from(table)).exported)
    assert transformer.config.num_layers == 1
    assert not transformer.condition_embedder.text_embedder.linear_1.weight.any()  # its prompt is zeros


def test_the_vae_stage_ends_in_a_vae_with_wan_s_statistics(data, tmp_path):
    vae = {"base_width": 8, "frames_until": 0.5, "image_batch": 2, "image_crop": 32, "clip_shapes": [[5, 16]]}
    vae["clip_pixels"] = 3000
    table = document("vae", data, tmp_path, vae=vae, validation={"folder": str(data), "pairs": 2, "samples": 1})
    trained = load_vae(run_config(config_from(table)).exported)
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (6, FRAMES, SIZE, SIZE, 3), generator=generator, dtype=torch.uint8)
    channels = torch.cat([encode(trained, clip) for clip in clips]).transpose(0, 1).flatten(1)
    assert torch.allclose(channels.mean(1), torch.zeros(16), atol=0.02)
    assert torch.allclose(channels.std(1), torch.ones(16), atol=0.02)


def test_a_decoder_that_is_trained_alone_leaves_the_latents_as_they_were(data, random_weights, tmp_path):
    vae = {"decoder_of": str(random_weights.vae), "frames_until": 0.5, "image_batch": 2, "image_crop": 32}
    vae |= {"clip_shapes": [[5, 16]], "clip_pixels": 3000, "latent_noise": 0.1}
    table = document("vae", data, tmp_path, vae=vae, validation={"folder": str(data), "pairs": 2, "samples": 1})
    before, trained = load_vae(random_weights.vae), load_vae(run_config(config_from(table)).exported)
    clip = torch.randint(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=torch.uint8)
    assert torch.equal(encode(before, clip), encode(trained, clip))
    weights = before.state_dict()
    changed = {name.split(".")[0] for name, value in trained.state_dict().items() if not value.equal(weights[name])}
    assert changed == {"decoder", "post_quant_conv"}


def written(table, file):
    """The document as a .toml file; JSON's notation is TOML's for these values."""
    lines = [f"{key} = {_toml(value)}" for key, value in table.items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value)


def test_a_killed_run_goes_on_to_the_curve_of_an_unbroken_one(data, random_weights, tmp_path, capsys):
    table = conditioner_document(data, tmp_path, random_weights.dit, run={"steps": 10, "checkpoint_every": 3})
    config = written(table, tmp_path / "run.toml")
    process = subprocess.Popen([sys.executable, "-m", "track2view_core.cli", "train", str(config)], cwd=ROOT)
    kill_from, log = random.Random().randint(1, 8), tmp_path / "conditioner" / "log.jsonl"
    while process.poll() is None and not (log.is_file() and len(log.read_bytes().splitlines()) >= kill_from):
        time.sleep(0.001)
    process.kill()
    process.wait()
    checkpoints = sorted(file.name for file in (tmp_path / "conditioner/checkpoints").glob("step_*"))
    for file in (tmp_path / "conditioner/checkpoints").glob("step_*"):
        load_file(file)  # whole
    before = len(log.read_text().splitlines())
    assert main(["train", str(config), "--resume"]) == 0
    whole = {**table, "folder": str(tmp_path / "whole")}
    run_config(config_from(whole))
    assert before >= kill_from, checkpoints
    resumed, unbroken = curve(tmp_path / "conditioner"), curve(tmp_path / "whole")
    assert [step for step, _ in resumed] == [step for step, _ in unbroken] == list(range(1, 11))
    assert [loss for _, loss in resumed] == pytest.approx([loss for _, loss in unbroken], abs=1e-6)


def test_a_second_run_in_one_folder_needs_resume_and_exports_without_training(data, random_weights, tmp_path, capsys):
    table = conditioner_document(data, tmp_path, random_weights.dit)
    config = str(written(table, tmp_path / "run.toml"))
    assert main(["train", config]) == 0
    exported = load_file(table["export"]["file"])
    assert main(["train", config]) == 2
    assert "add --resume" in capsys.readouterr().err
    before = (tmp_path / "conditioner/log.jsonl").stat().st_size
    assert main(["train", config, "--export", str(tmp_path / "again.safetensors")]) == 0
    again = load_file(tmp_path / "again.safetensors")
    assert (tmp_path / "conditioner/log.jsonl").stat().st_size == before
    assert exported.keys() == again.keys() and all(torch.equal(again[name], exported[name]) for name in again)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"conditioner": {"dim": 64, "width": 16, "heads": 1}}, "conditioner.dim is 64"),
        ({"model": {"transformer": ""}}, "model.transformer is empty"),
        ({"export": {"file": "bundle.ckpt"}}, "must end in .safetensors"),
        ({"validation": {"folder": "", "vae": __file__}}, "belong to different VAEs"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_step(data, random_weights, tmp_path, changes, said):
    table = {**conditioner_document(data, tmp_path, random_weights.dit), **changes}
    with pytest.raises(Track2ViewError, match=said):
        run_config(config_from(table))


def test_text_is_asked_for_where_the_config_uses_it(data, random_weights, tmp_path):
    table = conditioner_document(data, tmp_path, random_weights.dit)
    table["model"]["uses_text"] = True
    with pytest.raises(Track2ViewError, match="holds no text encoder"):
        run_config(config_from(table))


@pytest.mark.parametrize("stage", ["base", "conditioner"])
def test_a_source_that_reads_the_empty_prompt_is_trained_so_and_the_bundle_brings_it(
    told_data, random_weights, tmp_path, stage
):
    """The empty prompt is what the run's folder keeps of the text encoder. With another one the losses are others, and
    neither's are those of a source that reads the captions."""
    losses = {}
    for name, text in (("one", 300 * torch.randn(1, 4096)), ("other", 300 * torch.randn(1, 4096)), ("prompt", None)):
        if stage == "conditioner":
            table = conditioner_document(told_data, tmp_path / name, random_weights.dit)
        else:
            table = document(stage, told_data, tmp_path / name, model={"transformer": str(random_weights.dit)})
        table["model"]["uses_text"] = True
        table["flow"] = {"source_attention": "own", "source_text": "prompt" if text is None else "empty"}
        table["draw"]["text_dropout"] = 0.0
        folder = tmp_path / name / stage
        folder.mkdir(parents=True)
        save_file({"embedding": torch.ones(1, 4096) if text is None else text}, folder / "empty_prompt.safetensors")
        exported = run_config(config_from(table)).exported
        if stage == "conditioner":
            found = load_bundle(exported).source_text
            assert found is None if text is None else torch.equal(found, text)
        losses[name] = [round(loss, 4) for _, loss in curve(folder)]
    assert losses["one"] != losses["other"] != losses["prompt"] != losses["one"]
    table["model"]["uses_text"], table["flow"]["source_text"] = False, "empty"
    with pytest.raises(Track2ViewError, match=r'source_text is "empty" and model\.uses_text is false'):
        config_from(table)


def test_a_corrupt_shard_costs_its_samples_and_not_the_run(data, random_weights, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(data, damaged)
    shard = damaged / "shard_000000.safetensors"
    second = damaged / "shard_000001.safetensors"
    shutil.copy(shard, second)
    second.write_bytes(second.read_bytes()[:-4000])  # cut off
    with safe_open(shard, "pt") as handle:
        tensors, metadata = {name: handle.get_tensor(name) for name in handle.keys()}, handle.metadata()
    tensors["latents"][1] = float("nan")
    save_file(tensors, shard, metadata)
    table = conditioner_document(damaged, tmp_path, random_weights.dit, run={"steps": 4})
    table["validation"] = {"folder": str(damaged), "pairs": 2, "levels": [0.5]}
    run_config(config_from(table))
    texts = {event["text"] for event in events(tmp_path / "conditioner", "broken_sample")}
    assert any("shard_000000 pair 0" in text for text in texts) and any("shard_000001" in text for text in texts)
    assert len(curve(tmp_path / "conditioner")) == 4
    last = json.loads((tmp_path / "conditioner/log.jsonl").read_text().splitlines()[-2])
    assert last["broken_samples"] >= len(texts)
