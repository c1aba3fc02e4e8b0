"""Modules as architectures: what captures them, what is left as it was, and what is refused."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.importers import ATTRIBUTES, read_module
from importers.networks import NETWORKS, Bottleneck, Function, ResNet

X = torch.ones(2, 4)


def pick(x):
    """Branch on data, as one step of torch.fx's trace."""
    return x.relu() if x.sum() > 0 else x.tanh()


torch.fx.wrap("pick")


class WithLinear(nn.Module):
    """A module with one linear map, for subclasses to call."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)


class Branch(WithLinear):
    def forward(self, x):
        return self.linear(x) if x.sum() > 0 else x


class Forever(WithLinear):
    def forward(self, x):
        while x.sum() > 0:
            x = self.linear(x)
        return x


class Picks(WithLinear):
    def forward(self, x):
        return pick(self.linear(x))


class Restless(WithLinear):
    """Changes itself, its buffers and its input whenever it runs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(1))
        self.norm, self.calls, self.drop = nn.BatchNorm1d(4), 0, nn.Dropout()

    def forward(self, x):
        self.calls += 1
        self.steps += 1
        self.last = x
        x.mul_(2)
        return self.drop(self.norm(self.linear(x))) * self.steps


@pytest.fixture
def without_export(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("not today\nand not tomorrow")

    monkeypatch.setattr(torch.export, "export", fail)


@pytest.fixture(params=["torch.export", "torch.fx"])
def way(request):
    """Both ways to capture a module, one after the other."""
    if request.param == "torch.fx":
        request.getfixturevalue("without_export")
    return request.param


def operations(imported):
    return imported.architecture.operations


def state_of(module):
    """Return every object that a module and its parts hold, by where it is."""
    return {
        (name, table, key): value
        for name, part in module.named_modules()
        for table in ("__dict__", "_buffers", "_parameters", "_modules")
        for key, value in getattr(part, table).items()
    }


def test_a_chain():
    module = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
    imported = read_module(module, torch.zeros(2, 3, 9, 9))
    assert operations(imported) == ("input", "conv", "batch_norm", "relu", "output")
    assert imported.architecture.edges == ((0, 1), (1, 2), (2, 3), (3, 4))
    attributes = dict(imported.architecture.attributes)
    assert attributes["kernel"] == (0, 3, 0, 0, 0)
    assert attributes["stride"] == (0, 2, 0, 0, 0)
    assert attributes["parameters"] == (0, 8 * 27 + 8, 16, 0, 0)
    assert attributes["flops"] == (0, 2 * 2 * 16 * 8 * 27, 0, 0, 0)
    assert imported.report.source == "Sequential (torch.export)"
    assert imported.report.warnings == ()


def test_options():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    imported = read_module(module, torch.zeros(1, 3, 9, 9), fuse=True, attributes=["kernel"])
    assert operations(imported) == ("input", "conv_relu", "output")
    assert imported.architecture.attributes == (("kernel", (0, 3, 0)),)


@pytest.mark.parametrize("inputs", [(X, X), [X, X], {"a": X, "b": X}, {"b": X, "a": X}])
def test_inputs_by_place_and_by_name(inputs):
    class Join(WithLinear):
        def forward(self, a, b, *, c=None):
            return self.linear(a) * b if c is None else c

    imported = read_module(Join(), inputs)
    assert sorted(operations(imported)) == ["input", "input", "linear", "multiply", "output"]


def test_inputs_may_be_nested_and_no_tensors():
    class Nested(nn.Module):
        def forward(self, tensors, by_name, factor, flag=False):
            return {"sum": tensors[0] * factor + by_name["b"].relu(), "none": None, "flag": flag}

    got = read_module(Nested(), ([X, X], {"b": X}, 3))
    assert operations(got) == ("input", "input", "relu", "add", "output")


@pytest.mark.parametrize("training", [True, False])
def test_the_module_is_left_as_it_was(way, training):
    module = Restless().train(training)
    module.norm.eval()
    before, numbers = state_of(module), {k: v.clone() for k, v in module.state_dict().items()}
    generator, x = torch.get_rng_state(), torch.ones(2, 4, requires_grad=True).clone()
    imported = read_module(module, x)
    assert way in imported.report.source
    assert operations(imported) == ("input", "linear", "batch_norm", "output")
    after = state_of(module)
    assert before.keys() == after.keys()
    assert [place for place, value in after.items() if value is not before[place]] == []
    assert all(torch.equal(numbers[name], value) for name, value in module.state_dict().items())
    assert torch.equal(x, torch.ones(2, 4))
    assert torch.equal(generator, torch.get_rng_state())
    assert all(weight.grad is None and weight.requires_grad for weight in module.parameters())
    assert module.training is training
    assert not module.norm.training


def test_nothing_is_computed_on_meta():
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(100_000, 100_000), nn.ReLU(), nn.Linear(100_000, 10))
    imported = read_module(module, torch.zeros(1, 100_000))  # 40 GB, if it were real
    assert imported.report.parameters == 100_000 * 100_001 + 100_001 * 10
    assert imported.report.flops == 2 * 100_000 * 100_010


