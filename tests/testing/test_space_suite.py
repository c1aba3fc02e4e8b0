"""The suite passes every space of the library, and refuses spaces with one thing wrong."""

import numpy as np
import pytest

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.spaces import SPACES, Free, NASBench101, NASBench201
from archflow.testing import TEXTS, TOY_OPERATIONS, check_space, toy_table


def test_nasbench201_conforms():
    check_space(NASBench201())


def test_nasbench101_conforms():
    check_space(NASBench101())


def test_a_closed_free_space_conforms():
    examples = [architecture for architecture in toy_table(20) if architecture.n_nodes > 3]
    check_space(Free(TOY_OPERATIONS), examples)


def test_every_space_has_a_text_that_it_reads():
    for name, space in SPACES.items():
        assert isinstance(space().parse(TEXTS[name]), Architecture)


class Pairs:
    """A space that does everything right: two operations in a row, written as `conv pool`."""

    name = "pairs"
    size = 9
    operations = Operations.of(["conv", "pool", "skip"])
    choices = ("conv", "pool", "skip")
    wiring = ((0, 1), (1, 2), (2, 3))

    def parse(self, text):
        words = text.strip(" \n").split(" ")
        if len(words) != 2 or not set(words) <= set(self.choices):
            raise InvalidArchitectureError("a pair is two operations with a space between")
        return Architecture(("input", *words, "output"), self.wiring)

    def format(self, architecture):
        if architecture.edges != self.wiring or not set(architecture.operations[1:3]) <= set(self.choices):
            raise InvalidArchitectureError("not a pair")
        return " ".join(architecture.operations[1:3])

    def all(self):
        rows = [self.parse(f"{first} {second}") for first in self.choices for second in self.choices]
        return ArchitectureTable.of(rows, self.operations)

    def sample(self, count, rng):
        if not 0 <= count <= self.size:
            raise UsageError(f"cannot draw {count} of {self.size} pairs")
        return self.all()[rng.choice(self.size, size=count, replace=False)]

    def mutate(self, architecture, rng):
        names = list(architecture.operations)
        node = int(rng.integers(1, 3))
        names[node] = str(rng.choice([choice for choice in self.choices if choice != names[node]]))
        return Architecture(tuple(names), architecture.edges)

    def parameters(self, table):
        convolutions = table.columns.operation_ids == table.operations.id("conv")
        counts = np.bincount(table.columns.node_rows()[convolutions], minlength=len(table))
        return counts.astype(np.float64)


class Endless(Pairs):
    size = None

    def all(self):
        raise UsageError("no end")

    def sample(self, count, rng):
        raise UsageError("no end")


class Drawn(Endless):
    def sample(self, count, rng):
        return Pairs().sample(count, rng)


class Unmoved(Endless):
    def sample(self, count, rng):
        return Pairs().sample(count, np.random.default_rng(0))


def check(space):
    check_space(space, list(Pairs().all()) if isinstance(space, Foreign) else (), samples=5)


def test_a_small_space_conforms():
    check(Pairs())


def test_a_space_without_end_needs_examples():
    with pytest.raises(AssertionError, match="a space without end needs examples"):
        check(Endless())
    check_space(Endless(), list(Pairs().all()))


def test_a_space_without_end_may_draw_samples():
    check(Drawn())
    with pytest.raises(AssertionError, match="other generators must give other samples"):
        check(Unmoved())


def test_a_missing_method_is_named():
    class Unfinished:
        name = "unfinished"
        operations = Pairs.operations
        size = 9
        parse, format, all, sample = Pairs.parse, Pairs.format, Pairs.all, Pairs.sample

    with pytest.raises(AssertionError, match="a space must offer mutate, parameters"):
        check(Unfinished())


class TooMany(Pairs):
    size = 10


class Repeating(Pairs):
    def sample(self, count, rng):
        table = super().sample(count, rng)
        return ArchitectureTable.concatenate([table[:1], table[:1], table[2:]]) if count > 1 else table


class Unrepeatable(Pairs):
    def __init__(self):
        self.hidden = np.random.default_rng(0)

    def sample(self, count, rng):
        return super().sample(count, self.hidden)


class Fixed(Pairs):
    def sample(self, count, rng):
        return super().sample(count, np.random.default_rng(0))


class Generous(Pairs):
    def sample(self, count, rng):
        return super().sample(min(max(count, 0), 9), rng)


class Lossy(Pairs):
    def format(self, architecture):
        return f"conv {super().format(architecture).split(' ')[1]}"


class Mangling(Pairs):
    def parse(self, text):
        architecture = super().parse(text)
        return Architecture(architecture.operations, architecture.edges[1:])

    def all(self):
        return Pairs().all()


class Foreign(Endless):
    operations = Operations.of(["conv", "skip"])


class Fussy(Pairs):
    def parse(self, text):
        if text != text.strip():
            raise InvalidArchitectureError("spaces around it")
        return super().parse(text)


class Idle(Pairs):
    def mutate(self, architecture, rng):
        return architecture


class Restless(Pairs):
    def mutate(self, architecture, rng):
        return super().mutate(architecture, np.random.default_rng())


class Escaping(Pairs):
    def mutate(self, architecture, rng):
        return Architecture(("input", "lstm", "pool", "output"), architecture.edges)


class Unbounded(Pairs):
    def parameters(self, table):
        return super().parameters(table) / 0.0 if len(table) else super().parameters(table)


class Integral(Pairs):
    def parameters(self, table):
        return super().parameters(table).astype(np.int64)


class Comparing(Pairs):
    def parameters(self, table):
        counts = super().parameters(table)
        return counts - counts.min(initial=np.inf)


class Crashing(Pairs):
    def parse(self, text):
        first, second = text.strip(" \n").split(" ")
        return super().parse(f"{first} {second}")


class Recursive(Pairs):
    def parse(self, text):
        self.depth(text, 0)
        return super().parse(text)

    def depth(self, text, position):
        return self.depth(text, position + 1) if text[position : position + 1] == "[" else position


class Gullible(Pairs):
    def parse(self, text):
        return super().parse("conv conv" if text.startswith("{") else text)


class Verbose(Pairs):
    def parse(self, text):
        try:
            return super().parse(text)
        except InvalidArchitectureError as error:
            raise InvalidArchitectureError(f"{error}, not {text!r}") from None


class Undiscerning(Pairs):
    def format(self, architecture):
        return " ".join(architecture.operations[1:3])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (TooMany, r"size is 10, but all\(\) has 9 architectures"),
        (Repeating, "samples must be distinct"),
        (Unrepeatable, "equal generators must give equal samples"),
        (Fixed, "other generators must give other samples"),
        (Generous, "-1 samples must raise UsageError"),
        (Lossy, "samples must be distinct"),
        (Fussy, "must be written and read: spaces around it"),
        (Idle, "a mutation must differ"),
        (Restless, "equal generators must give equal mutations"),
        (Escaping, "must be written and read: not a pair"),
        (Mangling, "must be read as what was written"),
        (Foreign, "operations outside the vocabulary: {'pool'}"),
        (Unbounded, "parameters must be finite"),
        (Integral, "parameters must be float64, not int64"),
        (Comparing, "parameters must be the same one by one"),
        (Crashing, "must raise InvalidArchitectureError, not ValueError"),
        (Recursive, "must raise InvalidArchitectureError, not RecursionError"),
        (Gullible, "must not be an architecture"),
        (Verbose, "must be one or two lines"),
        (Undiscerning, "a foreign architecture's format must raise InvalidArchitectureError"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_one_thing_wrong_is_found(broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())
