"""TFRecord framing and checksums, against a bitwise twin and published values."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from official_files import crc32c as slow_crc32c
from official_files import masked_crc32c, tfrecord

from archflow.datasets.official import tfrecord as fast


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the check value of CRC-32C in catalogues of checksums
        (bytes(32), 0x8A9136AA),  # RFC 3720, appendix B.4, this and the next three
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_checksums(data, checksum):
    assert fast.crc32c(data) == slow_crc32c(data) == checksum


@given(st.binary(max_size=300))
def test_the_checksum_agrees_with_the_twin(data):
    assert fast.crc32c(data) == slow_crc32c(data)
    assert fast.masked(fast.crc32c(data)).to_bytes(4, "little") == masked_crc32c(data)


def read(path):
    return [(record.number, record.data, record.damage) for record in fast.read_records(path)]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_records_come_back(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("records") / "t.tfrecord"
    path.write_bytes(tfrecord(*records))
    assert read(path) == [(number, data, None) for number, data in enumerate(records, start=1)]


@pytest.mark.parametrize("block", [1, 5, 16, 17, 100, 1000])
def test_records_that_cross_blocks_come_back(tmp_path, monkeypatch, block):
    monkeypatch.setattr(fast, "_BLOCK", block)
    records = [bytes([number]) * (7 * number % 23) for number in range(20)]
    (tmp_path / "t.tfrecord").write_bytes(tfrecord(*records))
    assert [data for _, data, _ in read(tmp_path / "t.tfrecord")] == records


def test_truncation_at_every_length(tmp_path):
    records = [b"first", b"", b"third record"]
    content, path = tfrecord(*records), tmp_path / "t.tfrecord"
    ends = [len(tfrecord(*records[:count])) for count in range(4)]
    for length in range(len(content)):
        path.write_bytes(content[:length])
        whole = sum(end <= length for end in ends) - 1
        found = read(path)
        assert [data for _, data, damage in found if damage is None] == records[:whole]
        if length in ends:
            assert len(found) == whole
        else:
            number, data, damage = found[-1]
            assert (number, data) == (whole + 1, b"")
            assert "ends inside it" in damage


def test_every_flipped_byte_is_found(tmp_path):
    """Damaged data cost one record; a damaged length costs the rest."""
    records = [b"first", b"second record", b"third"]
    content, path, rng = tfrecord(*records), tmp_path / "t.tfrecord", random.Random(0)
    begin = len(tfrecord(records[0]))
    for position in range(begin, begin + 16 + len(records[1])):
        damaged = bytearray(content)
        damaged[position] ^= rng.randrange(1, 256)
        path.write_bytes(damaged)
        found = read(path)
        assert found[0] == (1, records[0], None)
        assert found[1][1] == b""
        in_length = position < begin + 12
        assert "checksum" in found[1][2]
        assert ("length" in found[1][2]) == in_length
        assert found[2:] == ([] if in_length else [(3, records[2], None)])


def test_a_record_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fast, "MOST_BYTES", 10)
    (tmp_path / "t.tfrecord").write_bytes(tfrecord(b"fine", b"too long for ten"))
    assert read(tmp_path / "t.tfrecord")[1:] == [(2, b"", "it has 16 bytes; at most 10 are read")]


@pytest.mark.parametrize("content", [b"PAR1 is something else", b"\x1f\x8b" + bytes(50), b"{}" * 20])
def test_other_content(tmp_path, content):
    (tmp_path / "t.tfrecord").write_bytes(content)
    ((number, _, damage),) = read(tmp_path / "t.tfrecord")
    assert number == 1
    assert "no TFRecord file" in damage


def test_progress_ends_at_the_size_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(fast, "_BLOCK", 2**20)
    (tmp_path / "t.tfrecord").write_bytes(tfrecord(bytes(600)) * 7000)
    told = []
    assert len(list(fast.read_records(tmp_path / "t.tfrecord", lambda *step: told.append(step)))) == 7000
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1] == (4, 4, "7000 records")
