"""All proxies of a network at once: the same as one by one, and nothing is left behind."""

import copy
import math

import pytest
import torch
from proxy_networks import BATCH, small_network

from archflow.errors import UnknownNameError
from archflow.networks import score_network
from archflow.networks.proxies.measures import MEASURES


@pytest.mark.parametrize("names", [list(MEASURES), list(MEASURES)[::-1]], ids=["in order", "reversed"])
def test_together_they_are_what_they_are_alone(names):
    together = score_network(small_network(), BATCH, names)
    assert list(together) == names
    for name in names:
        alone = score_network(small_network(), BATCH, [name])[name]
        assert together[name] == pytest.approx(alone, rel=1e-5), name


def test_the_network_and_the_random_state_are_left_as_they_were():
    network = small_network()
    network[4].eval()
    before, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    first = score_network(network, BATCH, list(MEASURES))
    assert score_network(network, BATCH, list(MEASURES)) == first
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    assert [module.training for module in network] == [place != 4 for place in range(9)]
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_the_caller_may_have_turned_gradients_off():
    with torch.no_grad():
        quiet = score_network(small_network(), BATCH, list(MEASURES))
    assert quiet == score_network(small_network(), BATCH, list(MEASURES))


def test_other_weights_are_told_apart():
    first = score_network(small_network(0), BATCH, [name for name in MEASURES if name != "zen"])
    second = score_network(small_network(1), BATCH, list(first))
    assert all(first[name] != second[name] for name in first)


def test_an_unknown_proxy_is_named():
    with pytest.raises(UnknownNameError, match=r"unknown proxy 'sinflow'.*Did you mean 'synflow'"):
        score_network(small_network(), BATCH, ["sinflow"])


def test_numbers_without_end_are_undefined():
    network = small_network()
    with torch.no_grad():
        network[8].weight.fill_(math.inf)
    assert all(math.isnan(value) for value in score_network(network, BATCH, ["synflow", "snip"]).values())
