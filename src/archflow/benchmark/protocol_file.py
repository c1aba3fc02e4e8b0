"""A benchmark protocol as a YAML file: docs/benchmark.md has the schema."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from archflow import spaces
from archflow.benchmark.protocol import JsonDict, Protocol, Selection, SpaceEntry
from archflow.benchmark.settings import (
    NO_PRETEXT,
    PUBLISHED_PRETEXT,
    SECTIONS,
    merged,
    read_form,
    read_sections,
    read_value,
    resolve,
    resolve_plain,
)
from archflow.datasets import PROTOCOL_SEEDS
from archflow.encoders import ENCODERS
from archflow.errors import short, unknown_name
from archflow.predictors.methods import METHODS
from archflow.spaces.words import unknown
from archflow.spaces.yaml_parts import Part, read_parts

SUFFIXES = (".yaml", ".yml")
EMBEDDED = "digits"
"""The table that ships with archflow."""

_NEEDED = ("name", "spaces", "labels", "methods")
_KEYS = (*_NEEDED, "permutations", "model_seeds", "validation", "encoders", "quick", *SECTIONS)
_LARGEST_SEED = 2**32 - 1
_MOST_METHODS = 1_000


def shipped_protocols() -> dict[str, Path]:
    """Return the protocol files that ship with archflow, by name."""
    folder = Path(str(resources.files("archflow"))) / "data" / "protocols"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def protocol_path(name: str | Path) -> Path:
    """Return the file of a protocol: a path that ends in .yaml or .yml, or the name of a shipped one.

    Raises:
        UnknownNameError: archflow ships none of that name.
    """
    path, shipped = Path(name), shipped_protocols()
    if path.suffix.lower() in SUFFIXES:
        return path
    if str(name) not in shipped:
        raise unknown_name("protocol (or .yaml file)", str(name)[:80], shipped)
    return shipped[str(name)]


def read_protocol(path: Path) -> Protocol:
    """Read a protocol.

    Args:
        path: A YAML file in UTF-8.

    Raises:
        UsageError: The file is missing or says something else; names the file, the line and the rule.
    """
    root = read_parts(path)
    entries = root.entries("a protocol", _KEYS, _NEEDED)
    common, by_encoder = read_sections(entries), _encoders(entries)
    tables = {}
    for name, part in entries["spaces"].entries("spaces").items():
        tables[name] = _space(
            _plain("the name of a table", name, part), part, common, by_encoder, path.parent
        )
    protocol = Protocol(
        name=_plain("name", entries["name"].text("name"), entries["name"]),
        spaces={name: table.entry for name, table in tables.items()},
        labels=_distinct(entries["labels"], "labels", _labels),
        permutations=_seeds(entries, "permutations"),
        model_seeds=_seeds(entries, "model_seeds"),
        validation=read_value(entries["validation"], "validation", int) if "validation" in entries else 40,
        methods=_methods(entries["methods"], tables),
    )
    if 0 < protocol.validation < 4:
        entries["validation"].fail("validation must be 0 or at least 4 rows")
    quick = _quick(entries["quick"], protocol) if "quick" in entries else None
    return dataclasses.replace(protocol, quick=quick)


@dataclasses.dataclass(frozen=True)
class _Table:
    """A table and the settings that hold on it: for every encoder, and for single ones."""

    entry: SpaceEntry
    space_name: str
    settings: JsonDict
    by_encoder: Mapping[str, JsonDict]


def _space(
    name: str, part: Part, common: JsonDict, by_encoder: Mapping[str, JsonDict], beside: Path
) -> _Table:
    keys = ("space", "table", "target", "minimize", "proxy", "encoders", *SECTIONS)
    entries = part.entries(f"table {name}", keys, ("table", "target"))
    space = entries["space"].text("space") if "space" in entries else name
    where = entries.get("space", part)
    is_file = space.lower().endswith(SUFFIXES)
    if is_file:
        _plain_path("space", where)
    with where.blamed():
        the_space = spaces.get(str(beside / space) if is_file else space)
    table = _plain_path("table", entries["table"])
    proxy: Mapping[str, Part] = {}
    if "proxy" in entries:
        proxy = entries["proxy"].entries("proxy", ("table", "column"), ("table", "column"))
    entry = SpaceEntry(
        space=space,
        table=table,
        target=entries["target"].text("target"),
        minimize="minimize" in entries and read_value(entries["minimize"], "minimize", bool),
        proxy_table=_plain_path("table", proxy["table"]) if proxy else None,
        proxy_column=proxy["column"].text("column") if proxy else None,
    )
    own = _encoders(entries)
    settings = {
        encoder: merged(by_encoder.get(encoder, {}), own.get(encoder, {})) for encoder in {*by_encoder, *own}
    }
    return _Table(entry, the_space.name, merged(common, read_sections(entries)), settings)


def _encoders(entries: Mapping[str, Part]) -> dict[str, JsonDict]:
    """Read settings of single encoders."""
    found = {}
    if "encoders" in entries:
        for name, part in entries["encoders"].entries("encoders").items():
            if name not in ENCODERS:
                part.fail(unknown("encoder", name, sorted(ENCODERS)))
            found[name] = read_sections(part.entries(f"encoder {name}", SECTIONS))
    return found


def _methods(part: Part, tables: Mapping[str, _Table]) -> dict[str, dict[str, JsonDict]]:
    methods: dict[str, dict[str, JsonDict]] = {}
    for item in part.items("methods"):
        for name, settings, named in _expanded(item, tables):
            twin = next((other for other, theirs in methods.items() if theirs == settings), None)
            if twin is not None and not named:
                continue  # lists may overlap
            if twin is not None:
                item.fail(f"method {short(name)} has the settings of {short(twin)}")
            if name in methods:
                item.fail(f"there is a method {short(name)} with other settings; give this one a name")
            methods[name] = settings
            if len(methods) > _MOST_METHODS:
                item.fail(f"more than {_MOST_METHODS:,} methods")
    return methods


def _expanded(item: Part, tables: Mapping[str, _Table]) -> list[tuple[str, dict[str, JsonDict], bool]]:
    """Return the methods of an entry: name, settings by table, and whether the file gave the name."""
    if isinstance(item.value, str):
        method = METHODS.get(item.text("a method"))
        if method is None:
            item.fail(unknown("method", item.value, sorted(METHODS)))
        if method.encoder is None:
            return [(method.name, {table: resolve_plain(method.name) for table in tables}, False)]
        pretext = PUBLISHED_PRETEXT if method.pretrained else NO_PRETEXT
        if method.objectives is not None:
            pretext = "+".join(f"{name}={weight:g}" for name, weight in method.objectives.items())
        settings = _resolved(item, method.encoder, pretext, {}, tables)
        return [(_name(method.encoder, pretext, {}), settings, False)]
    entries = item.entries("a method", ("name", "encoder", "pretext", "spaces", *SECTIONS), ("encoder",))
    encoders = _distinct(entries["encoder"], "encoder", lambda one: one.text("encoder"))
    pretexts = [PUBLISHED_PRETEXT]
    if "pretext" in entries:
        pretexts = _distinct(entries["pretext"], "pretext", lambda one: one.text("pretext"))
    forms: list[str | None] = [None]
    if "form" in entries:
        forms = list(_distinct(entries["form"], "form", read_form))
    chosen = dict(tables)
    if "spaces" in entries:
        names = _distinct(entries["spaces"], "spaces", lambda one: _one_of(one, "table", list(tables)))
        chosen = {name: tables[name] for name in names}
    given = read_sections({key: value for key, value in entries.items() if key != "form"})
    combinations = list(itertools.product(encoders, pretexts, forms))
    if len(combinations) > 1 and "name" in entries:
        entries["name"].fail(f"one name for {len(combinations)} methods; leave it out, or list them apart")
    found = []
    for encoder, pretext, form in combinations:
        own = merged(given, {} if form is None else {"form": form})
        name = _name(encoder, pretext, own)
        if "name" in entries:
            name = _plain("name", entries["name"].text("name"), entries["name"])
        found.append((name, _resolved(item, encoder, pretext, own, chosen), "name" in entries))
    return found


def _resolved(
    item: Part, encoder: str, pretext: str, own: JsonDict, tables: Mapping[str, _Table]
) -> dict[str, JsonDict]:
    with item.blamed():
        return {
            name: resolve(
                encoder,
                pretext,
                table.space_name,
                merged(table.settings, table.by_encoder.get(encoder, {}), own),
            )
            for name, table in tables.items()
        }


def _name(encoder: str, pretext: str, own: JsonDict) -> str:
    """Name a method after its encoder, its pretext and what it sets itself."""
    name = encoder if pretext == NO_PRETEXT else f"{encoder} + {pretext}"
    return ", ".join([name, *_differences(own)])


def _differences(own: Mapping[str, Any]) -> list[str]:
    texts = []
    for key, value in own.items():
        if isinstance(value, Mapping):
            texts += _differences(value)
        else:
            texts.append(str(value) if key == "form" else f"{key} {str(value).lower()}")
    return texts


def _quick(part: Part, protocol: Protocol) -> Selection:
    entries = part.entries("quick", ("spaces", "labels", "methods", "permutations", "model_seeds"))
    chosen: dict[str, list[Any]] = {}
    for key, value in entries.items():
        own = getattr(protocol, key)
        known = {str(one): one for one in own}
        texts = _distinct(value, key, lambda one, key=key, known=known: _one_of(one, key, list(known)))
        chosen[key] = [known[text] for text in texts]
    return Selection(**chosen)


def _one_of(part: Part, what: str, choices: Sequence[str]) -> str:
    text = part.text(what)
    if text not in choices:
        part.fail(unknown(what, text, choices))
    return text


def _labels(part: Part) -> str:
    text = part.text("labels")
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)%|([0-9]{1,9})", text, re.ASCII)
    if found is None or not float(found[1] or found[2]) > 0 or float(found[1] or 1) > 100:
        part.fail(f"labels are a share such as 1%, or a whole number such as 78, not {short(text)}")
    return f"{float(found[1]):g}%" if found[1] else str(int(found[2]))


def _seeds(entries: Mapping[str, Part], key: str) -> list[int]:
    if key not in entries:
        return list(PROTOCOL_SEEDS)
    seeds: list[int] = _distinct(entries[key], key, lambda part: read_value(part, key, int))
    for part, seed in zip(entries[key].items(key), seeds, strict=True):
        if seed > _LARGEST_SEED:
            part.fail(f"a seed is at most {_LARGEST_SEED}, not {seed}")
    return seeds


def _distinct(part: Part, what: str, read: Any) -> list[Any]:
    found: list[Any] = []
    for item in part.items(what):
        value = read(item)
        if value in found:
            item.fail(f"{what} has {value} twice")
        found.append(value)
    return found


def _plain(what: str, text: str, part: Part) -> str:
    """Return a text that suits tables and file names, or refuse it."""
    if not (text.isprintable() and 1 <= len(text) <= 80 and text == text.strip()):
        part.fail(f"{what} must be 1 to 80 printable characters, not {short(text)}")
    return text


def _plain_path(what: str, part: Part) -> str:
    """Read a path that stays below the folder it is looked up in."""
    text = part.text(what)
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in text or not text.isprintable():
        part.fail(f"{what} must be a file name, looked up in the data folder, not {short(text)}")
    return text
