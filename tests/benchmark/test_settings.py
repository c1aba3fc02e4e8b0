"""Settings: values from text, layers that win, and all defaults filled in."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.benchmark.settings import fine_tuning_of, merged, read_value, resolve, resolve_plain
from archflow.encoders import EncoderConfig
from archflow.errors import UnknownNameError, UsageError
from archflow.predictors import FineTuneConfig
from archflow.pretrain import PretrainConfig
from archflow.spaces.yaml_parts import Part


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("true", bool, True),
        ("false", bool, False),
        ("12", int, 12),
        ("0.001", float, 0.001),
        ("1e-6", float, 1e-6),
        ("3", float, 3.0),
        ("none", float | None, None),
        ("2.5", float | None, 2.5),
        ("cosine", Literal["constant", "cosine"], "cosine"),
        ("anything", str, "anything"),
    ],
)
def test_text_becomes_a_value(text, kind, value):
    found = read_value(Part(text, 3, "f.yaml"), "it", kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("True", bool),
        ("1", bool),
        ("1.5", int),
        ("-1", int),
        ("٣", int),
        ("1_000", int),
        ("9" * 30, int),
        ("nan", float),
        ("inf", float),
        ("1e999", float),
        ("none", float),
        ("linear", Literal["constant", "cosine"]),
        ("", str),
    ],
)
def test_other_text_is_refused(text, kind):
    with pytest.raises(UsageError, match=r"^f.yaml: line 3: "):
        read_value(Part(text, 3, "f.yaml"), "it", kind)


@given(st.floats(min_value=-(2.0**100), max_value=2.0**100, allow_subnormal=False, width=32))
def test_numbers_are_read_exactly(number):
    assert read_value(Part(f"{number:.17g}", 1, "f"), "it", float) == float(f"{number:.17g}")


def test_later_layers_win_key_by_key():
    assert merged({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}}, {"b": 2, "c": {"z": 0}}) == {
        "a": {"x": 1, "y": 3},
        "b": 2,
        "c": {"z": 0},
    }


def test_resolved_settings_are_whole_configs():
    given = {
        "form": "pruned",
        "sizes": {"width": 16},
        "pretraining": {"epochs": 7, "decoder_layers": 1, "surrogate": {"std": 0.5}},
        "fine_tuning": {"margin": 0.1, "batch_size": 8},
    }
    settings = resolve("gin", "flow=2+proxy=1", "nasbench101", given)
    assert (settings["method"], settings["form"]) == ("fgp-gin", "pruned")
    config = PretrainConfig.from_json({**settings["pretraining"], "seed": 5})
    assert (config.training.epochs, config.training.batch_size, config.decoder_layers) == (7, 256, 1)
    assert (config.surrogate.width, config.surrogate.std) == (4, 0.5)  # 4 is the paper's on NAS-Bench-101
    assert config.objectives == {"flow": 2.0, "proxy": 1.0}
    assert config.encoder == EncoderConfig(**settings["encoder"]) == EncoderConfig("gin", width=16)
    assert config.form == "pruned"
    tuning, default = fine_tuning_of(settings), FineTuneConfig.default("gin", pretrained=True)
    assert (tuning.margin, tuning.training.batch_size) == (0.1, 8)
    assert tuning.training.learning_rate == default.training.learning_rate


def test_without_a_pretext_there_is_no_pretraining():
    settings = resolve("gated_gcn", "none", "nasbench201", {"pretraining": {"epochs": 7}})
    assert (settings["method"], settings["pretraining"]) == ("gated_gcn", None)
    assert fine_tuning_of(settings) == FineTuneConfig.default("gated_gcn", pretrained=False)


def test_a_method_without_an_encoder_has_nothing_to_set():
    assert resolve_plain("onehot-rf")["method"] == "onehot-rf"
    with pytest.raises(UnknownNameError):
        resolve_plain("onehot-fr")


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="encoder 'gni'"):
        resolve("gni", "none", "nasbench201", {})
    with pytest.raises(UnknownNameError, match="objective 'flw'"):
        resolve("gin", "flw", "nasbench201", {})
