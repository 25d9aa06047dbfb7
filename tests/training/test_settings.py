"""Settings: all of the repository's can be read, and what they misspell is refused by name."""

import tomllib
from pathlib import Path

import pytest

from track2view_core.conditioner import ConditionerConfig
from track2view_core.errors import Track2ViewError
from track2view_core.training import BatchDraw, TrainSettings
from track2view_core.training.settings import config_from, load_config

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.toml"))
SMALL = {"stage": "conditioner", "folder": "runs/a", "data": [{"folder": "data/a"}], "run": {"steps": 3}}


def tables(document, name=""):
    """All tables of a TOML document with their dotted names."""
    yield name, document
    for key, value in document.items():
        inner = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else value
        if isinstance(inner, dict) and key != "card":
            yield from tables(inner, f"{name}.{key}" if name else key)


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_config_is_read_and_no_misspelt_field_passes(file):
    config = load_config(file)
    assert config.export.file and config.validation.folder
    for name, _ in tables(tomllib.loads(file.read_text(encoding="utf-8"))):
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        next(table for found, table in tables(document) if found == name)["stepz"] = 1
        with pytest.raises(Track2ViewError, match=r"stepz is unknown; the fields"):
            config_from(document)


def test_the_full_size_configs_are_the_method_s():
    config = load_config(next(file for file in CONFIGS if file.stem == "wan21_1.3b"))
    assert config.conditioner == ConditionerConfig() and (config.lora.rank, config.flow.shift) == (64, 5.0)
    assert config.draw.tracks == (500, 1500) and config.run.optimiser.rate == 1e-4
    wide = load_config(next(file for file in CONFIGS if file.stem == "wan21_14b"))
    assert (wide.conditioner.dim, wide.conditioner.width) == (5120, 1536)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("run.steps=true", "run.steps is True; it must be a whole number"),
        ("run.steps=0", "In run: steps is 0; it must be at least 1"),
        ("run.precision=fp64", "run.precision is 'fp64'; allowed are fp32, bf16"),
        ("run.optimiser.betas=[0.9]", r"run.optimiser.betas has 1 entries; it must have 2"),
        ("run.optimiser.points=[[0.5, 1.0], [0.2, 1.0]]", "points has the shares"),
        ("data=[]", "data is empty"),
        ("data=[{batch=3}]", r"data\[0\].folder is missing"),
        ("draw.identity=1.5", "In draw: identity is 1.5; it must be between 0 and 1"),
        ("draw.tracks=[9, 3]", "tracks is"),
        ("draw.frame_anchor=mean", "set conditioner.frame_anchor"),
        ("draw.errors=3", "draw.errors is 3; it must be a table"),
        ("stage=lora", "stage is 'lora'; allowed are vae, base, conditioner"),
        ("vae.base_width=8", "vae is unknown; the fields at the top of the config are"),
        ("conditioner.heads=7", "In conditioner: ConditionerConfig.heads"),
        ("flow.rotary=both", "flow.rotary is 'both'; allowed are shared, consecutive"),
        ("export.card.licence=3", "export.card.licence is 3; it must be text"),
        ("steps", "'steps' is no assignment"),
        ("run. =4", "is no assignment"),
    ],
)
def test_a_wrong_field_is_one_sentence_that_names_it(tmp_path, change, said):
    file = tmp_path / "small.toml"
    file.write_text(
        'stage = "conditioner"\nfolder = "runs/a"\ndata = [{folder = "data/a"}]\n[run]\nsteps = 3\n', encoding="utf-8"
    )
    with pytest.raises(Track2ViewError, match=said) as raised:
        load_config(file, [change])
    assert str(raised.value).count("\n") == 0 and str(raised.value).endswith(".")


def test_no_toml_file_is_one_sentence(tmp_path):
    (tmp_path / "a.toml").write_text("stage = ", encoding="utf-8")
    for name in ("a.toml", "missing.toml"):
        with pytest.raises(Track2ViewError, match="cannot be read"):
            load_config(tmp_path / name)


def test_defaults_are_those_of_the_dataclasses():
    config = config_from(SMALL)
    assert config.run == TrainSettings(steps=3) and config.draw == BatchDraw()