def test_a_full_size_network_has_its_published_size():
    """torchvision's table of weights: ResNet-50 has 25,557,032 parameters and 4.09 G multiply-adds."""
    with torch.device("meta"):
        module = ResNet(Bottleneck, (3, 4, 6, 3), width=64, classes=1000)
    report = read_module(module, torch.zeros(1, 3, 224, 224)).report
    assert report.parameters == 25_557_032
    assert report.flops / 2 == pytest.approx(4.09e9, rel=1e-3)


@pytest.mark.usefixtures("without_export")
def test_nothing_is_computed_on_meta_by_torch_fx_either():
    with torch.device("meta"):
        module = nn.Linear(100_000, 100_000)
    imported = read_module(module, torch.zeros(1, 100_000))
    assert imported.report.parameters == 100_000 * 100_001
    assert "torch.fx" in imported.report.source


def test_random_numbers_are_drawn_by_nobody(way):
    class Draws(WithLinear):
        def forward(self, x):
            return self.linear(x) + torch.rand(4)

    module, state = Draws(), torch.get_rng_state()
    read_module(module, X)
    with pytest.raises(InvalidArchitectureError):
        read_module(module, torch.ones(2, 3))  # torch.export draws some where it fails
    assert torch.equal(state, torch.get_rng_state())


def test_no_warnings_and_nothing_on_stderr(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_module(nn.LSTM(4, 3), torch.zeros(2, 1, 4))  # torch.export warns of its weights
        read_module(Picks(), X)  # and prints the graph where it fails
    assert capfd.readouterr() == ("", "")


def test_names_do_not_collide():
    class SameNames(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("x", torch.ones(4))
            self.relu = nn.ParameterList([torch.ones(4)] * 9)

        def forward(self, x):
            return nn.functional.glu((x * self.x).relu() + self.relu[0] + self.relu[1] * self.relu[2])

    imported = read_module(SameNames(), X)
    assert operations(imported) == ("input", "scale", "relu", "bias", "bias", *GATED, "output")


GATED = ("slice", "slice", "sigmoid", "multiply")


def test_tied_weights_count_once(way):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
            self.head.weight = self.table.weight

        def forward(self, tokens):
            return self.head(self.table(tokens))

    imported = read_module(Tied(), torch.zeros(1, 3, dtype=torch.int64))
    assert imported.report.parameters == 20
    assert dict(imported.architecture.attributes)["parameters"] == (0, 20, 0, 0)


def test_a_repeated_module_owns_its_weights_once(way):
    class Twice(WithLinear):
        def forward(self, x):
            return self.linear(self.linear(x).relu())

    imported = read_module(Twice(), X)
    assert dict(imported.architecture.attributes)["parameters"] == (0, 20, 0, 0, 0)
    assert dict(imported.architecture.attributes)["flops"] == (0, 64, 0, 64, 0)


def test_weights_that_reach_no_output_are_left_out():
    class Idle(WithLinear):
        def forward(self, x, y):
            self.linear(y)
            return x.relu()

    imported = read_module(Idle(), (X, X))
    assert operations(imported) == ("input", "relu", "output")
    assert imported.report.parameters == 0
    assert imported.report.dropped == 1
    assert imported.report.warnings == ("left out inputs that reach no output: 1",)


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda x, f: torch.no_grad()(f)(x) + x, ("linear", "add")),
        (lambda x, f: torch.autocast("cpu")(f)(x) + x, ("linear", "add")),
        (lambda x, f: checkpoint(lambda x: f(x).relu(), x, use_reentrant=False), ("linear", "relu")),
    ],
    ids=["no_grad", "autocast", "checkpoint"],
)
def test_what_wraps_code_is_seen_through(forward, expected):
    imported = read_module(Function(forward, f=nn.Linear(4, 4)), X)
    assert operations(imported) == ("input", *expected, "output")
    assert imported.report.parameters == 20


