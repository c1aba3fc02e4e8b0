"""Downloading a file whose size and SHA-256 are known; after a cut connection it goes on where it stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import requests
import urllib3

from archflow.datasets.sources import one_line
from archflow.errors import TableError
from archflow.files import sha256_of
from archflow.progress import Report, silent

_CHUNK = 2**16  # bytes received at a time
_FOR_A_MOMENT = (408, 425, 429)  # statuses that ask to try again, beside those of 500 and more


@dataclasses.dataclass(frozen=True)
class ResumingDownloader:
    """A downloader for pooch that goes on where a download was cut off, in this run or an earlier one.

    Attributes:
        part: File that holds what arrived, until all did.
        size: Bytes of the whole file.
        sha256: Its SHA-256; a file with another is removed.
        way_out: What a user can do who cannot download it.
        report: Told the KiB received.
        attempts: How often to try in all.
        wait: Seconds before the second attempt; doubled before each further one.
        timeout: Seconds to wait for a connection, and for each piece of the file.
    """

    part: Path
    size: int
    sha256: str
    way_out: str
    report: Report = silent
    attempts: int = 5
    wait: float = 1.0
    timeout: tuple[float, float] = (10.0, 30.0)

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Download a file; the name of the third argument is pooch's.

        Raises:
            TableError: It cannot be had, or is another file.
            OSError: It cannot be written.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                self._receive(url)
                break
            except _CutOffError as error:
                # Without a network, or with a wrong address, more attempts only waste the user's time.
                if attempt == self.attempts or (error.unreachable and attempt == 1):
                    raise TableError(f"{url}: {self._in_vain(error, attempt)}") from error
                seconds = self.wait * 2 ** (attempt - 1)
                self._tell(f"{error}; next attempt in {seconds:g} s")
                time.sleep(seconds)
        digest = sha256_of(self.part)
        if digest != self.sha256:
            self.part.unlink()
            raise TableError(
                f"{url}: not the published file, or damaged on its way: its SHA-256 is {digest}, where "
                f"{self.sha256} was expected; it was removed"
            )
        self.part.replace(output_file)

    def _receive(self, url: str) -> None:
        """Receive what is missing, in one request.

        Raises:
            _CutOffError: Not all of it arrived, and another attempt may do better.
        """
        have = self._have()
        if have > self.size:
            self.part.unlink()
            have = 0
        if have == self.size:
            return
        headers = {"Accept-Encoding": "identity"}  # a range of a compressed file would not fit
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with contextlib.ExitStack() as stack:

                def close_later(response: requests.Response, **_: Any) -> None:
                    stack.callback(response.close)

                # requests leaves the connection open where it fails while it follows a redirect.
                hooks = {"response": close_later}
                response = requests.get(url, headers=headers, hooks=hooks, stream=True, timeout=self.timeout)
                resumed = self._resumed(response, have)
                self._check_size(response, have if resumed else 0)
                file = stack.enter_context(self.part.open("ab" if resumed else "wb"))
                self._tell()
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    file.flush()
                    self._tell()
                    if self._have() > self.size:
                        break
        except TableError:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            # requests lets some ValueErrors through, such as that of a redirect to http://[
            raise _CutOffError(_reason(error), unreachable=_unreachable(error)) from error
        if self._have() > self.size:
            self.part.unlink()
            raise TableError(
                f"{url}: not the published file: it has more than the expected {self.size} bytes"
            )
        if self._have() < self.size:
            raise _CutOffError("the connection ended early")

    def _resumed(self, response: requests.Response, have: int) -> bool:
        """Return whether the answer goes on after the first `have` bytes, or begins anew."""
        status = response.status_code
        if status == requests.codes.partial_content and have:
            if response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                return True
            self.part.unlink()
            raise _CutOffError("the server sent another part of the file than asked for")
        if status == requests.codes.requested_range_not_satisfiable and have:
            self.part.unlink()
            raise _CutOffError("the server has no such part of the file")
        if status >= requests.codes.server_error or status in _FOR_A_MOMENT:
            raise _CutOffError(f"the server answered {status}")
        if status != requests.codes.ok:
            raise TableError(
                f"{response.url}: the server answered {status}; if the file is gone, {self.way_out}"
            )
        return False

    def _check_size(self, response: requests.Response, have: int) -> None:
        """Refuse another file before it is received, where the server says how long it is."""
        length = response.headers.get("Content-Length", "")
        if "Content-Encoding" in response.headers:  # that would be the length of the compressed file
            return
        if length.isdecimal() and len(length) < 20 and have + int(length) != self.size:
            self.part.unlink(missing_ok=True)
            raise TableError(
                f"{response.url}: not the published file: it has {have + int(length)} bytes instead of the "
                f"expected {self.size}"
            )

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _tell(self, remark: str = "KiB") -> None:
        self.report(self._have() >> 10, self.size >> 10, remark)

    def _in_vain(self, error: _CutOffError, attempts: int) -> str:
        kept = f"; {self._have()} of {self.size} bytes are kept, and the next try goes on from there"
        if error.unreachable:
            return f"cannot be reached ({error}); go online, or {self.way_out}{kept if self._have() else ''}"
        return f"gave up after {attempts} attempts ({error}){kept if self._have() else f'; {self.way_out}'}"


class _CutOffError(Exception):
    """A download that another attempt may complete; its text is the reason."""

    def __init__(self, reason: str, *, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.unreachable = unreachable


_BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
)


def _unreachable(error: Exception) -> bool:
    """Tell an address that nobody answers at from a connection that broke."""
    hopeless = requests.exceptions.SSLError | requests.exceptions.ProxyError
    if not isinstance(error, _BROKEN) or isinstance(error, hopeless):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _reason(error: BaseException) -> str:
    """Return the innermost reason, which libraries of many layers give in many brackets."""
    inner = error
    while True:
        parts = (getattr(inner, "reason", None), *inner.args)
        deeper = next((part for part in parts if isinstance(part, Exception)), None)
        if deeper is None:
            return one_line(inner)[:200] or type(inner).__name__
        inner = deeper
