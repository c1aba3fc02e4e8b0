"""YAML read as text, lists and mappings with line numbers, and nothing else of what YAML can say.

A scalar is the text that stands in the file: no value is guessed from its look, and nothing is ever built
from a tag.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import yaml

from archflow.errors import ArchflowError, UsageError, short
from archflow.spaces.words import unknown

MAX_BYTES = 1_000_000
"""Largest file that is read."""

MAX_DEPTH = 20
"""Deepest nesting of lists and mappings."""

MAX_PARTS = 50_000
"""Most texts, lists and mappings of a file."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times as fast


@dataclasses.dataclass(frozen=True)
class Part:
    """A piece of a file.

    Attributes:
        value: Text, parts of a list, or parts of a mapping by key.
        line: Where it stands, from 1; for a value of a mapping, where its key stands.
        file: The file, for errors.
    """

    value: str | list[Part] | dict[str, Part]
    line: int
    file: str

    def fail(self, reason: str) -> NoReturn:
        """Refuse this part.

        Raises:
            UsageError: Always; names the file and the line.
        """
        raise UsageError(f"{self.file}: line {self.line}: {reason}")

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Put the file and the line before the errors that the block raises."""
        try:
            yield
        except ArchflowError as error:
            self.fail(str(error))

    def text(self, what: str) -> str:
        """Return the text of this part, which must be one and not empty."""
        if not isinstance(self.value, str) or not self.value:
            self.fail(f"{what} must be text, not {self._kind}")
        return self.value

    def items(self, what: str) -> list[Part]:
        """Return the parts of a list that is not empty; a text alone is a list of one."""
        if isinstance(self.value, str) and self.value:
            return [self]
        if not isinstance(self.value, list) or not self.value:
            self.fail(f"{what} must be a list, not {self._kind}")
        return self.value

    def entries(
        self, what: str, keys: Sequence[str] | None = None, needed: Sequence[str] = ()
    ) -> dict[str, Part]:
        """Return the parts of a mapping that is not empty.

        Args:
            what: What this part should be.
            keys: The keys that it may have; by default any.
            needed: The keys that it must have.

        Raises:
            UsageError: It is no such mapping.
        """
        if not isinstance(self.value, dict) or not self.value:
            self.fail(f"{what} must be a mapping, not {self._kind}")
        for key, part in self.value.items():
            if keys is not None and key not in keys:
                part.fail(unknown("key", key, keys))
        for key in needed:
            if key not in self.value:
                self.fail(f"{what} has no {key}, and needs one")
        return self.value

    @property
    def _kind(self) -> str:
        if isinstance(self.value, str):
            return short(self.value) if self.value else "empty"
        empty = "" if self.value else "n empty"
        return f"a{empty} {'list' if isinstance(self.value, list) else 'mapping'}"


def read_parts(path: Path) -> Part:
    """Read a YAML file of one document without tags, anchors and aliases.

    Raises:
        UsageError: The file cannot be read, is larger than `MAX_BYTES`, no YAML in UTF-8, or has what is not
            read here; names the file and the line.
    """
    file = str(path)
    builder = _Builder(file)
    for event in _events(file, _text_of(path)):
        builder.take(event)
    if builder.root is None:
        raise UsageError(f"{file}: the file is empty")
    return builder.root


def _events(file: str, text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}: line {mark.line + 1}" if mark is not None else file
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
        raise UsageError(f"{where}: not YAML: {' '.join(str(reason).split())[:200]}") from None
    except (ValueError, OverflowError):  # from escapes and directives with numbers that are too large
        raise UsageError(f"{file}: not YAML: a number in an escape or directive is too large") from None


def _text_of(path: Path) -> str:
    try:
        if not path.exists():
            raise UsageError(f"{path}: there is no such file")
        if not path.is_file():
            raise UsageError(f"{path}: a directory or device, where a YAML file was expected")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path}: larger than {MAX_BYTES:,} bytes, the most that may be read")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}: line {line}: not UTF-8 text (byte 0x{content[error.start]:02x})"
        ) from error


class _Builder:
    """Builds parts from a stream of events, without recursion and without remembering anchors."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Part | None = None
        self._open: list[Part] = []
        self._keys: list[Part | None] = []  # the key that waits for its value, of each open part
        self._count = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event.

        Raises:
            UsageError: It is not read here.
        """
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            self._refuse(line, f"alias *{str(event.anchor)[:80]}; aliases are not read here, write it out")
        if isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            return
        if event.tag is not None:
            self._refuse(line, f"tag {short(event.tag)}; tags are not read here, leave it out")
        if event.anchor is not None:
            self._refuse(line, f"anchor &{event.anchor[:80]}; anchors are not read here, leave it out")
        self._count += 1
        if self._count > MAX_PARTS:
            self._refuse(line, f"more than {MAX_PARTS:,} texts, lists and mappings")
        if isinstance(event, yaml.ScalarEvent):
            self._place(Part(event.value, line, self.file))
            return
        if len(self._open) == MAX_DEPTH:
            self._refuse(line, f"lists and mappings are nested more than {MAX_DEPTH} deep")
        part = self._place(Part([] if isinstance(event, yaml.SequenceStartEvent) else {}, line, self.file))
        self._open.append(part)
        self._keys.append(None)

    def _place(self, part: Part) -> Part:
        """Put a part where it belongs, and return it with the line to blame."""
        if not self._open:
            if self.root is not None:
                part.fail("a second document begins; one is read")
            self.root = part
            return part
        parent, key = self._open[-1].value, self._keys[-1]
        if isinstance(parent, list):
            parent.append(part)
        elif isinstance(parent, dict) and key is None:
            name = part.value
            if not isinstance(name, str) or not name:
                part.fail("a key must be text")
            if name in parent:
                part.fail(f"key {short(name)} is given twice, the first time in line {parent[name].line}")
            self._keys[-1] = part
        elif isinstance(parent, dict) and key is not None:
            part = dataclasses.replace(part, line=key.line)
            parent[str(key.value)] = part
            self._keys[-1] = None
        return part

    def _refuse(self, line: int, reason: str) -> NoReturn:
        Part("", line, self.file).fail(reason)