def test_control_flow_is_one_node():
    class Chooses(WithLinear):
        def __init__(self):
            super().__init__()
            self.other = nn.Linear(4, 4)

        def forward(self, x):
            return torch.cond(x.sum() > 0, lambda x: self.linear(x), lambda x: self.other(x), (x,)).relu()

    imported = read_module(Chooses(), X)
    assert operations(imported) == ("input", "sum", "compare", "if", "relu", "output")
    assert imported.architecture.edges == ((0, 1), (1, 2), (0, 3), (2, 3), (3, 4), (4, 5))
    assert imported.report.control_flow == 1
    assert imported.report.parameters == 40


def test_a_loop_is_one_node():
    class Repeats(WithLinear):
        def forward(self, x):
            def goes_on(i, x):
                return i < 3

            def body(i, x):
                return i + 1, self.linear(x)

            return torch._higher_order_ops.while_loop(goes_on, body, (torch.zeros(()), x))[1]

    imported = read_module(Repeats(), X)
    assert operations(imported) == ("input", "loop", "output")
    assert (imported.report.control_flow, imported.report.parameters) == (1, 20)


def test_control_flow_on_sizes_goes_the_way_of_the_example():
    class BySize(WithLinear):
        def forward(self, x):
            for _ in range(x.shape[0]):
                x = self.linear(x)
            return x

    assert operations(read_module(BySize(), X)) == ("input", "linear", "linear", "output")


def test_operators_outside_the_vocabulary_are_counted():
    @torch.library.custom_op("archflow_tests::swirl", mutates_args=())
    def swirl(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    swirl.register_fake(torch.empty_like)
    imported = read_module(Function(lambda x: torch.special.i0(swirl(swirl(x)))), X)
    assert operations(imported) == (
        "input",
        "archflow_tests.swirl",
        "archflow_tests.swirl",
        "aten.special_i0",
        "output",
    )
    assert imported.report.unknown == {"archflow_tests.swirl": 2, "aten.special_i0": 1}


def test_torch_fx_reads_what_torch_export_cannot():
    imported = read_module(Picks(), X)
    assert imported.report.source == "Picks (torch.fx)"
    assert operations(imported)[:2] == ("input", "linear")
    assert operations(imported)[2] in ("relu", "tanh")  # whichever the random weights lead to
    first, second = imported.report.warnings
    assert first.startswith("read with torch.fx, because torch.export failed: ")
    assert "data-dependent" in first
    assert second == "what depends on numbers in tensors went the way of the example inputs"


def test_numpy_in_between_is_captured():
    module = Function(lambda x: x.relu() * float(x.detach().numpy().mean()))
    assert operations(read_module(module, X)) == ("input", "relu", "mean", "multiply", "output")


@pytest.mark.parametrize("build", [Branch, Forever])
def test_what_neither_can_read_is_refused(build):
    message = (
        rf"^{build.__name__}: torch.export fails \(.*data-dependent.*\) and so does torch.fx "
        r"\(.*control flow\); check the example inputs, move control flow .* or read an ONNX file"
    )
    module = build()
    with pytest.raises(InvalidArchitectureError, match=message) as caught:
        read_module(module, X)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert module.training


@pytest.mark.usefixtures("without_export")
def test_only_the_first_line_of_a_reason_is_told():
    with pytest.raises(InvalidArchitectureError, match=r"RuntimeError: not today\) and so does torch.fx"):
        read_module(Branch(), X)


def test_example_inputs_of_another_shape_are_refused():
    message = r"Linear: torch.export fails .*; check the example inputs"
    with pytest.raises(InvalidArchitectureError, match=message):
        read_module(nn.Linear(4, 4), torch.ones(2, 3))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "example_inputs is NoneType; give a tensor, a tuple of arguments, or a dictionary"),
        (3, "example_inputs is int; give a tensor"),
        ("x", "example_inputs is str; give a tensor"),
        ((), r"example_inputs do not fit Linear.forward: missing a required argument: 'input'"),
        ((X, X), "example_inputs do not fit Linear.forward: too many positional arguments"),
        ({"x": X}, "example_inputs do not fit Linear.forward: missing a required argument"),
        ({1: X}, "example_inputs do not fit Linear.forward"),
    ],
)
def test_example_inputs_that_do_not_fit_are_refused(inputs, message):
    with pytest.raises(UsageError, match=message):
        read_module(nn.Linear(4, 4), inputs)


