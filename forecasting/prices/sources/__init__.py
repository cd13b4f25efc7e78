"""Price sources: one module for each kind of place, chosen by the scheme of the panel's URI.

A source yields what the place offers in batches of `schema.OFFERED`, in the order of the place. Places that
hold files leave the reading of those to `reading`; `memory` keeps between two ingests what need not be read
again.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.files import FileSource
from forecasting.prices.sources.http import HttpSource
from forecasting.prices.sources.objects import SCHEMES as OBJECT_SCHEMES
from forecasting.prices.sources.objects import ObjectSource
from forecasting.prices.sources.sql import SqlSource
from forecasting.prices.sources.uris import fill_in, scheme_of


class Source(Protocol):
    """A place that offers prices."""

    @property
    def tags(self) -> Mapping[str, str]:
        """What `read` found, each thing with a tag of its state: an ETag. Known once `read` has ended.

        Given to the next `open_source`, it lets `read` pass over what still has that tag.
        """

    @property
    def read_all(self) -> bool:
        """Whether `read` gave all that is there (since `since`), and not just what changed or was added.

        Known once `read` has ended.
        """

    def read(self, since: np.datetime64 | None = None) -> Iterator[pa.Table]:
        """What the place offers, one row a bar; no batch at all where nothing changed since `tags`.

        Nothing is judged here, and nothing is dropped: what cannot be read becomes a row that says so in
        `raw`. A row without any value is not an offer (`N/A` in a wide file), nor is an excluded series.

        Args:
            since: datetime64[us], UTC; bars before it are not wanted. A database leaves them out; files
                offer whole histories all the same.

        Raises:
            SourceError: the source is not there, or does not hold what the panel names.
        """


_SOURCES: dict[str, Callable[[Panel, Mapping[str, str]], Source]] = {
    "file": FileSource,
    "http": HttpSource,
    "https": HttpSource,
    **dict.fromkeys(OBJECT_SCHEMES, ObjectSource),
}


def open_source(panel: Panel, read_before: Mapping[str, str] | None = None) -> Source:
    """The panel's source. `read_before` holds the tags of what is in the store already (`memory.recall`).

    Raises:
        SourceError: no source is of that kind, or the URI names an environment variable that is not set.
    """
    uri = fill_in(panel.source.uri)
    scheme = scheme_of(uri)
    filled = panel.model_copy(update={"source": panel.source.model_copy(update={"uri": uri})})
    if panel.source.query:
        return SqlSource(filled)
    if scheme not in _SOURCES:
        known = ", ".join(sorted(_SOURCES))
        raise SourceError(
            f"no reader for {scheme}://; set [source].uri in panel {panel.name} to a path, "
            f"or one of {known}; a database needs [source].query"
        )
    return _SOURCES[scheme](filled, read_before or {})


def read_source(panel: Panel) -> Iterator[pa.Table]:
    """All that the panel's source offers; see `Source.read`."""
    return open_source(panel).read()
