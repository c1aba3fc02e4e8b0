import pytest

from archflow.datasets.official import read_official
from archflow.errors import TableError


@pytest.fixture
def refused():
    """Read a path that must be refused; check that the message is one line with all parts, and return it."""

    def read(path, *parts, error=TableError, **options):
        with pytest.raises(error) as refusal:
            read_official(path, **options)
        message = str(refusal.value)
        assert "\n" not in message
        assert len(message) < 600
        for part in (path, *parts) if error is TableError else parts:
            assert str(part) in message
        return message

    return read
