"""How fast ONNX files become architectures, and whether their attributes tell a predictor anything.

    python benchmarks/onnx_import.py
    python benchmarks/onnx_import.py --sanity

Writes 200 networks of five families with 50 to 600 operators each, weights included, and reads them back on
one core, beside what onnx takes to parse the files. With --sanity, methods learn from 50 of the networks how
many parameters they have, without the attributes that say so, parameters and flops, and rank the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from archflow.importers import ATTRIBUTES, OnnxFolder, read_onnx
from archflow.metrics import kendall_tau
from archflow.predictors import Predictor
from harness import Timing, measure_in_turn, parser, pin_threads, print_hardware, print_timings, write_json

COUNT = 200
SMALLEST, LARGEST = 50, 600  # operators
LABELS = 50
METHODS = ("gin", "onehot-rf", "random")
HIDDEN = ("parameters", "flops")


class Writer:
    """An ONNX graph in the making, over an image or tokens.

    Args:
        shape: The shape of the input.
        rng: Where weights come from.
    """

    def __init__(self, shape: Sequence[int], rng: np.random.Generator) -> None:
        self.nodes: list[Any] = []
        self._weights: list[Any] = []
        self._shape, self._rng = shape, rng

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator and return the name of what it gives."""
        made = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [made], **attributes))
        return made

    def weight(self, *shape: int) -> str:
        """Add random weights."""
        return self.constant(self._rng.standard_normal(shape, dtype=np.float32))

    def constant(self, array: NDArray[Any]) -> str:
        """Add a constant."""
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def number(self, value: float) -> str:
        """Add a constant of one number."""
        return self.constant(np.array(value, dtype=np.float32))

    def convolution(self, x: str, inside: int, outside: int, side: int, **attributes: Any) -> str:
        """Add a convolution that keeps the size of the image, or halves it, and its batch norm."""
        weight = self.weight(outside, inside // attributes.get("group", 1), side, side)
        made = self("Conv", x, weight, pads=[side // 2] * 4, **attributes)
        return self("BatchNormalization", made, *(self.weight(outside) for _ in range(4)))

    def linear(self, x: str, inside: int, outside: int) -> str:
        """Add a linear map of tokens with its bias."""
        return self("Add", self("MatMul", x, self.weight(inside, outside)), self.weight(outside))

    def head(self, x: str, inside: int) -> str:
        """Add a classifier of images."""
        pooled = self("Flatten", self("GlobalAveragePool", x))
        return self("Gemm", pooled, self.weight(10, inside), self.weight(10), transB=1)

    def save(self, path: Path, output: str) -> None:
        """Write the file, at operator set 13."""
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self._shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self._weights,
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def residual(to: Writer, rng: np.random.Generator) -> str:
    """Stages of blocks of two 3x3 convolutions."""
    inside = width = int(rng.integers(8, 25))
    x = to("Relu", to.convolution("x", 3, width, 3))
    for stage in range(int(rng.integers(2, 5))):
        for block in range(int(rng.integers(2, 16))):
            stride = 2 if stage and not block else 1
            made = to("Relu", to.convolution(x, inside, width, 3, strides=[stride] * 2))
            made = to.convolution(made, width, width, 3)
            if inside != width or stride > 1:
                x = to.convolution(x, inside, width, 1, strides=[stride] * 2)
            x, inside = to("Relu", to("Add", made, x)), width
        width = min(2 * width, 64)
    return to.head(x, inside)


def inverted(to: Writer, rng: np.random.Generator) -> str:
    """Inverted residuals of several kernels, some with squeeze and excitation."""

    def swish(x: str) -> str:
        line = to("Clip", to("Add", x, to.number(3)), to.number(0), to.number(6))
        return to("Div", to("Mul", x, line), to.number(6))

    inside = int(rng.integers(8, 17))
    x = swish(to.convolution("x", 3, inside, 3, strides=[2, 2]))
    for _ in range(int(rng.integers(3, 25))):
        side, expansion = int(rng.choice([3, 5, 7])), int(rng.choice([2, 3, 4, 6]))
        width = min(inside + int(rng.integers(0, 9)), 48)
        wide = inside * expansion
        made = swish(to.convolution(x, inside, wide, 1))
        made = swish(to.convolution(made, wide, wide, side, group=wide))
        if rng.random() < 0.5:
            squeezed = to("Conv", to("GlobalAveragePool", made), to.weight(wide // 4, wide, 1, 1))
            gate = to("HardSigmoid", to("Conv", to("Relu", squeezed), to.weight(wide, wide // 4, 1, 1)))
            made = to("Mul", made, gate)
        made = to.convolution(made, wide, width, 1)
        x, inside = to("Add", made, x) if width == inside else made, width
    return to.head(x, inside)


def dense(to: Writer, rng: np.random.Generator) -> str:
    """Layers that each add channels to those before."""
    growth, inside = int(rng.integers(4, 13)), 16
    x = to.convolution("x", 3, inside, 3)
    for _ in range(int(rng.integers(2, 4))):
        for _ in range(int(rng.integers(4, 20))):
            made = to("Relu", to("BatchNormalization", x, *(to.weight(inside) for _ in range(4))))
            made = to("Relu", to.convolution(made, inside, 4 * growth, 1))
            made = to("Conv", made, to.weight(growth, 4 * growth, 3, 3), pads=[1] * 4)
            x, inside = to("Concat", x, made, axis=1), inside + growth
        x = to.convolution(x, inside, inside // 2, 1)
        x, inside = to("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), inside // 2
    return to.head(x, inside)


def branches(to: Writer, rng: np.random.Generator) -> str:
    """Modules of parallel convolutions and a pool."""
    inside = int(rng.integers(8, 25))
    x = to("Relu", to.convolution("x", 3, inside, 3))
    for _ in range(int(rng.integers(4, 30))):
        parts, width = [], int(rng.integers(4, 13))
        for side in rng.choice([1, 3, 5], size=int(rng.integers(2, 4)), replace=False).tolist():
            narrow = to("Relu", to.convolution(x, inside, width, 1))
            parts.append(to("Relu", to.convolution(narrow, width, width, side)))
        pooled = to("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4)
        parts.append(to("Relu", to.convolution(pooled, inside, width, 1)))
        x, inside = to("Concat", *parts, axis=1), width * len(parts)
    return to.head(x, inside)


def transformer(to: Writer, rng: np.random.Generator) -> str:
    """Encoder layers as exporters wrote them before there were operators for norms and activations."""
    heads, size = int(rng.choice([1, 2, 4])), int(rng.choice([8, 12, 16, 24]))
    width, ratio, tokens = heads * size, int(rng.choice([1, 2, 4])), 16

    def norm(x: str) -> str:
        centred = to("Sub", x, to("ReduceMean", x, axes=[-1]))
        variance = to("ReduceMean", to("Pow", centred, to.number(2)), axes=[-1])
        normed = to("Div", centred, to("Sqrt", to("Add", variance, to.number(1e-5))))
        return to("Add", to("Mul", normed, to.weight(width)), to.weight(width))

    def split(x: str, *order: int) -> str:
        parted = to("Reshape", x, to.constant(np.array([0, tokens, heads, size])))
        return to("Transpose", parted, perm=order)

    def gelu(x: str) -> str:
        error = to("Erf", to("Div", x, to.number(2**0.5)))
        return to("Mul", to("Mul", x, to("Add", error, to.number(1))), to.number(0.5))

    x = to("Add", to.linear("x", 32, width), to.weight(1, tokens, width))
    for _ in range(int(rng.integers(2, 13))):
        before = norm(x)
        queries, keys, values = (
            split(to.linear(before, width, width), *order)
            for order in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))
        )
        scores = to("Div", to("MatMul", queries, keys), to.number(size**0.5))
        mixed = to("MatMul", to("Softmax", scores, axis=-1), values)
        mixed = to(
            "Reshape", to("Transpose", mixed, perm=[0, 2, 1, 3]), to.constant(np.array([0, tokens, width]))
        )
        x = to("Add", x, to.linear(mixed, width, width))
        hidden = gelu(to.linear(norm(x), width, ratio * width))
        x = to("Add", x, to.linear(hidden, ratio * width, width))
    return to.linear(to("ReduceMean", norm(x), axes=[1], keepdims=0), width, 10)


IMAGES: tuple[Callable[[Writer, np.random.Generator], str], ...] = (residual, inverted, dense, branches)
FAMILIES = (*IMAGES, transformer)


def write_networks(folder: Path, count: int) -> list[int]:
    """Write that many networks, each family in turn, and return how many operators each has."""
    sizes: list[int] = []
    seed = 0
    while len(sizes) < count:
        rng = np.random.default_rng(seed)
        family = FAMILIES[len(sizes) % len(FAMILIES)]
        to = Writer((1, 3, 32, 32) if family in IMAGES else (1, 16, 32), rng)
        output, seed = family(to, rng), seed + 1
        if SMALLEST <= len(to.nodes) <= LARGEST:
            to.save(folder / f"{len(sizes):03d}-{family.__name__}.onnx", output)
            sizes.append(len(to.nodes))
    return sizes


def time_import(files: Sequence[Path], repeats: int) -> list[Timing]:
    """Time reading all files as architectures, and parsing them alone."""
    return measure_in_turn(
        [
            ("read_onnx", len(files), lambda: [read_onnx(file) for file in files]),
            ("onnx.load alone", len(files), lambda: [onnx.load(file) for file in files]),
        ],
        repeats=repeats,
    )


def rank_parameters(folder: Path, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Return Kendall's tau of each method for each draw of labels, on the other networks."""
    space = OnnxFolder(folder, attributes=set(ATTRIBUTES) - set(HIDDEN))
    table = space.all()
    parameters = np.log10(space.parameters(table))
    taus: dict[str, list[float]] = {}
    for method in METHODS:
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(table))
            labelled, others = order[:LABELS], order[LABELS:]
            predictor = Predictor(space, method, seed=seed, device="cpu")
            predictor.fit(table[labelled], parameters[labelled])
            predicted = np.asarray(predictor.predict(table[others]))
            taus.setdefault(method, []).append(kendall_tau(predicted, parameters[others]))
    return taus


def main() -> None:
    """Parse the options, run and print."""
    options = parser(__doc__)
    options.add_argument("--sanity", action="store_true", help="rank by parameters instead of timing")
    options.add_argument("--seeds", type=int, default=3, help="draws of labels with --sanity (default 3)")
    arguments = options.parse_args()
    pin_threads()
    print_hardware()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = write_networks(folder, COUNT)
        files = sorted(folder.iterdir())
        megabytes = np.mean([file.stat().st_size for file in files]) / 1e6
        print(
            f"{len(files)} files, {min(sizes)} to {max(sizes)} operators, {np.mean(sizes):.0f} on average, "
            f"{megabytes:.2f} MB each"
        )
        if arguments.sanity:
            taus = rank_parameters(folder, range(arguments.seeds))
            print(f"\nKendall's tau of parameter counts, {LABELS} labels, {len(files) - LABELS} others")
            for method, values in taus.items():
                print(f"{method:10}  {np.mean(values):.3f}  +- {np.std(values):.3f}")
            write_json(arguments.json, {}, kendall_tau=taus)
            return
        timings = time_import(files, arguments.repeats)
    title = "Import of ONNX files (archs/s: files a second)"
    print_timings(title, timings)
    write_json(arguments.json, {title: timings})


if __name__ == "__main__":
    main()
