"""Each proxy against the same number computed slowly from its formula."""

import copy
import math

import numpy as np
import pytest
import torch
from proxy_networks import BATCH, Blind, small_network
from torch import nn
from torch.nn.functional import cross_entropy

from archflow.errors import UsageError
from archflow.networks import ImageBatch, score_network

IMAGES, LABELS = BATCH.images, BATCH.labels


def weights_of(network):
    return [network[place].weight for place in (0, 3, 8)]


def score(name, network, **options):
    return score_network(network, BATCH, [name], **options)[name]


def maps_before_relus(network):
    first = network[1](network[0](IMAGES))
    return first, network[4](network[3](first.relu()))


def test_naswot_is_the_log_determinant_of_counted_agreements():
    network = small_network()
    maps = [values.detach().flatten(1) for values in maps_before_relus(copy.deepcopy(network))]
    kernel = np.zeros((6, 6))
    for i, j in np.ndindex(6, 6):
        for values in maps:
            kernel[i, j] += sum(bool(a > 0) == bool(b > 0) for a, b in zip(values[i], values[j], strict=True))
    assert kernel[0, 0] == 3 * 16 + 4 * 16
    assert score("naswot", network) == pytest.approx(math.log(np.linalg.det(kernel)), rel=1e-9)


def test_naswot_is_undefined_where_two_images_have_equal_codes():
    twins = ImageBatch(torch.cat([IMAGES, IMAGES[:1]]), torch.cat([LABELS, LABELS[:1]]))
    assert math.isnan(score_network(small_network(), twins, ["naswot"])["naswot"])


def test_jacov_punishes_correlated_input_gradients():
    network = small_network()
    images = IMAGES.clone().requires_grad_()
    copy.deepcopy(network)(images).sum().backward()
    rows = images.grad.reshape(6, -1).numpy().astype(np.float64)
    centred = rows - rows.mean(axis=1, keepdims=True)
    covariance = centred @ centred.T
    deviations = np.sqrt(np.diag(covariance))
    values = np.linalg.eigvals(covariance / np.outer(deviations, deviations)).real
    expected = -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in values)
    assert score("jacov", network) == pytest.approx(expected, rel=1e-3)  # the Jacobians are float32


def test_jacov_is_below_that_of_unrelated_jacobians():
    assert score("jacov", small_network()) < -6 * (math.log(1 + 1e-5) + 1 / (1 + 1e-5))


def test_snip_and_grad_norm_add_up_what_backward_leaves():
    network = small_network()
    twin = copy.deepcopy(network)
    cross_entropy(twin(IMAGES), LABELS).backward()
    pairs = [(w.detach(), w.grad) for w in weights_of(twin)]
    snip = sum(float((w * g).abs().sum()) for w, g in pairs)
    norm = sum(math.sqrt(float((g**2).sum())) for _, g in pairs)
    assert score("snip", network) == pytest.approx(snip, rel=1e-5)
    assert score("grad_norm", network) == pytest.approx(norm, rel=1e-5)


def test_fisher_is_the_squared_gradient_of_a_gate_on_each_channel():
    network = small_network()
    twin = copy.deepcopy(network)
    gates = [torch.ones(6, channels, 1, 1, requires_grad=True) for channels in (3, 4, 3)]
    x = twin[1](twin[0](IMAGES) * gates[0]).relu()
    x = twin[4](twin[3](x) * gates[1]).relu().mean((2, 3))
    cross_entropy(twin[8](x) * gates[2].flatten(1), LABELS).backward()
    expected = 0.0
    for gate, weights_of_a_channel in zip(gates, (2 * 9, 3, 4), strict=True):
        for channel in range(gate.shape[1]):
            squares = [float(gate.grad[image, channel]) ** 2 for image in range(6)]
            expected += weights_of_a_channel * sum(squares) / 6 / 2
    assert score("fisher", network) == pytest.approx(expected, rel=1e-4)


