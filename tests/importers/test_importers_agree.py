"""One network gives one graph, whether it comes as a module or as an ONNX file, from whichever exporter."""

import functools
from collections import Counter

import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archflow.importers import ATTRIBUTES, read_module, read_onnx
from importers.networks import NETWORKS, Function, to_onnx

# (dynamo, opset): the exporter through TorchScript is quick, the one through torch.export is not.
EXPORTERS = [
    pytest.param(False, 17, id="torchscript 17"),
    pytest.param(True, 23, id="dynamo 23"),
    *(pytest.param(True, opset, id=f"dynamo {opset}", marks=pytest.mark.slow) for opset in (18, 20, 25)),
    *(pytest.param(False, opset, id=f"torchscript {opset}") for opset in (11, 14, 20)),
]
TOO_OLD = {("vision-transformer", 11), ("language-model", 11)}  # unflatten, attention


@functools.cache
def imported(name, fuse=False):
    network = NETWORKS[name]
    return read_module(network.module(), network.inputs(), fuse=fuse)


def from_onnx(path, module, inputs, **options):
    fuse = options.pop("fuse", False)
    onnx.save(to_onnx(module, inputs, **options), path)
    return read_onnx(path, fuse=fuse)


def by_node(architecture, names=ATTRIBUTES):
    attributes = dict(architecture.attributes)
    return {name: attributes.get(name) for name in names}


@pytest.mark.parametrize(("dynamo", "opset"), EXPORTERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, dynamo, opset, tmp_path):
    if (name, opset) in TOO_OLD:
        pytest.skip("this opset lacks an operator of the network")
    network = NETWORKS[name]
    module = network.module()
    # What optimises also joins batch norms with convolutions.
    options = {"dynamo": dynamo, "opset": opset, "optimize": not network.has_batch_norm}
    there = from_onnx(tmp_path / "network.onnx", module, network.inputs(), **options)
    here = imported(name)
    assert Counter(there.architecture.operations) == Counter(here.architecture.operations)
    assert there.architecture.operations == here.architecture.operations
    assert there.architecture.edges == here.architecture.edges
    assert by_node(there.architecture) == by_node(here.architecture)
    assert here.report.parameters == sum(weight.numel() for weight in module.parameters())
    assert there.report.parameters == here.report.parameters
    assert there.report.flops == here.report.flops > 0
    assert not here.report.unknown
    assert not there.report.unknown


@pytest.mark.parametrize(("dynamo", "opset"), [(False, 17), pytest.param(True, 23, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if network.has_batch_norm])
def test_fused_networks_hide_whether_batch_norms_were_joined(name, dynamo, opset, tmp_path):
    network = NETWORKS[name]
    here = imported(name, fuse=True).architecture
    for optimize in (False, True):
        options = {"dynamo": dynamo, "opset": opset, "optimize": optimize, "fuse": True}
        there = from_onnx(tmp_path / "network.onnx", network.module(), network.inputs(), **options)
        assert "batch_norm" not in here.operations
        assert there.architecture.operations == here.operations
        assert there.architecture.edges == here.edges
        sizes = ("dilation", "flops", "groups", "kernel", "stride")
        assert by_node(there.architecture, sizes) == by_node(here, sizes)


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_fx_gives_what_torch_export_gives(name, monkeypatch):
    network = NETWORKS[name]

    def fail(*_, **__):
        raise RuntimeError("not today")

    monkeypatch.setattr(torch.export, "export", fail)
    traced = read_module(network.module(), network.inputs())
    assert traced.architecture == imported(name).architecture
    assert "torch.fx" in traced.report.source
    assert traced.report.warnings == (
        "read with torch.fx, because torch.export failed: RuntimeError: not today",
    )


IMAGE, TOKENS, OTHER = torch.rand(2, 4, 6, 6), torch.rand(2, 5, 8), torch.rand(2, 5, 8)
ROWS, NUMBERS = torch.rand(3, 8), torch.tensor([[0, 1, 2], [3, 4, 0]])
VECTOR, MATRIX = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(8, 6))


def written_in_place(x):
    y = x * 2
    y[:, :2] = y[:, :2].relu()
    return y.tanh()


def mean_square(x):
    return x.pow(2).mean(-1, keepdim=True)


def centred(x):
    return x - x.mean(-1, keepdim=True)


