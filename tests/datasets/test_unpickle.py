"""Pickles: plain values come back, and nothing else is built, called or looked up."""

import collections
import contextlib
import copyreg
import datetime
import os
import pickle
import random
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.datasets.unpickle import load_pickle, loads_plain
from archflow.errors import TableError

NUMBERS = st.integers(-(2**60) + 1, 2**60 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda some: (
        st.lists(some)
        | st.sets(NUMBERS)
        | st.frozensets(NUMBERS)
        | st.dictionaries(st.text() | NUMBERS | st.tuples(st.text(), NUMBERS), some)
        | st.tuples(some, some)
    ),
    max_leaves=10,
)


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_back(value, protocol):
    assert loads_plain(pickle.dumps(value, protocol=protocol), "it") == value


@pytest.mark.parametrize("protocol", range(5))
def test_numpy_values_and_ordered_dicts_come_back(protocol):
    value = collections.OrderedDict(
        number=np.float64(2.5),
        count=np.int32(3),
        good=np.bool_(True),
        table=np.arange(6.0).reshape(2, 3),
        columns=np.asfortranarray(np.arange(6).reshape(2, 3)),
        reversed=np.arange(3, dtype=">i2"),
        waves=np.array([1 + 2j]),
        nothing=np.zeros((0, 3)),
    )
    content = pickle.dumps(value, protocol=protocol)
    result = loads_plain(content, "it")
    assert list(result) == list(value)
    for name, expected in pickle.loads(content).items():
        np.testing.assert_array_equal(result[name], expected)
        assert type(result[name]) is type(expected)
        assert result[name].dtype == expected.dtype


def test_names_of_numpy_before_its_second_version():
    content = pickle.dumps(np.float64(2.5), protocol=2).replace(b"numpy._core", b"numpy.core")
    assert loads_plain(content, "it") == 2.5


def test_an_array_of_python_2():
    """In the form of Python 2.7 and NumPy 1: the data are a text with bytes beyond ASCII."""
    content = (
        b"(dp0\nS'a'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\n"
        b"Rp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'i2'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\n"
        b"tp14\nbI00\nS'\\xff\\xff\\x02\\x00'\np15\ntp16\nbs."
    )
    result = loads_plain(content, "it")
    assert list(result) == ["a"]
    np.testing.assert_array_equal(result["a"], np.array([-1, 2], dtype="<i2"))


class Malice:
    """Calls something when it is unpickled as usual."""

    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


class Slots:
    """Is built by NEWOBJ, without a call."""


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


def dtype(code):
    return b"cnumpy\ndtype\n" + text(code) + b"\x85R"


def dtype_state(version, order, middle, tail=b""):
    return bytes([ord("("), ord("K"), version]) + text(order) + middle + tail + b"tb"