@pytest.mark.parametrize("value", [None, "resnet", nn.Linear, lambda x: x, {"weight": X}])
def test_what_is_no_module_is_refused(value):
    with pytest.raises(UsageError, match=r"give an nn\.Module or an ExportedProgram"):
        read_module(value, X)


def test_parameters_without_a_size_are_refused():
    lazy = nn.Sequential(nn.LazyLinear(4))
    with pytest.raises(UsageError, match="Sequential has parameters without a size yet; run it once"):
        read_module(lazy, X)
    assert isinstance(lazy[0], nn.LazyLinear)


@pytest.mark.parametrize(
    ("module", "inputs"),
    [(Function(lambda x: torch.ones(3)), X), (nn.Sequential(), ()), (Function(lambda x: x.shape[0]), X)],
    ids=["constant", "nothing", "a number"],
)
def test_a_module_whose_output_does_not_depend_on_inputs_is_refused(module, inputs):
    with pytest.raises((InvalidArchitectureError, UsageError)):
        read_module(module, inputs)


def test_a_module_without_operators_joins_input_and_output():
    imported = read_module(nn.Identity(), X)
    assert operations(imported) == ("input", "output")
    assert imported.architecture.edges == ((0, 1),)


def test_unknown_attributes_are_refused_before_any_work():
    with pytest.raises(UnknownNameError, match="unknown attribute 'kernels'"):
        read_module(Branch(), X, attributes=["kernels"])


class TestExportedPrograms:
    @pytest.mark.filterwarnings("ignore:.*were assigned during export:UserWarning")  # of torch's own LSTM
    @pytest.mark.parametrize("name", NETWORKS)
    def test_equal_the_module(self, name):
        network = NETWORKS[name]
        program = torch.export.export(network.module(), network.inputs(), strict=False)
        expected = read_module(network.module(), network.inputs())
        assert read_module(program).architecture == expected.architecture

    @pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # by torch itself
    @pytest.mark.parametrize("name", [name for name in NETWORKS if name != "tagger"])
    def test_equal_the_module_when_decomposed(self, name):
        network = NETWORKS[name]
        program = torch.export.export(network.module(), network.inputs(), strict=False).run_decompositions()
        expected = read_module(network.module(), network.inputs())
        assert read_module(program).architecture == expected.architecture

    def test_open_sizes_are_those_of_the_example(self):
        module, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.ReLU()), torch.ones(2, 3, 8, 8)
        batch = torch.export.Dim("batch")
        program = torch.export.export(module, (x,), dynamic_shapes=({0: batch},), strict=False)
        assert read_module(program).architecture == read_module(module, x).architecture

    def test_have_their_inputs_already(self):
        program = torch.export.export(nn.ReLU(), (X,), strict=False)
        with pytest.raises(UsageError, match="has its example inputs already; leave them out"):
            read_module(program, X)


def test_every_attribute_is_there_by_default():
    module = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2, dilation=2, stride=2), nn.Flatten(2), Attends())
    attributes = dict(read_module(module, torch.zeros(1, 4, 12, 16)).architecture.attributes)
    assert tuple(attributes) == ATTRIBUTES


class Attends(nn.Module):
    def forward(self, x):
        x = x[:, :, :16].unflatten(2, (2, 8)).transpose(1, 2)
        return F.scaled_dot_product_attention(x, x, x)
