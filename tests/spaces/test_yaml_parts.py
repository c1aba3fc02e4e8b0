"""YAML files as texts, lists and mappings with line numbers; hostile files are refused, and at once."""

import os
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from archflow.errors import UsageError
from archflow.spaces import yaml_parts
from archflow.spaces.yaml_parts import MAX_BYTES, Part, read_parts

LOADERS = sorted(
    {yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)}, key=lambda kind: kind.__name__
)


@pytest.fixture(params=LOADERS, ids=lambda kind: kind.__name__)
def read(request, tmp_path, monkeypatch):
    """Read a file of some text or bytes, with each of the parsers that PyYAML may have."""
    monkeypatch.setattr(yaml_parts, "_LOADER", request.param)

    def reader(content):
        path = tmp_path / "space.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_parts(path)

    return reader


def plain(part):
    """Return the values of a part and of those in it."""
    if isinstance(part.value, list):
        return [plain(item) for item in part.value]
    if isinstance(part.value, dict):
        return {key: plain(value) for key, value in part.value.items()}
    return part.value


def test_what_is_read(read):
    root = read("a: 1\n'b': [x, {c: y}]\n0>1:\n  - no\n  - 012\n  - \nd: {}\n# end\n")
    assert plain(root) == {"a": "1", "b": ["x", {"c": "y"}], "0>1": ["no", "012", ""], "d": {}}
    assert [part.line for part in root.value.values()] == [1, 2, 3, 7]
    assert [part.line for part in root.value["0>1"].value] == [4, 5, 6]


def test_a_byte_order_mark_is_skipped(read):
    assert plain(read(b"\xef\xbb\xbfa: b")) == {"a": "b"}


def test_nothing_is_guessed(read):
    """No text becomes a truth value, a date, a number or nothing."""
    words = ["yes", "off", "null", "~", "2001-01-01", "1:30", "0x1F", "1e3", ".inf", "<<", "="]
    assert plain(read("\n".join(f"- {word}" for word in words))) == words