SIZES = b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
SCALAR = b"cnumpy.core.multiarray\nscalar\n"
SYSTEM = pickle.dumps(Malice(os.system, "touch mark"), protocol=4)
MALICE = {
    "system": (SYSTEM, "system"),
    "protocol 0": (pickle.dumps(Malice(os.system, "touch mark"), protocol=0), "system"),
    "eval": (pickle.dumps(Malice(eval, "open('mark', 'w')"), protocol=4), "builtins.eval"),
    "exec of python 2": (b"c__builtin__\neval\n(S\"open('mark', 'w')\"\ntR.", "__builtin__.eval"),
    "getattr": (pickle.dumps(Malice(getattr, 1, "real"), protocol=4), "builtins.getattr"),
    "import": (pickle.dumps(Malice(__import__, "this"), protocol=4), "builtins.__import__"),
    "deep": (pickle.dumps({"deep": [({"x": Malice(os.mkdir, "mark")},)]}, protocol=4), "mkdir"),
    "dotted": (
        b"\x80\x04" + text("collections") + text("OrderedDict.__init__") + b"\x93.",
        "OrderedDict.__init",
    ),
    "no text for a name": (b"\x80\x04K\x01" + text("eval") + b"\x93.", "requires str"),
    "object": (pickle.dumps(Slots(), protocol=0), "copy_reg._reconstructor"),
    "new object": (pickle.dumps(Slots(), protocol=4), "Slots"),
    "date": (pickle.dumps(datetime.date(2020, 1, 1), protocol=4), "datetime.date"),
    "inst": (b"(S'touch mark'\nios\nsystem\n.", "os.system"),
    "obj": (b"(cos\nsystem\nS'touch mark'\no.", "os.system"),
    "obj of a plain global": (b"(ccollections\nOrderedDict\no.", "opcode OBJ"),
    "newobj of a plain global": (b"\x80\x02cbuiltins\nset\n)\x81.", "opcode NEWOBJ"),
    "newobj_ex": (b"\x80\x04cbuiltins\nset\n)}\x92.", "opcode NEWOBJ_EX"),
    "ext1": (b"\x80\x02\x82\x01)R.", "opcode EXT1"),
    "ext2": (b"\x80\x02\x83\x01\x00)R.", "opcode EXT2"),
    "ext4": (b"\x80\x02\x84\x01\x00\x00\x00)R.", "opcode EXT4"),
    "persistent id": (b"Pmark\n.", "opcode PERSID"),
    "binary persistent id": (b"\x80\x02" + text("mark") + b"Q.", "opcode BINPERSID"),
    "copyreg": (pickle.dumps(Malice(copyreg.add_extension, "os", "system", 77), protocol=4), "add_extension"),
    "copyreg of python 2": (
        b"ccopy_reg\n_reconstructor\n(cos\nPopen\nc__builtin__\nobject\nNtR.",
        "copy_reg",
    ),
    "state of a dict": (b"\x80\x02}}X\x01\x00\x00\x00aK\x01sb.", "adds to a dict"),
    "state of a function": (b"\x80\x02cnumpy\nndarray\n}b.", "adds to a function"),
    "items into an array": (b"\x80\x02" + ARRAY + b"K\x00K\x01s.", "adds to a ndarray"),
    "values into an array": (b"\x80\x02" + ARRAY + b"K\x01a.", "adds to a ndarray"),
    "items into a list": (b"\x80\x02]K\x00K\x01s.", "adds to a list"),
    "many values into a tuple": (b"\x80\x02)(K\x01e.", "adds to a tuple"),
    "values into a set": (b"\x80\x04](K\x01\x90.", "adds to a list"),
    "array of objects": (
        pickle.dumps(np.array([Malice(os.mkdir, "mark")], dtype=object), protocol=4),
        "an array of 'O8'",
    ),
    "structured array": (pickle.dumps(np.zeros(1, dtype=[("a", "f8")]), protocol=4), "an array of 'V8'"),
    "array of texts": (pickle.dumps(np.array(["a"]), protocol=4), "an array of 'U1'"),
    "scalar of objects": (b"\x80\x04" + SCALAR + dtype("O8") + b"C\x02N.\x86R.", "an array of 'O8'"),
    "scalar of objects that are a pickle": (
        b"\x80\x04" + SCALAR + dtype("|O") + b"C" + bytes([len(SYSTEM)]) + SYSTEM + b"\x86R.",
        "an array of '|O'",
    ),
    "scalar of a text": (b"\x80\x04" + SCALAR + text("O") + b"C\x02N.\x86R.", "a NumPy number that is none"),
    "scalar too short": (
        b"\x80\x04" + SCALAR + dtype("f8") + b"C\x02ab\x86R.",
        "a NumPy number that is none",
    ),
    "type of a type": (b"\x80\x04cnumpy\ndtype\ncnumpy\nndarray\n\x85R.", "something without a name"),
    "type with fields": (
        b"\x80\x04"
        + dtype("f8")
        + dtype_state(3, "<", b"N" + text("a") + b"\x85}" + text("a") + dtype("f8") + b"K\x00\x86s", SIZES)
        + b".",
        "fields or metadata",
    ),
    "type with metadata": (
        b"\x80\x04" + dtype("f8") + dtype_state(4, "<", b"NNN", SIZES + b"}") + b".",
        "fields or metadata",
    ),
    "type of another size": (
        b"\x80\x04" + dtype("f8") + dtype_state(3, "<", b"NNN", b"K\x64K\x08K\x00") + b".",
        "fields or metadata",
    ),
    "array over a buffer": (
        b"\x80\x04cnumpy\nndarray\nK\x01\x85" + text("O") + b"C\x08AAAAAAAA\x87R.",
        "calls numpy.ndarray",
    ),
    "array subclass": (
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85C\x01b\x87R.",
        "a kind of array of its own",
    ),
    "array larger than its data": (
        b"\x80\x04" + ARRAY + b"(K\x01K\x09\x85" + dtype("f8") + b"\x89C\x08AAAAAAAAtb.",
        "shape and data do not fit",
    ),
    "array of negative size": (
        b"\x80\x04"
        + ARRAY
        + b"(K\x01J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86"
        + dtype("b1")
        + b"\x89C\x01Atb.",
        "shape and data do not fit",
    ),
    "array of a list": (
        b"\x80\x04" + ARRAY + b"(K\x01K\x01\x85" + dtype("f8") + b"\x89]tb.",
        "shape and data do not fit",
    ),
}


