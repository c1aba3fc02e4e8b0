"""Pickles of public benchmarks, read without running anything in them.

Only dicts, lists, tuples, sets, texts, bytes, numbers and NumPy numbers and arrays of numbers are built. The
few globals that those need stand for functions of this file, so that nothing that a pickle names is ever
looked up, imported or called.
"""

from __future__ import annotations

import functools
import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from archflow.datasets.sources import one_line, shorten
from archflow.errors import TableError

MOST_BYTES = 2**28
"""Largest file that `load_pickle` reads; the published tables have 2 MB."""

_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16)")
_KEYS = frozenset({str, bytes, int, float, bool, type(None)})
_MOST_KEY_BITS = 60  # larger whole numbers share their hash with smaller ones, and a file could use that
_OPCODES = (
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP",
    "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "EMPTY_LIST", "LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "EMPTY_SET",
    "GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE",
    "GLOBAL", "STACK_GLOBAL", "REDUCE",
    "INST",  # so that its global is looked for, and refused by name
)  # fmt: skip


def load_pickle(path: Path, *, most_bytes: int = MOST_BYTES) -> object:
    """Return what a file that is a pickle holds.

    Args:
        path: The file.
        most_bytes: Larger files are refused.

    Raises:
        TableError: The file cannot be read, is too large or damaged, or holds something else than plain
            values; names the file and what it holds.
    """
    if not path.is_file():  # opening a pipe would wait for ever
        raise TableError(f"{path}: there is no such file")
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(data) > most_bytes:
        raise TableError(f"{path}: larger than {most_bytes} bytes, the most that is read of a pickle")
    return loads_plain(data, str(path))


def loads_plain(data: bytes, where: str) -> object:
    """Return what a pickle holds; an `OrderedDict` comes back as a dict.

    Its parts can be shared, or contain themselves, so never write them out whole (`repr`) or compare them
    before their types are known.

    Args:
        data: The pickle.
        where: What it is called in errors, such as the path of the file.

    Raises:
        TableError: It is damaged, or holds something else than plain values; names what.
    """
    try:
        return _PlainUnpickler(io.BytesIO(data), encoding="latin1").load()  # as arrays of Python 2 need it
    except Exception as error:  # damaged pickles make it raise almost anything
        reason = one_line(error)[:200] or type(error).__name__
        raise TableError(f"{where}: not a usable pickle ({reason})") from error


class _DType:
    """A type of numbers, while its pickle is read; a NumPy one could be turned into another in place."""

    def __init__(self, code: str) -> None:
        self.dtype: np.dtype[Any] = np.dtype(code)

    def build(self, state: object) -> None:
        """Take the byte order, the one thing that the state of a type of numbers tells."""
        match state:
            case (3, "<" | ">" | "|" as order, None, None, None, -1, -1, 0):
                self.dtype = self.dtype.newbyteorder(order)
            case _:
                raise pickle.UnpicklingError("it holds a NumPy type with fields or metadata")


def _dtype(code: object, *_: object) -> _DType:
    if type(code) is not str or not _DTYPE.fullmatch(code):
        what = shorten(code) if type(code) is str else "something without a name"
        raise pickle.UnpicklingError(f"it holds an array of {what}; only numbers are read")
    return _DType(code)


def _scalar(kind: object, data: object) -> Any:
    raw = _raw(data)
    if not isinstance(kind, _DType) or len(raw) != kind.dtype.itemsize:
        raise pickle.UnpicklingError("it holds a NumPy number that is none")
    return np.frombuffer(raw, kind.dtype)[0]


def _ndarray(*_: object) -> None:
    raise pickle.UnpicklingError("it calls numpy.ndarray; only plain values are read")


def _reconstruct(kind: object, *_: object) -> NDArray[Any]:
    if kind is not _ndarray:
        raise pickle.UnpicklingError("it holds a kind of array of its own; only plain values are read")
    return np.empty(0)  # what follows fills it


def _fill(array: NDArray[Any], state: object) -> None:
    match state:
        case (1, tuple() as shape, _DType() as kind, bool() as by_columns, bytes() | str() as data):
            raw = _raw(data)
            whole = all(type(size) is int and size >= 0 for size in shape)
            if whole and math.prod(shape) * kind.dtype.itemsize == len(raw):
                filled: Any = array  # its type stub asks for a NumPy bool
                filled.__setstate__((1, shape, kind.dtype, by_columns, raw))
                return
    raise pickle.UnpicklingError("it holds an array whose shape and data do not fit")


