"""Networks of every space: what they cost, against real modules, published tables and PyTorch's counter."""

import math
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archflow import spaces
from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.graphs import FORMS, Architecture, ArchitectureTable
from archflow.networks.skeleton import (
    SKELETONS,
    Skeleton,
    build_network,
    count_flops,
    count_multiply_adds,
    count_parameters,
)
from reference.nasbench101_network import random_cells

ODD = Skeleton((5, 9, 6, 11), cells=2, image=(2, 16, 24), classes=7)
CASES = [
    (name, skeleton)
    for name, skeletons in SKELETONS.items()
    for skeleton in [*skeletons.values(), ODD, Skeleton((8,), cells=1, image=(1, 5, 3), classes=2)]
]

needs_tables = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


def cells_of(space_name, count, seed=0):
    space, rng = spaces.get(space_name), np.random.default_rng(seed)
    if space_name == "nasbench101":
        return random_cells(space, count, rng)
    return list(space.sample(count, rng))


def table_of(space_name, cells):
    return ArchitectureTable.of(cells, spaces.get(space_name).operations)


def build_without_memory(space_name, cell, skeleton):
    with torch.device("meta"):
        return build_network(space_name, cell, skeleton)


def operations_of(network, images):
    """Count by the published rule what each layer does while the network runs."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        match module:
            case nn.Conv2d():
                total += output.numel() * module.weight[0].numel()
            case nn.BatchNorm2d():
                total += 2 * output.numel()
            case nn.ReLU():
                total += output.numel()
            case nn.AvgPool2d() | nn.MaxPool2d():
                total += output.numel() * module.kernel_size**2
            case nn.AdaptiveAvgPool2d():
                total += output.numel() * math.prod(side + 1 for side in inputs[0].shape[2:])
            case nn.Linear():
                total += module.weight.numel()

    handles = [module.register_forward_hook(count) for module in network.modules()]
    network(images)
    for handle in handles:
        handle.remove()
    return total


@pytest.fixture(scope="module")
def proxies():
    table = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nasbench201_proxies.parquet")
    space = spaces.get("nasbench201")
    cells = [space.parse(text) for text in table["arch"].to_pylist()]
    return table_of("nasbench201", cells), table["params"].to_numpy(), table["flops"].to_numpy()


@pytest.mark.parametrize(("space_name", "skeleton"), CASES)
def test_a_network_maps_images_to_scores_and_has_the_counted_cost(space_name, skeleton):
    cells = cells_of(space_name, 2)
    table = table_of(space_name, cells)
    counted = zip(
        count_parameters(space_name, table, skeleton),
        count_flops(space_name, table, skeleton),
        count_multiply_adds(space_name, table, skeleton),
        strict=True,
    )
    images = torch.empty(1, *skeleton.image, device="meta")
    for cell, (parameters, flops, multiply_adds) in zip(cells, counted, strict=True):
        network = build_without_memory(space_name, cell, skeleton)
        assert sum(weight.numel() for weight in network.parameters()) == parameters
        assert operations_of(network, images) == flops
        with FlopCounterMode(display=False) as counter:
            scores = network(images)
        assert counter.get_total_flops() == 2 * multiply_adds
        assert scores.shape == (1, skeleton.classes)


@pytest.mark.slow
@pytest.mark.parametrize("space_name", SKELETONS)
def test_hundreds_of_networks_have_the_counted_cost(space_name):
    skeleton = SKELETONS[space_name]["full"]
    cells = cells_of(space_name, 300, seed=1)
    table = table_of(space_name, cells)
    networks = [build_without_memory(space_name, cell, skeleton) for cell in cells]
    images = torch.empty(1, *skeleton.image, device="meta")
    sizes = [sum(weight.numel() for weight in network.parameters()) for network in networks]
    assert sizes == count_parameters(space_name, table, skeleton).tolist()
    operations = [operations_of(network, images) for network in networks[:100]]
    assert operations == count_flops(space_name, table, skeleton)[:100].tolist()


@pytest.mark.parametrize("space_name", SKELETONS)
@pytest.mark.parametrize("form", FORMS)
def test_each_form_costs_what_its_network_costs(space_name, form):
    skeleton = SKELETONS[space_name]["reduced"]
    table = table_of(space_name, cells_of(space_name, 10)).in_form(form)
    networks = [build_without_memory(space_name, cell, skeleton) for cell in table]
    sizes = [sum(weight.numel() for weight in network.parameters()) for network in networks]
    assert sizes == count_parameters(space_name, table, skeleton).tolist()


@pytest.mark.parametrize("space_name", SKELETONS)
def test_the_full_skeleton_has_the_parameters_that_the_space_counts(space_name):
    table = table_of(space_name, cells_of(space_name, 50))
    counts = count_parameters(space_name, table, SKELETONS[space_name]["full"])
    assert counts.dtype == np.float64
    assert counts.tolist() == spaces.get(space_name).parameters(table).tolist()


@needs_tables
def test_every_published_count_of_nasbench201_is_met(proxies):
    table, parameters, flops = proxies
    full = SKELETONS["nasbench201"]["full"]
    assert len(table) == 9_445
    assert (count_parameters("nasbench201", table, full) / 1e6).tolist() == parameters.tolist()
    assert (count_flops("nasbench201", table, full) / 1e6).tolist() == flops.tolist()


@needs_tables
def test_every_published_count_of_nasbench101_is_met():
    published = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nasbench101.parquet")
    space = spaces.get("nasbench101")
    table = table_of("nasbench101", [space.parse(text) for text in published["arch"].to_pylist()])
    counts = count_parameters("nasbench101", table, SKELETONS["nasbench101"]["full"])
    assert len(table) == 20_001
    assert counts.tolist() == published["params"].to_pylist()


@pytest.mark.parametrize("space_name", SKELETONS)
def test_the_seed_alone_decides_the_weights(space_name):
    cell, skeleton = cells_of(space_name, 1)[0], SKELETONS[space_name]["reduced"]
    weights = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        network = build_network(space_name, cell, skeleton)
        assert network.training
        weights.append(torch.cat([weight.detach().flatten() for weight in network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("space_name", SKELETONS)
def test_nothing_is_counted_for_no_architecture(space_name):
    counts = count_flops(space_name, table_of(space_name, []), ODD)
    assert counts.shape == (0,)


@pytest.mark.parametrize("name", ["darts", "", "nasbench201 ", "x" * 10_000])
def test_a_space_without_networks_is_told_which_have_them(name):
    cell = cells_of("nasbench201", 1)[0]
    for call in (
        lambda: build_network(name, cell, ODD),
        lambda: count_parameters(name, table_of("nasbench201", [cell]), ODD),
        lambda: count_flops(name, table_of("nasbench201", [cell]), ODD),
        lambda: count_multiply_adds(name, table_of("nasbench201", [cell]), ODD),
    ):
        with pytest.raises(UsageError, match="has no networks; nasbench201 and nasbench101 have") as caught:
            call()
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("space_name", SKELETONS)
def test_an_architecture_of_another_space_is_refused(space_name):
    foreign = Architecture(("input", "gcn", "output"), ((0, 1), (1, 2)))
    with pytest.raises(InvalidArchitectureError, match="unknown operation 'gcn'"):
        build_network(space_name, foreign, ODD)
    with pytest.raises(UnknownNameError, match="unknown operation 'gcn'"):
        count_flops(space_name, ArchitectureTable.of([foreign]), ODD)
