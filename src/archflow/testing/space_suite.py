"""What every search space must do: read and write its texts, draw, change and count its architectures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from archflow.errors import InvalidArchitectureError, UsageError
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable
from archflow.protocols import Space
from archflow.testing.require import require

TEXTS = {
    "nasbench201": "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    "nasbench101": '{"matrix":[[0,1],[0,0]],"ops":["input","output"]}',
    "darts": json.dumps(
        {
            kind: value
            for name in ("normal", "reduce")
            for kind, value in (
                (name, [["sep_conv_3x3", 0], ["sep_conv_3x3", 1]] * 4),
                (f"{name}_concat", [2, 3, 4, 5]),
            )
        }
    ),
    "enas": json.dumps(
        {
            kind: value
            for name in ("normal", "reduce")
            for kind, value in (
                (name, [["sep_conv_3x3", 0], ["sep_conv_3x3", 0]] * 5),
                (f"{name}_concat", [2, 3, 4, 5, 6]),
            )
        }
    ),
    "nasbench_asr": "[[1,0],[1,0,0],[1,0,0,0]]",
    "nasbench_graph": "0,0,1,2|gcn,gat,skip,fc",
    "nasbench_macro": "02012100",
    "transnas_micro": "64-41414-1_02_333",
    "transnas_macro": "64-232323-basic",
    "nasbench_nlp": '{"h_new_0":{"op":"linear","input":["x","h_prev_0"]}}',
    "nats_size": "16:16:8:64:32",
    "mnasnet": "6,3,1,0|4,5,2,0|6,3,1,0|4,5,2,0|6,3,1,0|4,5,2,0|6,3,1,0",
    "fbnet": ",".join(["k5_e6", "skip", "k3_e1_g2"] * 7 + ["k5_e6"]),
    "gpt": json.dumps(
        {"embed_dim": 384, "n_layer": 10, "n_head": [12, 4] * 5, "mlp_ratio": [2, 3] * 5, "bias": False}
    ),
    "free": "input,conv,relu,output;0>1,1>2,2>3",
}
"""One text of each space, by the space's name; to the other spaces they are foreign."""

_ENUMERABLE = 40_000
_MAX_MESSAGE = 2_000


def check_space(space: Space, examples: Sequence[Architecture] = (), *, samples: int = 20) -> None:
    """Check that a search space fulfils `archflow.protocols.Space`.

    Texts round-trip on samples, mutations and, in small spaces, on all architectures; `size` is what `all`
    returns; samples are distinct, of the space's vocabulary and repeatable; mutations are valid and differ;
    parameter counts are finite and the same one by one; and every other text, however long, deep or damaged,
    raises `InvalidArchitectureError` with a short message and nothing else.

    Args:
        space: The space.
        examples: Architectures of the space; needed where it cannot be sampled.
        samples: Number of architectures to draw.

    Raises:
        AssertionError: A rule is broken; the message says which.
    """
    missing = [name for name in vars(Space) if not name.startswith("_") and not hasattr(space, name)]
    require(not missing, f"a space must offer {', '.join(missing)}")
    require(space.name.isidentifier(), f"a space's name must be a plain word, not {space.name!r}")
    require({INPUT, OUTPUT} <= set(space.operations.names), "the vocabulary must name input and output")
    if space.size is None:
        _require_raises(UsageError, space.all, "all() of a space without end")
    if space.size is not None or _can_be_sampled(space):
        _check_samples(space, samples)
        examples = [*examples, *space.sample(samples, np.random.default_rng(0))]
    if space.size is not None and space.size <= _ENUMERABLE:
        _check_all(space)
    require(bool(examples), "a space without end needs examples")
    for architecture in examples:
        _check_round_trip(space, architecture)
        _check_mutation(space, architecture)
    _check_foreign_architecture(space)
    _check_parameters(space, ArchitectureTable.of(examples, space.operations))
    _check_texts(space, [space.format(architecture) for architecture in examples])


def _can_be_sampled(space: Space) -> bool:
    try:
        space.sample(0, np.random.default_rng(0))
    except UsageError:
        return False
    return True


def _check_samples(space: Space, count: int) -> None:
    table = space.sample(count, np.random.default_rng(0))
    texts = [space.format(architecture) for architecture in table]
    again = [space.format(architecture) for architecture in space.sample(count, np.random.default_rng(0))]
    other = [space.format(architecture) for architecture in space.sample(count, np.random.default_rng(1))]
    require(len(texts) == count, f"asked for {count} samples, got {len(texts)}")
    require(len(set(texts)) == count, "samples must be distinct")
    require(texts == again, "equal generators must give equal samples")
    require(texts != other, "other generators must give other samples")
    require(table.operations == space.operations, "samples must be over the space's vocabulary")
    require(len(space.sample(0, np.random.default_rng(0))) == 0, "no samples must make an empty table")
    rng = np.random.default_rng(0)
    _require_raises(UsageError, lambda: space.sample(-1, rng), "-1 samples")
    if (size := space.size) is not None:
        _require_raises(UsageError, lambda: space.sample(size + 1, rng), "more samples than there are")


