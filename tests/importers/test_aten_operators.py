"""Torch operators in the vocabulary: those that ONNX exporters write otherwise, numbers, and the tables.

What both importers read alike is compared in `test_importers_agree`.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from archflow.importers import aten_operators, read_module
from archflow.importers.vocabulary import NAMES, NEGATE, VIEW
from importers.networks import NETWORKS, Function

IMAGE, TOKENS, OTHER = torch.rand(2, 4, 6, 6), torch.rand(2, 5, 8), torch.rand(2, 5, 8)
ROWS, NUMBERS = torch.rand(3, 8), torch.tensor([[0, 1, 2], [3, 4, 0]])
VECTOR, TABLE = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(5, 8))


def cell_of(x, cell):
    return cell(x)


CASES = {
    # activations
    "log sigmoid": (F.logsigmoid, TOKENS, {}, "log_sigmoid"),
    "threshold": (lambda x: F.threshold(F.hardshrink(x), 0.1, 0.0), TOKENS, {}, "threshold threshold"),
    "gelu mish": (lambda x: F.gelu(F.mish(F.silu(x))), TOKENS, {}, "silu mish gelu"),
    "hard": (lambda x: F.hardswish(F.hardsigmoid(x)), TOKENS, {}, "hard_sigmoid hard_swish"),
    "clamp by data": (lambda x, y: x.clamp(min=y), (TOKENS, OTHER), {}, "maximum"),
    "clamp by data twice": (lambda x, y: x.clamp(-y, y), (TOKENS, OTHER), {}, "maximum minimum"),
    # norms
    "rms norm": (lambda x: F.rms_norm(x, (8,)), TOKENS, {}, "rms_norm"),
    "instance norm by running statistics": (
        lambda x, norm: norm(x),
        IMAGE,
        {"norm": nn.InstanceNorm2d(4, track_running_stats=True)},
        "batch_norm",
    ),
    "standard deviation": (lambda x: x.std(-1), TOKENS, {}, "mean subtract power mean sqrt"),
    "variance and mean": (
        lambda x: sum(torch.var_mean(x, dim=-1)),
        TOKENS,
        {},
        "mean subtract power mean add",
    ),
    # pools and places
    "unpool": (
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
        IMAGE,
        {},
        "max_pool unpool",
    ),
    "global max pool": (lambda x: F.adaptive_max_pool2d(x, 1), IMAGE, {}, "global_max_pool"),
    "adaptive max pool": (lambda x: F.adaptive_max_pool2d(x, 4), IMAGE, {}, "max_pool"),
    "windows": (lambda x: F.unfold(x, 2), IMAGE, {}, "fold"),
    "roll": (lambda x: torch.roll(x, (1, 1), (2, 3)).flip(1).rot90(1, (2, 3)).relu(), IMAGE, {}, "relu"),
    "pad": (lambda x: F.pad(x, (1, 1), mode="reflect").relu(), TOKENS, {}, "relu"),
    "interleave": (lambda x: x.repeat_interleave(2, 1), TOKENS, {}, "tile"),
    "repeat once": (lambda x: x.repeat(1, 1, 1).relu(), TOKENS, {}, "relu"),
    "index put": (lambda x, y: x.index_put([torch.tensor([0])], y[0]), (TOKENS, OTHER), {}, "slice scatter"),
    "diagonal": (lambda x: x.diagonal(dim1=1, dim2=2), TOKENS, {}, "slice"),
    "whole slice": (lambda x: x[:, :5].relu(), TOKENS, {}, "relu"),
    "bag": (lambda i, table: F.embedding_bag(i, table), NUMBERS, {"table": TABLE}, "embedding"),
    "rows of data": (lambda i, x: F.embedding(i, x), (NUMBERS, ROWS), {}, "gather"),
    "non-zero": (lambda x: x.nonzero(), TOKENS, {}, "non_zero"),
    "fourier": (lambda x: torch.fft.rfft(x).abs(), TOKENS, {}, "fourier absolute"),
    "random": (lambda x: torch.bernoulli(x.sigmoid()), TOKENS, {}, "sigmoid random"),
    "random in place": (lambda x: x * (0 * x).uniform_(), TOKENS, {}, "scale"),
    # joins
    "products and sums": (
        lambda x, y: torch.addcmul(x, x, y) + torch.addcdiv(y, x, y),
        (TOKENS, OTHER),
        {},
        "multiply add divide add add",
    ),
    "interpolation": (lambda x, y: torch.lerp(x, y, 0.3), (TOKENS, OTHER), {}, "subtract add"),
    "interpolation by data": (lambda x, y: torch.lerp(x, y, y), (TOKENS, OTHER), {}, "subtract multiply add"),
    "any": (lambda x: (x > 0).any(-1), TOKENS, {}, "compare reduce_max"),
    "numbers by number": (
        lambda x: x.abs().sqrt().exp().log().sin().round().sign().erf().reciprocal(),
        TOKENS,
        {},
        "absolute sqrt exp log sine round sign erf reciprocal",
    ),
    # products
    "bilinear": (lambda x, y, map: map(x, y), (ROWS, ROWS + 1), {"map": nn.Bilinear(8, 8, 4)}, "bilinear"),
    "linear by data": (lambda x, y: F.linear(x, y[0]), (TOKENS, OTHER), {}, "slice matmul"),
    "sum and product": (lambda x, y: torch.addmm(x, x, y), (ROWS[:, :3], ROWS[:, 3:6]), {}, "matmul add"),
    "einsum of one": (lambda x: torch.einsum("bij->bji", x).relu(), TOKENS, {}, "relu"),
    "einsum that sums": (lambda x: torch.einsum("bij->b", x), TOKENS, {}, "sum"),
    "einsum of three": (
        lambda x, y: torch.einsum("i,i,j->j", x[0], y[0], x[1]),
        (ROWS, ROWS + 1),
        {},
        "slice slice slice matmul",
    ),
    # sequences
    "lstm cell": (lambda x, cell: cell(x)[0], ROWS, {"cell": nn.LSTMCell(8, 4)}, "lstm"),
    "gru cell": (cell_of, ROWS, {"cell": nn.GRUCell(8, 4)}, "gru"),
    "rnn cell": (cell_of, ROWS, {"cell": nn.RNNCell(8, 4)}, "rnn"),
}


def module_of(case):
    function, inputs, parts, *_ = case
    return Function(function, **parts).eval(), inputs


@pytest.mark.parametrize("name", CASES)
def test_operations(name):
    imported = read_module(*module_of(CASES[name]))
    operations = [operation for operation in imported.architecture.operations if operation != "input"]
    assert operations == [*CASES[name][3].split(), "output"]
    module = module_of(CASES[name])[0]
    assert imported.report.parameters == sum(weight.numel() for weight in module.parameters())
    assert not imported.report.unknown


def attributes_of(module, inputs, operation):
    architecture = read_module(module, inputs).architecture
    places = [place for place, name in enumerate(architecture.operations) if name == operation]
    return [{name: values[place] for name, values in architecture.attributes} for place in places]


def test_numbers_of_a_convolution():
    conv = nn.Conv2d(6, 8, (1, 4), stride=(1, 4), dilation=(2, 2), groups=2)
    (got,) = attributes_of(conv, torch.zeros(1, 6, 16, 16), "conv")
    assert got == {
        "kernel": 2,
        "stride": 2,
        "dilation": 2,
        "groups": 2,
        "channels": 8,
        "positions": 16 * 3,
        "parameters": 8 * 3 * 4 + 8,
        "flops": 2 * 16 * 3 * 8 * 3 * 4,
    }


def test_numbers_of_pools():
    pools = nn.Sequential(nn.MaxPool2d(3), nn.AdaptiveAvgPool2d(2))
    (max_pool,) = attributes_of(pools, torch.zeros(1, 4, 12, 12), "max_pool")
    (average_pool,) = attributes_of(pools, torch.zeros(1, 4, 12, 12), "average_pool")
    assert (max_pool["kernel"], max_pool["stride"]) == (3, 3)
    assert (average_pool["kernel"], average_pool["stride"]) == (2, 2)


def test_numbers_of_attention():
    attention = nn.MultiheadAttention(16, 4, batch_first=True)
    module = Function(lambda x, part: part(x, x, x)[0], part=attention).eval()
    (got,) = attributes_of(module, torch.zeros(1, 5, 16), "attention")
    assert got["heads"] == 4
    assert got["channels"] == 16
    assert got["flops"] == 2 * 2 * (4 * 5 * 5 * 4)  # two products


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_numbers_of_recurrent_layers(kind, gates, directions):
    layers = kind(8, 6, num_layers=2, bidirectional=directions == 2)
    module = Function(lambda x, part: part(x)[0], part=layers).eval()
    first, second = attributes_of(module, torch.zeros(5, 3, 8), kind.__name__.lower())
    for got, width in ((first, 8), (second, 6 * directions)):
        weights = directions * gates * 6 * (width + 6)
        assert got["channels"] == 6 * directions
        assert got["flops"] == 2 * 5 * 3 * weights
        assert got["parameters"] == weights + directions * 2 * gates * 6


def test_projected_states_of_an_lstm_count():
    module = Function(lambda x, part: part(x)[0], part=nn.LSTM(8, 6, proj_size=3)).eval()
    (got,) = attributes_of(module, torch.zeros(5, 2, 8), "lstm")
    assert got["channels"] == 3
    assert got["flops"] == 2 * 5 * 2 * (4 * 6 * (8 + 3) + 3 * 6)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "tagger"])
def test_flops_are_those_that_torch_counts(name):
    """Its counter does not know recurrent layers, and attention only written out."""
    network = NETWORKS[name]
    with FlopCounterMode(display=False) as counter, nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        network.module()(*network.inputs())
    assert read_module(network.module(), network.inputs()).report.flops == counter.get_total_flops()


@pytest.mark.parametrize("library", aten_operators._LIBRARIES)
def test_rules_give_kinds_of_the_vocabulary(library):
    kinds = {rule for rule in aten_operators._LIBRARIES[library].values() if isinstance(rule, str)}
    assert kinds <= NAMES | {VIEW, NEGATE}


def test_rules_are_for_operators_that_exist():
    names = aten_operators._LIBRARIES["aten"]
    python = {"truediv", "floordiv", "mod"}  # shared with arithmetic on sizes
    missing = {name for name in names if not hasattr(torch.ops.aten, name)}
    assert {name for name in missing if not hasattr(torch.ops.aten, f"{name}_")} <= python