TREES = st.recursive(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcdefghij", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(TREES)
def test_what_yaml_writes_is_read(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("trees") / "tree.yaml"
    path.write_text(yaml.dump(tree, Dumper=Plain))
    assert plain(read_parts(path)) == tree


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


DEEP = 100_000
NESTED_ALIASES = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 10_000))
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}]\n"
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
)
REFUSED = {
    "empty": ("", "space.yaml: the file is empty"),
    "comments": ("# nothing\n", "space.yaml: the file is empty"),
    "not utf-8": (b"a: b\nc: \xff\n", "line 2: not UTF-8 text .byte 0xff."),
    "utf-16": ("a: b".encode("utf-16"), "line 1: not UTF-8 text"),
    "no yaml": ("a: [b\nc: d", "line [23]: not YAML: "),
    "tab": ("a:\n\t- b", "line 2: not YAML: found character"),
    "control character": ("a: \x01", "not YAML: "),
    "nul": ("a: \0", "not YAML: "),
    "two documents": ("a: b\n---\nc: d", "line [23]: a second document begins"),
    "python tag": (
        "a: b\nc: !!python/object/apply:os.system [id]",
        "line 2: tag .*python/object/apply:os.system'",
    ),
    "python name": ("!!python/name:os.system x", "line 1: tag"),
    "standard tag": ("a: !!int 3", "line 1: tag 'tag:yaml.org,2002:int'; tags are not read here"),
    "own tag": ("a: !mine {b: c}", "line 1: tag '!mine'"),
    "bare tag": ("a: ! b", "line 1: tag '!'"),
    "tag of a key": ("!!str a: b", "line 1: tag"),
    "anchor": ("a: &b c", "line 1: anchor &b; anchors are not read here"),
    "alias": ("a: *b", "line 1: alias \\*b; aliases are not read here, write it out"),
    "alias of itself": ("&a [*a]", "line 1: anchor &a"),
    "nested aliases": (NESTED_ALIASES, "line 1: anchor &a0"),
    "billion laughs": (LAUGHS, "line 1: anchor &a"),
    "duplicate key": ("a: b\nc: d\na: e", "line 3: key 'a' is given twice, the first time in line 1"),
    "duplicate key within": ("a: {b: c, b: d}", "line 1: key 'b' is given twice"),
    "list as key": ("? [a]\n: b", "line 1: a key must be text"),
    "mapping as key": ("? {a: b}\n: c", "line 1: a key must be text"),
    "nothing as key": ("a: b\n'': c", "line 2: a key must be text"),
    "deep lists": ("[" * DEEP, "line 1: lists and mappings are nested more than 20 deep"),
    "deep lists closed": ("[" * DEEP + "]" * DEEP, "nested more than 20 deep"),
    "deep mappings": ("{a: " * DEEP, "nested more than 20 deep"),
    "deep dashes": ("- " * DEEP, "nested more than 20 deep"),
    "deep indents": ("".join(" " * n + "a:\n" for n in range(1_000)), "line 21: .* nested more than 20 deep"),
    "many": ("[" + "a," * 60_000 + "]", "more than 50,000 texts, lists and mappings"),
    "large": ("#" * (MAX_BYTES + 1), "larger than 1,000,000 bytes"),
    "escape": ('a: "\\UFFFFFFFF"', "not YAML: "),
    "surrogate escape of nothing": ('a: "\\xZZ"', "line 1: not YAML: "),
    "directive": ("%YAML 1." + "9" * 5_000 + "\n--- a", "not YAML: "),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_hostile_files_are_refused_in_one_line_and_at_once(read, content, reason):
    started = time.perf_counter()
    with pytest.raises(UsageError, match=reason) as caught:
        read(content)
    message = str(caught.value)
    assert "space.yaml" in message
    assert "\n" not in message
    assert len(message.partition("space.yaml")[2]) < 300
    assert (
        time.perf_counter() - started < 20
    )  # aliases that are followed, or a square of the length, take longer


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match=r"no\.yaml: there is no such file"):
        read_parts(tmp_path / "no.yaml")
    with pytest.raises(UsageError, match="a directory or device"):
        read_parts(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_parts(tmp_path / ("x" * 10_000))
    os.mkfifo(tmp_path / "pipe.yaml")  # opening it would wait for a writer
    with pytest.raises(UsageError, match="a directory or device"):
        read_parts(tmp_path / "pipe.yaml")


@given(st.binary(max_size=40) | st.text(" \n\t-:?[]{}#&*!|>'\"%@`,a1", max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "any.yaml"
    path.write_bytes(content)
    for loader in LOADERS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml_parts, "_LOADER", loader)
            try:
                said = read_parts(path).file
            except UsageError as error:
                said = str(error)
            assert said.startswith(str(path))
            assert "\n" not in said


# What a part must be


def test_parts_say_what_they_must_be(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("text: a\nlist: [a]\nmapping: {a: b}\nnothing:\nno_list: []\nnone: {}\n")
    parts = read_parts(path).entries("the file")
    assert parts["text"].text("it") == "a"
    assert [item.value for item in parts["list"].items("it")] == ["a"]
    assert [item.value for item in parts["text"].items("it")] == ["a"]
    assert list(parts["mapping"].entries("it", ["a", "c"], ["a"])) == ["a"]
    for action, line, reason in (
        (lambda: parts["list"].text("it"), 2, "it must be text, not a list"),
        (lambda: parts["nothing"].text("it"), 4, "it must be text, not empty"),
        (lambda: parts["mapping"].items("it"), 3, "it must be a list, not a mapping"),
        (lambda: parts["no_list"].items("it"), 5, "it must be a list, not an empty list"),
        (lambda: parts["nothing"].items("it"), 4, "it must be a list, not empty"),
        (lambda: parts["text"].entries("it"), 1, "it must be a mapping, not 'a'"),
        (lambda: parts["none"].entries("it"), 6, "it must be a mapping, not an empty mapping"),
        (lambda: parts["mapping"].entries("it", ["b"]), 3, "unknown key 'a'; choose from: b."),
        (lambda: parts["mapping"].entries("it", needed=["b"]), 3, "it has no b, and needs one"),
    ):
        with pytest.raises(UsageError) as caught:
            action()
        assert str(caught.value) == f"{path}: line {line}: {reason}"


def test_errors_within_a_block_are_put_down_to_the_part():
    part = Part("a", 7, "space.yaml")
    with pytest.raises(UsageError, match=r"^space\.yaml: line 7: too many$"), part.blamed():
        raise UsageError("too many")
    with pytest.raises(ZeroDivisionError), part.blamed():
        _ = 1 / 0
