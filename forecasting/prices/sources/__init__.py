"""Price sources: one module for each kind of location, chosen by the scheme of the panel's URI.

A source yields its rows in batches of `schema.OFFERED`, in their original order. Locations that hold files
use `reading` to read them. `memory` stores between two ingests what does not have to be read again.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.allowance import Allowance
from forecasting.prices.sources.documents import File
from forecasting.prices.sources.files import FileSource
from forecasting.prices.sources.http import HttpSource
from forecasting.prices.sources.objects import SCHEMES as OBJECT_SCHEMES
from forecasting.prices.sources.objects import ObjectSource
from forecasting.prices.sources.sql import SqlSource
from forecasting.prices.sources.uris import fill_in, scheme_of


class Source(Protocol):
    """A location that offers prices."""

    @property
    def tags(self) -> Mapping[str, str]:
        """A tag of its state, such as an ETag, for each file that `read` found. Known after `read` has ended.

        Pass them to the next `open_source`, and `read` skips the files that still have the same tag.
        """

    @property
    def read_all(self) -> bool:
        """Whether `read` returned everything (from `since` on), and not only new or changed files.

        Known after `read` has ended.
        """

    def files(self) -> AbstractContextManager[list[File]]:
        """The files of the source, in order, for as long as the context lasts.

        Raises:
            SourceError: the source does not exist, or is a database.
        """

    def read(self, since: np.datetime64 | None = None) -> Generator[pa.Table]:
        """Yield the offered rows, one per bar; no batch at all if nothing changed since `tags`.

        Rows are neither judged nor dropped here: a row that cannot be read is kept, with its text in `raw`.
        Rows without any value (`N/A` in a wide file) and excluded series are not offered.

        Args:
            since: datetime64[us], UTC; earlier bars are not wanted. A database leaves them out; files offer
                their whole history anyway.

        Raises:
            SourceError: the source does not exist, does not hold what the panel names, or holds more than the
                panel allows.
        """


@dataclass(frozen=True)
class _Bounded:
    """A source whose rows count against what its panel allows."""

    source: Source
    allowance: Allowance

    @property
    def tags(self) -> Mapping[str, str]:
        return self.source.tags

    @property
    def read_all(self) -> bool:
        return self.source.read_all

    def files(self) -> AbstractContextManager[list[File]]:
        return self.source.files()

    def read(self, since: np.datetime64 | None = None) -> Generator[pa.Table]:
        return self.allowance.keep(self.source.read(since))


_SOURCES: dict[str, Callable[[Panel, Mapping[str, str]], Source]] = {
    "file": FileSource,
    "http": HttpSource,
    "https": HttpSource,
    **dict.fromkeys(OBJECT_SCHEMES, ObjectSource),
}


SCHEMES = frozenset(_SOURCES)


def open_source(panel: Panel, read_before: Mapping[str, str] | None = None) -> Source:
    """Open the panel's source. `read_before` holds the tags of files already ingested (`memory.recall`).

    Raises:
        SourceError: the kind of source is unknown, or the URI names an environment variable that is not set.
    """
    uri = fill_in(panel.source.uri)
    scheme = scheme_of(uri)
    filled = panel.model_copy(update={"source": panel.source.model_copy(update={"uri": uri})})
    allowance = Allowance(filled.source)
    if panel.source.query:
        return _Bounded(SqlSource(filled), allowance)
    if scheme not in _SOURCES:
        known = ", ".join(sorted(_SOURCES))
        raise SourceError(
            f"no reader for {scheme}://; set [source].uri in panel {panel.name} to a path, "
            f"or one of {known}; a database needs [source].query"
        )
    return _Bounded(_SOURCES[scheme](filled, read_before or {}), allowance)


def read_source(panel: Panel) -> Iterator[pa.Table]:
    """Read everything that the panel's source offers; see `Source.read`."""
    return open_source(panel).read()