def _raw(data: object) -> bytes:
    """Return data as bytes; pickles of Python 2 hold it as text."""
    if not isinstance(data, bytes | str):
        raise pickle.UnpicklingError("it holds a NumPy number or array without data")
    return data.encode("latin1") if isinstance(data, str) else data


def _encode(text: object, encoding: object) -> bytes:
    """Build bytes, which pickles of old protocols hold as text."""
    if type(text) is not str or encoding != "latin1":
        raise pickle.UnpicklingError("it holds bytes in another encoding than latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Build what old protocols call for empty bytes."""
    return b""


def _ordered_dict(pairs: Sequence[Any] = ()) -> dict[Any, Any]:
    return _put({}, [part for key, value in pairs for part in (key, value)])


def _set(items: Iterable[Any]) -> set[Any]:
    return set(_keys(items))


def _frozenset(items: Iterable[Any]) -> frozenset[Any]:
    return frozenset(_keys(items))


def _keys(values: Iterable[Any]) -> list[Any]:
    """Return values that are plain enough for keys: to hash nested tuples could take for ever."""
    keys = list(values)
    for key in keys:
        for part in key if type(key) is tuple else (key,):
            plain = type(part) in _KEYS or isinstance(part, np.generic)
            if not plain or (type(part) is int and part.bit_length() > _MOST_KEY_BITS):
                raise pickle.UnpicklingError("it has a key that is no text, number or flat tuple")
    return keys


def _put(into: object, items: list[Any]) -> dict[Any, Any]:
    """Put keys and values, one after the other, into a dict."""
    _keys(items[::2])
    target: dict[Any, Any] = _only(dict, into)
    target.update(zip(items[::2], items[1::2], strict=True))
    return target


def _only(kind: type[Any], value: object) -> Any:
    if type(value) is not kind:
        raise pickle.UnpicklingError(f"it adds to a {type(value).__name__} as to a {kind.__name__}")
    return value


def _load_append(reader: Any) -> None:
    value = reader.stack.pop()
    _only(list, reader.stack[-1]).append(value)


def _load_appends(reader: Any) -> None:
    values = reader.pop_mark()
    _only(list, reader.stack[-1]).extend(values)


def _load_dict(reader: Any) -> None:
    items = reader.pop_mark()
    reader.append(_put({}, items))


def _load_setitem(reader: Any) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    _put(reader.stack[-1], [key, value])


def _load_setitems(reader: Any) -> None:
    items = reader.pop_mark()
    _put(reader.stack[-1], items)


def _load_additems(reader: Any) -> None:
    items = reader.pop_mark()
    _only(set, reader.stack[-1]).update(_keys(items))


def _load_frozenset(reader: Any) -> None:
    items = reader.pop_mark()
    reader.append(_frozenset(items))


def _load_build(reader: Any) -> None:
    state, value = reader.stack.pop(), reader.stack[-1]
    if isinstance(value, _DType):
        value.build(state)
    else:
        _fill(_only(np.ndarray, value), state)


def _refuse(_: object, code: int) -> None:
    names = [opcode.name for opcode in pickletools.opcodes if opcode.code == chr(code)]
    what = f"the opcode {names[0]}" if names else f"the byte 0x{code:02x} for an opcode"
    raise pickle.UnpicklingError(f"it uses {what}; only plain values are read")


class _PlainUnpickler(pickle._Unpickler):
    """The unpickler in Python: that in C fills memory when a pickle asks it to remember far too much."""

    dispatch: ClassVar[dict[int, Callable[[pickle.Unpickler], None]]] = {
        **{code: functools.partial(_refuse, code=code) for code in range(256)},
        **{
            code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in _OPCODES)
        },
        pickle.APPEND[0]: _load_append,
        pickle.APPENDS[0]: _load_appends,
        pickle.DICT[0]: _load_dict,
        pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems,
        pickle.ADDITEMS[0]: _load_additems,
        pickle.FROZENSET[0]: _load_frozenset,
        pickle.BUILD[0]: _load_build,
    }

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        allowed = _ALLOWED.get((module, name))
        if allowed is None:
            what = shorten(f"{module}.{name}")
            raise pickle.UnpicklingError(f"it holds {what}; only plain values are read")
        return allowed


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _ndarray,
}
for _module in ("__builtin__", "builtins"):  # by Python 2, and since
    _ALLOWED |= {(_module, "set"): _set, (_module, "frozenset"): _frozenset, (_module, "bytes"): _no_bytes}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # before NumPy 2, and since
    _ALLOWED |= {(_module, "scalar"): _scalar, (_module, "_reconstruct"): _reconstruct}
