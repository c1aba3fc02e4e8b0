"""Downloading: a file arrives whole or not at all, whatever happens on the way."""
# ruff: noqa: F811 - fixtures that are imported

import contextlib
import functools
import gzip
import hashlib
import socket
import threading

import pytest

from archflow.datasets.download import ResumingDownloader
from archflow.datasets.published import PUBLISHED
from archflow.errors import TableError
from file_server import Request
from toy_table import (  # noqa: F401
    ARRIVING,
    CONTENT,
    OTHER,
    PART,
    TOY,
    check,
    drop,
    message_of,
    names_in,
    only_this_machine,
    server,
    toy,
    waits,
)


def test_a_dropped_connection_is_resumed(toy, server, waits):
    server.failures += [drop(100_000), drop(100_000)]
    told = []
    check(toy(report=lambda *progress: told.append(progress)))
    first, second, third = server.ranges
    assert first is None
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in (second, third)]
    assert 0 < starts[0] <= 100_000 < starts[1] <= 200_000
    assert waits == [1, 2]
    assert any("next attempt in 1 s" in remark for _, _, remark in told)


def test_a_connection_that_is_always_dropped_is_given_up_and_resumed_later(toy, server, waits, tmp_path):
    server.failures += [drop(80_000), *[drop(0)] * 4]
    message = message_of(toy, server.address, "gave up after 5 attempts", f"of {len(CONTENT)} bytes are kept")
    assert waits == [1, 2, 4, 8]
    assert names_in(tmp_path / "cache") == [ARRIVING]
    kept = (tmp_path / "cache" / PART).stat().st_size
    assert f"; {kept} of" in message
    check(toy())
    assert server.ranges[-1] == f"bytes={kept}-"
    assert kept > 0


def test_a_server_that_ends_early_without_telling_the_length(toy, server, waits):
    server.failures.append(functools.partial(Request.whole, most=100_000, length=""))
    check(toy())
    assert server.ranges[1] == "bytes=100000-"


def test_a_server_that_drops_at_once(toy, server, waits):
    server.failures += [lambda request: None] * 2
    check(toy())
    assert server.ranges == [None] * 3


def test_a_server_without_ranges_sends_everything_again(toy, server, waits):
    server.failures += [drop(100_000), functools.partial(Request.whole, ranges=False)]
    check(toy())
    assert server.ranges[1] is not None
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        functools.partial(Request.whole, start=5),
        functools.partial(Request.status, code=416),
    ],
    ids=["another part", "no such part"],
)
def test_a_server_that_resumes_wrongly_is_asked_for_everything(toy, server, waits, answer):
    server.failures += [drop(100_000), lambda request: answer(request)]
    check(toy())
    assert [asked is None for asked in server.ranges] == [True, False, True]


@pytest.mark.parametrize("code", [403, 404, 410, 204])
def test_a_file_that_is_not_there(toy, server, waits, tmp_path, code):
    server.failures.append(functools.partial(Request.status, code=code))
    message_of(toy, server.address, code, "--source", PUBLISHED["toy"].url)
    assert len(server.requests) == 1
    assert waits == []
    assert names_in(tmp_path / "cache") == []


def test_a_name_that_the_mirror_lacks(toy, server):
    server.files.clear()
    message_of(toy, "toy.json", "404")


@pytest.mark.parametrize("codes", [(500,), (503, 429), (502, 500, 504, 500)])
def test_a_server_in_trouble_is_asked_again(toy, server, waits, codes):
    server.failures += [functools.partial(Request.status, code=code) for code in codes]
    check(toy())
    assert waits == [2**attempt for attempt in range(len(codes))]


def test_a_server_that_stays_in_trouble(toy, server, waits):
    server.failures += [functools.partial(Request.status, code=500)] * 5
    message_of(toy, "gave up after 5 attempts (the server answered 500)", "--source")
    assert len(server.requests) == 5


def test_a_wrong_digest(toy, server, tmp_path):
    server.files["toy.json"] = OTHER
    message_of(toy, server.address, TOY, hashlib.sha256(OTHER).hexdigest(), "removed")
    assert names_in(tmp_path / "cache") == []
    server.files["toy.json"] = CONTENT
    check(toy())
    assert server.ranges == [None, None]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b" ", b"<html>Log in</html>", b""])
def test_another_length(toy, server, waits, tmp_path, content):
    server.files["toy.json"] = content
    message_of(toy, f"it has {len(content)} bytes instead of the expected {len(CONTENT)}")
    assert names_in(tmp_path / "cache") == []
    assert waits == []


def test_a_file_without_end(toy, server, tmp_path):
    server.files["toy.json"] = CONTENT * 5
    server.failures.append(functools.partial(Request.whole, length=""))
    message_of(toy, "more than the expected", len(CONTENT))
    assert names_in(tmp_path / "cache") == []


def test_a_server_that_packs_though_it_should_not(toy, server):
    def packed(request):
        content = gzip.compress(CONTENT)
        request.send_response(200)
        request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    server.failures.append(packed)
    check(toy())


def test_a_redirect(toy, server):
    server.failures.append(
        functools.partial(Request.status, code=302, Location=f"{server.address}/toy.json?x=../../evil")
    )
    check(toy())
    assert len(server.requests) == 2


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[", "spam://x", "\xff\xfe"])
def test_a_redirect_to_nowhere(toy, server, waits, tmp_path, location):
    server.failures.append(functools.partial(Request.status, code=302, Location=location))
    message_of(toy, server.address, "--source")
    assert names_in(tmp_path / "cache") == []


def test_redirects_without_end(toy, server, waits):
    again = functools.partial(Request.status, code=301, Location=f"{server.address}/toy.json")
    server.failures += [again] * 100
    message_of(toy, "cannot be reached", "redirects")


def test_nobody_answers(toy, waits, tmp_path):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    mirror = f"http://127.0.0.1:{port}"
    message = message_of(toy, mirror, "cannot be reached", "--source FILE_OR_FOLDER", mirror=mirror)
    assert f"download {PUBLISHED['toy'].url} by hand" in message
    assert waits == []
    assert names_in(tmp_path / "cache") == []


def test_no_network(toy, waits, monkeypatch):
    def fail(host, *_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    message_of(toy, "cannot be reached", "go online", "--source", mirror="https://example.invalid")
    assert waits == []


def test_the_network_goes_away_in_between(toy, server, waits, monkeypatch, tmp_path):
    look_up, calls = socket.getaddrinfo, []

    def fail(*args, **kwargs):
        calls.append(args)
        if len(calls) > 1:
            raise socket.gaierror(-2, "Name or service not known")
        return look_up(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    server.failures.append(drop(100_000))
    message_of(toy, "cannot be reached", "bytes are kept")
    assert len(calls) == 5
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    check(toy())


def test_a_server_that_says_nothing(server, tmp_path):
    over = threading.Event()
    server.failures += [lambda request: over.wait(20)] * 2
    downloader = ResumingDownloader(
        tmp_path / "part", len(CONTENT), TOY, "ask", attempts=2, wait=0, timeout=(0.2, 0.2)
    )
    try:
        with pytest.raises(TableError, match=r"gave up after 2 attempts .*timed out"):
            downloader(f"{server.address}/toy.json", str(tmp_path / "out"), None)
    finally:
        over.set()
    assert names_in(tmp_path) == []
