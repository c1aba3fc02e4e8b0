"""The registry of methods."""

import pytest

from archflow.encoders import ENCODERS
from archflow.errors import UnknownNameError
from archflow.predictors import METHODS
from archflow.predictors.methods import DEFAULT, method_named
from archflow.pretrain import PretrainConfig


def test_the_promised_methods_are_there():
    promised = {"random", "onehot-rf", "gin", "gated_gcn", "fgp-gin", "fgp-gated_gcn", "fgp+gin", "auto"}
    assert promised <= set(METHODS)
    assert DEFAULT == "auto"


def test_every_method_is_found_by_its_name_and_says_what_it_is():
    for name, method in METHODS.items():
        assert method_named(name) is method
        assert method.name == name
        assert method.description
        assert "\n" not in method.description
    assert len({method.description for method in METHODS.values()}) == len(METHODS)


def test_every_encoder_has_a_supervised_and_two_pretrained_methods():
    for name in ENCODERS:
        assert (METHODS[name].encoder, METHODS[name].pretrained) == (name, False)
        for prefix, objectives in (("fgp-", None), ("fgp+", {"operation-flow": 0.5, "proxy": 0.5})):
            method = METHODS[prefix + name]
            assert (method.encoder, method.pretrained, method.objectives) == (name, True, objectives)
    for method in METHODS.values():
        assert method.encoder is None or method.encoder in ENCODERS


@pytest.mark.parametrize(
    ("name", "near"), [("onehot-fr", "onehot-rf"), ("fgpgin", "fgp-gin"), ("Random", "random")]
)
def test_an_unknown_method_lists_the_choices_and_suggests(name, near):
    with pytest.raises(UnknownNameError) as error:
        method_named(name)
    message = str(error.value)
    assert message == (
        f"unknown method {name!r}; choose from: {', '.join(sorted(METHODS))}. Did you mean {near!r}?"
    )


def test_what_methods_pretrain_on_can_be_pretrained_on():
    for method in METHODS.values():
        if method.objectives is not None:
            assert method.pretrained
            assert PretrainConfig(objectives=method.objectives).objectives == method.objectives


def test_nothing_near_is_not_suggested():
    with pytest.raises(UnknownNameError) as error:
        method_named("xyzzy")
    assert "Did you mean" not in str(error.value)