def _check_all(space: Space) -> None:
    table = space.all()
    require(len(table) == space.size, f"size is {space.size}, but all() has {len(table)} architectures")
    require(table.operations == space.operations, "all() must be over the space's vocabulary")
    texts = [space.format(architecture) for architecture in table]
    require(len(set(texts)) == len(texts), "all() must not repeat an architecture")
    for row in np.random.default_rng(0).integers(0, len(table), size=200):
        _check_round_trip(space, table[row])


def _check_round_trip(space: Space, architecture: Architecture) -> str:
    try:
        text = space.format(architecture)
        same = space.parse(text) == architecture and space.format(space.parse(f"  {text}\n")) == text
    except InvalidArchitectureError as error:
        raise AssertionError(f"{architecture} must be written and read: {error}") from error
    require(same, f"{text} must be read as what was written, with spaces around it or not")
    unknown = set(architecture.operations) - set(space.operations.names)
    require(not unknown, f"{text} has operations outside the vocabulary: {unknown}")
    return text


def _check_mutation(space: Space, architecture: Architecture) -> None:
    for seed in range(5):
        neighbour = space.mutate(architecture, np.random.default_rng(seed))
        text = _check_round_trip(space, neighbour)
        require(neighbour != architecture, f"a mutation must differ; {text} does not")
        again = space.mutate(architecture, np.random.default_rng(seed))
        require(neighbour == again, f"equal generators must give equal mutations of {text}")


def _check_foreign_architecture(space: Space) -> None:
    foreign = Architecture((INPUT, "no > operation", OUTPUT), ((0, 1), (1, 2)))
    _require_raises(
        InvalidArchitectureError, lambda: space.format(foreign), "a foreign architecture's format"
    )


def _check_parameters(space: Space, table: ArchitectureTable) -> None:
    counts = space.parameters(table)
    require(counts.shape == (len(table),), f"parameters must be ({len(table)},), not {counts.shape}")
    require(counts.dtype == np.float64, f"parameters must be float64, not {counts.dtype}")
    require(bool((np.isfinite(counts) & (counts >= 0)).all()), "parameters must be finite and not negative")
    alone = [space.parameters(table[[row]])[0] for row in range(len(table))]
    require(counts.tolist() == alone, "parameters must be the same one by one")
    require(space.parameters(table[:0]).shape == (0,), "an empty table must have no parameter counts")


def _check_texts(space: Space, own: Sequence[str]) -> None:
    if space.name in TEXTS and TEXTS[space.name] not in own:
        _read_or_refuse(space, TEXTS[space.name])
    for text in _garbage(space.name):
        require(not _read_or_refuse(space, text), f"{text[:80]!r} must not be an architecture")
    rng = np.random.default_rng(0)
    for text in own:
        for damaged in _damaged(text, rng):
            _read_or_refuse(space, damaged)


def _garbage(name: str) -> Iterator[str]:
    """Yield texts that belong to no space, or to another one than the named."""
    yield from ("", " ", "\n" * 40, "\0", "\x1b[2J", "\ud800")
    yield from ("null", "[]", "{}", "[[]]", '""', "-1", "1e999")
    yield from ("x" * 2_000_000, "9" * 10_000, "|" * 100_000, "0,1" * 50_000, ">" * 100_000)
    for opened, closed in (("[", "]"), ('{"matrix":', "}"), ('{"ops":[', "]}")):
        yield opened * 100_000
        yield opened * 100_000 + closed * 100_000
    yield from (text for owner, text in TEXTS.items() if owner != name)


def _damaged(text: str, rng: np.random.Generator) -> Iterator[str]:
    """Yield texts near a good one; some of them may be good too."""
    yield from (text[:end] for end in range(0, len(text), 1 + len(text) // 40))
    yield text + text
    yield text[::-1]
    extras = ("\0", "\n", "\u2028", "\ud800", "\u0663", "-", " ", "1", "x" * 3_000, "9" * 5_000, "[" * 3_000)
    for extra in extras:
        begin, end = np.sort(rng.integers(0, len(text) + 1, size=2))
        yield text[:begin] + extra + text[begin:]
        yield text[:begin] + extra + text[end:]
    words = [part for part in text.replace(",", " ").replace("|", " ").split() if len(part) > 2]
    for word in words[:8]:
        yield text.replace(word, "x" * 3_000 + word, 1)


def _read_or_refuse(space: Space, text: str) -> bool:
    """Return whether the space reads the text; one that it reads must be written and read again."""
    try:
        architecture = space.parse(text)
    except InvalidArchitectureError as error:
        message = str(error)
        short = len(message) <= _MAX_MESSAGE and message.count("\n") <= 1
        require(short, f"the error for {text[:80]!r} must be one or two lines, not {len(message)} characters")
        return False
    except Exception as error:
        kind = type(error).__name__
        raise AssertionError(
            f"parse({text[:80]!r}) must raise InvalidArchitectureError, not {kind}: {error!s:.200}"
        ) from error
    _check_round_trip(space, architecture)
    return True


def _require_raises(kind: type[Exception], call: Callable[[], object], what: str) -> None:
    try:
        call()
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"{what} must raise {kind.__name__}, not {type(error).__name__}") from error
    raise AssertionError(f"{what} must raise {kind.__name__}")