def test_grasp_is_minus_the_weights_times_the_slope_of_the_gradient_along_itself():
    network = small_network().double()
    batch = type(BATCH)(IMAGES.double(), LABELS)

    def gradient(step, direction):
        twin = copy.deepcopy(network)
        with torch.no_grad():
            for weight, change in zip(weights_of(twin), direction, strict=True):
                weight += step * change
        return torch.autograd.grad(cross_entropy(twin(batch.images), LABELS), weights_of(twin))

    along = gradient(0, [0, 0, 0])
    ahead, behind = gradient(1e-5, along), gradient(-1e-5, along)
    weights = [w.detach() for w in weights_of(network)]
    expected = -sum(float((w * (a - b) / 2e-5).sum()) for w, a, b in zip(weights, ahead, behind, strict=True))
    assert score_network(network, batch, ["grasp"])["grasp"] == pytest.approx(expected, rel=1e-4)


def test_synflow_of_a_chain_is_its_depth_times_the_product_of_its_weights():
    torch.manual_seed(0)
    chain = nn.Sequential(
        nn.Conv2d(2, 3, 1, bias=False),
        nn.BatchNorm2d(3, eps=10.0),  # would show, if it were not left out
        nn.ReLU(),
        nn.Conv2d(3, 4, 1, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3, bias=False),
    )
    first, second, third = (chain[place].weight.detach().abs().double().flatten(1) for place in (0, 3, 6))
    through = float((third @ second @ first).sum())
    assert score("synflow", chain) == pytest.approx(math.log(1 + 3 * through), rel=1e-9)


def test_synflow_counts_weights_and_not_biases():
    head = nn.Sequential(nn.Flatten(), nn.Linear(32, 3))
    expected = math.log(1 + float(head[1].weight.detach().abs().double().sum()))
    assert score("synflow", head) == pytest.approx(expected, rel=1e-9)


def test_synflow_of_a_deep_network_does_not_overflow():
    layers = [nn.Conv2d(64, 64, 3, padding=1, bias=False) for _ in range(60)]
    network = nn.Sequential(nn.Conv2d(2, 64, 1), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert 120 < score("synflow", network) < math.inf  # float32 ends at e^89


def test_zen_is_the_log_of_the_change_with_every_deviation_put_back():
    generator = torch.Generator().manual_seed(7)
    first, second, _ = (torch.randn(w.shape, generator=generator) for w in weights_of(small_network()))
    images = torch.randn(6, 2, 4, 4, generator=generator)
    step = 0.01 * torch.randn(6, 2, 4, 4, generator=generator)
    logarithms = []

    def normalised(x):
        mean = x.mean((0, 2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
        logarithms.append(math.log(math.sqrt(float(variance.mean()))))
        return (x - mean) / torch.sqrt(variance + 1e-5)

    def last_map(x):
        x = normalised(torch.nn.functional.conv2d(x, first, padding=1)).relu()
        return normalised(torch.nn.functional.conv2d(x, second)).relu()

    change = (last_map(images) - last_map(images + step)).abs().sum((1, 2, 3)).mean()
    expected = math.log(float(change)) + sum(logarithms[:2])
    assert score("zen", small_network(1), seed=7) == pytest.approx(expected, rel=1e-4)
    assert score("zen", small_network(1), seed=8) != pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["naswot", "jacov", "zen"])
def test_a_network_that_ignores_its_images_has_no_score(name):
    assert math.isnan(score(name, Blind()))


def test_a_network_that_ignores_its_images_has_only_the_gradients_of_a_head_that_sees_zeros():
    values = score_network(Blind(), BATCH, ["snip", "grad_norm", "fisher", "grasp"])
    assert values == {"snip": 0, "grad_norm": 0, "fisher": values["fisher"], "grasp": 0}
    assert values["fisher"] > 0  # of the head's output, which its bias makes


def test_synflow_of_a_network_that_ignores_its_images_is_zero():
    assert score("synflow", Blind()) == 0


def test_zen_needs_a_map_that_is_pooled():
    with pytest.raises(UsageError, match="zen looks at what an AdaptiveAvgPool2d pools"):
        score("zen", nn.Sequential(nn.Flatten(), nn.Linear(32, 3)))


def test_zen_without_batch_norms_is_the_change_alone():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    generator = torch.Generator().manual_seed(7)
    weight = torch.randn(3, 2, 1, 1, generator=generator)
    torch.randn(6, 2, 4, 4, generator=generator)
    step = 0.01 * torch.randn(6, 2, 4, 4, generator=generator)
    change = float(nn.functional.conv2d(step, weight).abs().sum((1, 2, 3)).mean())
    assert score("zen", network, seed=7) == pytest.approx(math.log(change), rel=1e-4)
