"""A published table of three networks, for tests that fetch."""

import functools
import hashlib
import json
import socket

import pytest

from archflow.datasets import read_table
from archflow.datasets.fetch import fetch
from archflow.datasets.published import PUBLISHED, PublishedTable
from archflow.datasets.published_readers import read_macro
from archflow.errors import TableError
from archflow.spaces import get
from file_server import Request, serving

NETWORKS = {"02012100": 89.5, "11111221": 92.25, "00011110": 85.0}
RESULTS = {
    text: {"mean_acc": accuracy, "std": 0.5, "params": 1000 + row, "flops": 2000 + row}
    for row, (text, accuracy) in enumerate(NETWORKS.items())
}
CONTENT = json.dumps(RESULTS).encode() + b" " * 300_000  # so long that it arrives in pieces
OTHER = CONTENT.replace(b"89.5", b"98.5")


def entry_of(content, name="toy", space="nasbench_macro", rows=3, file="toy.json", read=read_macro):
    """Return the entry of a published file with some content; it is nowhere but on a mirror."""
    return PublishedTable(
        name=name,
        space=space,
        rows=rows,
        url=f"http://127.0.0.1:9/published/{file}",
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        licence="none",
        about="a toy",
        read=read,
    )


@pytest.fixture
def only_this_machine(monkeypatch):
    """Fail the test if anything but this machine is looked up, and forget the user's settings."""
    look_up = socket.getaddrinfo

    def guarded(host, *args, **kwargs):
        assert host == "127.0.0.1", f"a test looks up {host}"
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", guarded)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("ARCHFLOW_MIRROR", "ARCHFLOW_CACHE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(only_this_machine, monkeypatch):
    """A server of the toy table, which is in the registry while the test runs."""
    monkeypatch.setitem(PUBLISHED, "toy", entry_of(CONTENT))
    with serving({"toy.json": CONTENT}) as state:
        yield state


@pytest.fixture
def waits(monkeypatch):
    """The seconds that downloads would have waited."""
    seconds = []
    monkeypatch.setattr("archflow.datasets.download.time.sleep", seconds.append)
    return seconds


ARRIVING, WHOLE = "toy.download", "toy.parquet"
PART = f"{ARRIVING}/toy.json.part"
TOY = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def toy(server, tmp_path):
    """Fetch the toy table from the server."""
    return functools.partial(fetch, "toy", tmp_path / "cache", mirror=server.address)


def message_of(toy, *parts, **options):
    with pytest.raises(TableError) as error:
        toy(**options)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 700
    for part in parts:
        assert str(part) in message
    return message


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def check(path):
    table = read_table(path, get("nasbench_macro"), "cifar10_test_acc")
    assert dict(zip(table.texts, table.values.tolist(), strict=True)) == NETWORKS
    assert names_in(path.parent) == [WHOLE]


def drop(after):
    return functools.partial(Request.whole, most=after)