SMALL = {
    # activations, named and written out
    "glu": (F.glu, TOKENS),
    "softsign": (F.softsign, TOKENS),
    "relu6": (F.relu6, TOKENS),
    "hardtanh": (F.hardtanh, TOKENS),
    "hardtanh to 6": (lambda x: F.hardtanh(x, 0, 6), TOKENS),
    "clamp": (lambda x: x.clamp(-1, 2), TOKENS),
    "clamp at 0": (lambda x: x.clamp(min=0), TOKENS),
    "silu written out": (lambda x: x * torch.sigmoid(x), TOKENS),
    "quick gelu": (lambda x: x * torch.sigmoid(1.702 * x), TOKENS),
    "hard swish written out": (lambda x: x * F.relu6(x + 3) / 6, TOKENS),
    "gelu written out": (lambda x: 0.5 * x * (1 + torch.tanh(0.79788 * (x + 0.044715 * x**3))), TOKENS),
    "mish written out": (lambda x: x * torch.tanh(F.softplus(x)), TOKENS),
    "elus": (lambda x: F.selu(x) + F.celu(x) + F.elu(x), TOKENS),
    "prelu": (lambda x, w: F.prelu(F.leaky_relu(x), w), IMAGE, {"w": nn.Parameter(torch.rand(4))}),
    "softmaxes": (lambda x: F.softmax(x, -1) + F.log_softmax(x, 1), TOKENS),
    # norms
    "rms norm written out": (lambda x, w: x * torch.rsqrt(mean_square(x) + 1e-6) * w, TOKENS, {"w": VECTOR}),
    "layer norm written out": (
        lambda x, w: centred(x) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-5) * w,
        TOKENS,
        {"w": VECTOR},
    ),
    "variance": (lambda x: x.var(-1), TOKENS),
    "group norm": (lambda x, norm: norm(x), IMAGE, {"norm": nn.GroupNorm(2, 4)}),
    "instance norm": (lambda x, norm: norm(x), IMAGE, {"norm": nn.InstanceNorm2d(4, affine=True)}),
    "normalize": (lambda x: F.normalize(x, dim=-1), TOKENS),
    # convolutions and pools
    "conv with holes": (
        lambda x, conv: conv(x),
        IMAGE,
        {"conv": nn.Conv2d(4, 6, 3, padding="same", dilation=2)},
    ),
    "conv 1x3": (lambda x, conv: conv(x), IMAGE, {"conv": nn.Conv2d(4, 6, (1, 3), (1, 2), groups=2)}),
    "transposed conv": (
        lambda x, conv: conv(x),
        IMAGE,
        {"conv": nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)},
    ),
    "transposed conv 1d": (lambda x, conv: conv(x), TOKENS, {"conv": nn.ConvTranspose1d(5, 6, 3, 2)}),
    "weight norm": (
        lambda x, conv: conv(x),
        IMAGE,
        {"conv": nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1))},
    ),
    "max pool": (lambda x: F.max_pool2d(x, 3, 2), IMAGE),
    "average pool": (lambda x: F.avg_pool2d(x, 2), IMAGE),
    "average pool over all": (lambda x: F.avg_pool2d(x, 6), IMAGE),
    "adaptive pool": (lambda x: F.adaptive_avg_pool2d(x, 3), IMAGE),
    "adaptive pool 1d": (lambda x: F.adaptive_avg_pool1d(x, 1), TOKENS),
    "means": (lambda x: x.mean((2, 3)) + x.mean() + x.mean(1).mean(), IMAGE),
    "reductions": (lambda x: x.sum(1) + x.amax(1) + x.max(1)[0] + x.min(1).values, IMAGE),
    "argmax": (lambda x: x.argmax(-1), TOKENS),
    "top": (lambda x: x.topk(2)[0] + x.sort()[0][..., :2], TOKENS),
    "running sum": (lambda x: x.logsumexp(-1) + x.cumsum(-1)[..., 0], TOKENS),
    "norms": (lambda x: x.norm(dim=-1) + x.norm(p=1, dim=-1), TOKENS),
    # joins
    "arithmetic": (lambda x, y: (x * y - y) / (y.abs() + 1) + x**2, (TOKENS, OTHER)),
    "numbers": (lambda x: (2 * x + 1 - x / 3) * (1 - x), TOKENS),
    "constants": (lambda x, w: x * w + w, TOKENS, {"w": VECTOR}),
    "layer scale": (
        lambda x, w, map: x + w * map(x),
        TOKENS,
        {"w": VECTOR, "map": nn.Linear(8, 8)},
    ),
    "extremes": (lambda x, y: torch.maximum(x, y) + torch.minimum(x, y), (TOKENS, OTHER)),
    "where": (lambda x, y: torch.where(x > 0, x, y) + x.masked_fill(y < 0, 0.0), (TOKENS, OTHER)),
    "powers": (lambda x, y: x.abs() ** y + 2**x, (TOKENS, OTHER)),
    "compare": (lambda x, y: (x > y) & (x < 3) | ~(x == y), (TOKENS, OTHER)),
    # places
    "cat": (lambda x, y: torch.cat([x, torch.stack([x, y], -1).flatten(2)], -1), (TOKENS, OTHER)),
    "chunk": (lambda x: torch.cat([part.relu() for part in x.chunk(2, -1)], -1), TOKENS),
    "channel shuffle": (lambda x: x.view(2, 2, 2, 36).transpose(1, 2).reshape(2, 4, 6, 6) + x, IMAGE),
    "views": (lambda x: torch.roll(F.pixel_shuffle(x, 2), 1, 2).relu(), IMAGE),
    "repeat": (lambda x: x.repeat(1, 2, 1, 1), IMAGE),
    "expand": (lambda x: x.mean(1, keepdim=True).expand_as(x) * x, TOKENS),
    "unbind": (lambda x: sum(x.unbind(1)), TOKENS),
    "triangle": (torch.tril, TOKENS),
    "resize": (lambda x: F.interpolate(x, scale_factor=2) + F.interpolate(x, 12, mode="bilinear"), IMAGE),
    "grid": (lambda x, y: F.grid_sample(x, y, align_corners=False), (IMAGE, torch.rand(2, 6, 6, 2))),
    "fold": (lambda x: F.fold(torch.cat([x.view(2, 4, 36)] * 4, 1), (7, 7), 2), IMAGE),
    "index": (lambda x, places: x[:, places], TOKENS, {"places": torch.tensor([0, 2])}),
    "index select": (lambda x, places: x.index_select(1, places), TOKENS, {"places": torch.tensor([0, 2])}),
    "gather": (lambda x, i: x[0][i] + x.gather(1, i[:, :, None].expand(-1, -1, 8)), (TOKENS, NUMBERS)),
    "table": (lambda i, table: table[i], NUMBERS, {"table": MATRIX}),
    "embedding": (lambda i, table: F.embedding(i, table), NUMBERS, {"table": MATRIX}),
    "one hot": (lambda i: F.one_hot(i, 5).float(), NUMBERS),
    "in place": (written_in_place, TOKENS),
    "scatter": (lambda x, i: torch.zeros(2, 5).scatter(1, i, x[:, 0, :3]), (TOKENS, NUMBERS)),
    "noise": (lambda x: x + torch.randn_like(x), TOKENS),
    # products
    "matmul": (lambda x, y: x @ y.transpose(1, 2), (TOKENS, OTHER)),
    "matmul with a weight": (lambda x, w: x @ w, TOKENS, {"w": MATRIX}),
    "matmul with a weight first": (lambda x, w: w.T @ x.transpose(1, 2), TOKENS, {"w": MATRIX}),
    "bmm with a weight": (lambda x, w: torch.bmm(x, w), TOKENS, {"w": nn.Parameter(torch.rand(2, 8, 6))}),
    "einsum": (lambda x, y: torch.einsum("bij,bkj->bik", x, y), (TOKENS, OTHER)),
    "einsum with a weight": (lambda x, w: torch.einsum("bij,jk->bik", x, w), TOKENS, {"w": MATRIX}),
    "addmm": (lambda x, w, b: torch.addmm(b, x, w), ROWS, {"w": MATRIX, "b": nn.Parameter(torch.rand(6))}),
    "baddbmm": (lambda x, y: torch.baddbmm(y, x, y.transpose(1, 2) @ x), (TOKENS, OTHER)),
    # sequences
    "attention written out": (
        lambda x, q, k, v: F.softmax(q(x) @ k(x).transpose(-1, -2) / 8**0.5, -1) @ v(x),
        TOKENS,
        {name: nn.Linear(8, 8) for name in "qkv"},
    ),
    "attention with a mask": (
        lambda x, mask: F.scaled_dot_product_attention(x, x, x, attn_mask=mask),
        (IMAGE, torch.rand(2, 4, 6, 6)),
    ),
    "attention without heads": (lambda x: F.scaled_dot_product_attention(x, x, x), TOKENS),
    "attention module": (
        lambda x, attention: attention(x, x, x)[0],
        TOKENS,
        {"attention": nn.MultiheadAttention(8, 2, batch_first=True)},
    ),
    "gru": (lambda x, gru: gru(x)[0], TOKENS, {"gru": nn.GRU(8, 4, 2, batch_first=True)}),
    "gru states": (lambda x, gru: gru(x)[1], TOKENS, {"gru": nn.GRU(8, 4, 2, batch_first=True)}),
    "rnn": (lambda x, rnn: rnn(x)[0], TOKENS, {"rnn": nn.RNN(8, 4, batch_first=True)}),
    "lstm with states": (
        lambda x, h, c, lstm: lstm(x, (h, c))[0],
        (TOKENS, torch.rand(2, 2, 4), torch.rand(2, 2, 4)),
        {"lstm": nn.LSTM(8, 4, 2, batch_first=True)},
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_single_operators(name, tmp_path):
    function, inputs, *parts = SMALL[name]
    module = Function(function, **(parts[0] if parts else {})).eval()
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    here = read_module(module, inputs)
    there = from_onnx(tmp_path / "one.onnx", module, inputs, opset=20, dynamo=False, optimize=False)
    assert here.architecture.operations == there.architecture.operations
    assert here.architecture.edges == there.architecture.edges
    assert by_node(here.architecture) == by_node(there.architecture)
    assert not here.report.unknown
