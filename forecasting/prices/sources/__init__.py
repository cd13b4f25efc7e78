"""Price sources: one module for each kind of place, chosen by the panel's URI.

Such a module has one function that yields what the place offers in batches of `schema.OFFERED`, in the order
of the source; places that hold files leave the reading of those to `documents`.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.files import read_files

_READERS: dict[str, Callable[[Panel], Iterator[pa.Table]]] = {"file": read_files}


def read_source(panel: Panel) -> Iterator[pa.Table]:
    """What the panel's source offers: batches of `schema.OFFERED`, one row a bar, in the source's order.

    Nothing is judged here, and nothing is dropped: what cannot be read becomes a row that says so in `raw`.
    A row without any value is not an offer (`N/A` in a wide file).

    Raises:
        SourceError: the source is not there, is of an unknown kind, or does not hold what the panel names.
    """
    uri = panel.source.uri
    scheme = uri.partition("://")[0] if "://" in uri else "file"
    if scheme not in _READERS:
        known = ", ".join(sorted(_READERS))
        raise SourceError(
            f"no reader for {scheme}://; set [source].uri in panel {panel.name} to a path, or one of {known}"
        )
    return _READERS[scheme](panel)
