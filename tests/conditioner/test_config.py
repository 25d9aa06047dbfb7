import json

import pytest

from track2view_core.conditioner import ConditionerConfig
from track2view_core.errors import Track2ViewError


def test_survives_json():
    config = ConditionerConfig(
        dim=128, width=96, heads=3, scatter_level="latent", scatter_norm="max1", zbuffer_beta=4.0
    )
    assert ConditionerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_file_that_says_less_gets_the_defaults():
    assert ConditionerConfig.from_dict({"dim": 1536}) == ConditionerConfig()


def test_the_default_is_the_method_as_published():
    config = ConditionerConfig()
    assert (config.layers, config.depth_bands, config.scatter_level, config.scatter_norm) == (
        8,
        10,
        "token",
        "mean_coverage",
    )


def test_an_unknown_field_is_refused():
    with pytest.raises(Track2ViewError, match="'hats'"):
        ConditionerConfig.from_dict({"dim": 128, "hats": 3})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dim", 0),
        ("layers", 1.5),
        ("width", True),
        ("depth_bands", "10"),
        ("scatter_norm", "sum"),
        ("frame_anchor", "first"),
        ("scatter_level", "pixel"),
        ("zbuffer_beta", -1.0),
        ("zbuffer_beta", float("nan")),
        ("heads", 7),
        ("heads", 512),  # head size 3 has no pairs to rotate
    ],
)
def test_a_wrong_value_is_refused_by_name(field, value):
    with pytest.raises(Track2ViewError, match=f"ConditionerConfig.{field}"):
        ConditionerConfig.from_dict({field: value})
