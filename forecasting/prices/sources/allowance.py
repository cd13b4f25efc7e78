"""How much may be read of a source: `[source].max_megabytes` bounds its text, unpacked, and its rows.

A few megabytes of a zip can hold gigabytes of rows. What is read is counted as it is unpacked, and the read
stops at the limit, so a file takes no more memory than the panel allows.
"""

import io
from collections.abc import Callable, Generator
from contextlib import closing
from typing import IO, Any

import pyarrow as pa

from forecasting.errors import SourceError
from forecasting.panel_settings import Source
from forecasting.prices.sources.uris import shown

_MEGABYTE = 1_000_000
# Rows in memory take about three times the text of a CSV with one price a row. So rows count a quarter: in
# usual files the text reaches the limit first, and rows do in files that take much less than their rows.
_ROWS_COUNT = 0.25


class TooMuchError(SourceError):
    """The source holds more than its panel allows. It stops the read, not only that of one document."""


class Allowance:
    """What one read may take out of a source."""

    def __init__(self, source: Source) -> None:
        self._name = shown(source.uri)
        self._megabytes = source.max_megabytes
        self._reached: dict[str, int] = {}
        self._text = 0
        self._rows = 0.0

    def check(self, size: float) -> None:
        """Check a number of bytes.

        Raises:
            TooMuchError: it is above the limit.
        """
        if size > self._megabytes * _MEGABYTE:
            raise TooMuchError(
                f"{self._name} has more than {self._megabytes:g} MB; "
                "raise [source].max_megabytes in the panel, or check [source].uri"
            )

    def counted(self, stream: IO[bytes], name: str) -> io.BufferedReader:
        """The stream of the document `name`, whose bytes count. Those that are read again count once.

        Reading raises:
            TooMuchError: all documents together are above the limit.
        """

        def reach(position: int) -> None:
            before = self._reached.get(name, 0)
            if position > before:
                self._reached[name] = position
                self._text += position - before
                self.check(self._text)

        return io.BufferedReader(_Counted(stream, reach))

    def keep(self, batches: Generator[pa.Table]) -> Generator[pa.Table]:
        """The batches of rows, which count as they take memory.

        Raises:
            TooMuchError: all rows together are above the limit.
        """
        with closing(batches):
            for batch in batches:
                self._rows += _ROWS_COUNT * batch.nbytes
                self.check(self._rows)
                yield batch


class _Counted(io.RawIOBase):
    """A stream that tells how far it was read."""

    def __init__(self, stream: IO[bytes], reach: Callable[[int], None]) -> None:
        super().__init__()
        self._stream, self._reach, self._at = stream, reach, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def readinto(self, buffer: Any) -> int:
        count: int = self._stream.readinto(buffer)  # type: ignore[attr-defined] # every binary stream has it
        self._at += count
        self._reach(self._at)
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = self._stream.seek(offset, whence)
        self._reach(self._at)
        return self._at

    def tell(self) -> int:
        return self._at