@pytest.mark.parametrize(("content", "part"), MALICE.values(), ids=MALICE)
def test_anything_else_is_refused_by_name(tmp_path, monkeypatch, content, part):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError, match=r"^it: not a usable pickle ") as error:
        loads_plain(content, "it")
    assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
    assert 77 not in copyreg._inverted_registry


def test_extensions_that_the_program_knows_are_not_called_either(monkeypatch):
    called = []
    monkeypatch.setitem(sys.modules, "canary", types.SimpleNamespace(sing=called.append))
    copyreg.add_extension("canary", "sing", 1)
    try:
        assert pickle.loads(b"\x80\x02\x82\x01K\x05\x85R.") is None  # as usual, and Python now remembers it
        assert called == [5]
        with pytest.raises(TableError, match="EXT1"):
            loads_plain(b"\x80\x02\x82\x01K\x05\x85R.", "it")
        assert called == [5]
    finally:
        copyreg.remove_extension("canary", "sing", 1)


def doubled(times):
    """Write a tuple of two times the same tuple, and so on: it takes a time of 2^times to hash or print."""
    return b"\x80\x04)\x94" + b"".join(
        b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94" for i in range(times)
    )


@pytest.mark.parametrize(
    "tail",
    [
        b"}h\x3cNs.",
        b"}(h\x3cNu.",
        b"(h\x3cNd.",
        b"\x8f(h\x3c\x90.",
        b"(h\x3c\x91.",
        b"cbuiltins\nset\n]h\x3ca\x85R.",
        b"ccollections\nOrderedDict\n]]h\x3caNaa\x85R.",
        b"cnumpy\ndtype\nh\x3c\x85R.",
        b"cbuiltins\nset\nh\x3cR.",
    ],
    ids=["setitem", "setitems", "dict", "additems", "frozenset", "set", "ordered", "dtype", "arguments"],
)
def test_values_that_would_take_for_ever_to_hash_or_print(tail):
    with pytest.raises(TableError, match=r"^it: not a usable pickle"):
        loads_plain(doubled(60) + tail, "it")


def test_keys_that_would_collide():
    colliding = {k * (2**61 - 1): None for k in range(3)}
    with pytest.raises(TableError, match="a key that is no text, number or flat tuple"):
        loads_plain(pickle.dumps(colliding, protocol=4), "it")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"spam",
        b".",
        b"\x80\x09N.",
        b"\x80\x04}",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a bytearray of 8 EiB
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x8b\xff\xff\xff\x7f.",
        b"I" + b"9" * 5000 + b"\n.",
        b"\xff.",
        b"g5\n.",
        b"0.",
        b"\x81\x92",
    ],
)
def test_other_content(content):
    with pytest.raises(TableError, match=r"^it: not a usable pickle") as error:
        loads_plain(content, "it")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 260


def test_a_pickle_that_asks_for_far_too_much_memory():
    assert loads_plain(b"\x80\x04Nr\xff\xff\xff\xff.", "it") is None  # remembered under number 2^32 - 1


def test_a_pickle_nested_deeply():
    depth = 100_000
    value = loads_plain(b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b".", "it")
    while value:
        (value,) = value
        depth -= 1
    assert depth == 1


def test_damaged_pickles_are_refused_or_read():
    whole, rng = pickle.dumps({"a": [1.5, "b", (1, 2)], "c": np.arange(4)}, protocol=4), random.Random(0)
    refused = 0
    for position in range(len(whole)):
        for _ in range(4):
            damaged = bytearray(whole)
            damaged[position] ^= rng.randrange(1, 256)
            try:
                loads_plain(bytes(damaged), "it")
            except TableError:
                refused += 1
        with pytest.raises(TableError):
            loads_plain(whole[:position], "it")
    assert refused > len(whole)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read(noise):
    with contextlib.suppress(TableError):
        loads_plain(b"\x80\x04" + noise, "it")


def test_files(tmp_path):
    path = tmp_path / "some.bench"
    with pytest.raises(TableError, match=r"some\.bench: there is no such file"):
        load_pickle(path)
    path.write_bytes(pickle.dumps({3: 0.5}))
    assert load_pickle(path) == {3: 0.5}
    with pytest.raises(TableError, match=r"some\.bench: larger than 8 bytes"):
        load_pickle(path, most_bytes=8)
    path.write_bytes(SYSTEM)
    with pytest.raises(TableError, match=r"some\.bench: not a usable pickle .*system.*only plain values"):
        load_pickle(path)
    with pytest.raises(TableError, match="there is no such file"):
        load_pickle(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TableError, match="there is no such file"):
        load_pickle(tmp_path / "pipe")


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "some.bench").touch()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(TableError, match=r"some\.bench: cannot be read \(Permission denied\)"):
        load_pickle(tmp_path / "some.bench")
