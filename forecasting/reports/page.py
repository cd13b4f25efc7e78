"""Parts of HTML pages: tables, pictures and templates.

A page is self-contained: it includes its style, script and pictures, and loads nothing from the network.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and a note that explains the heading.

    The texts of a `short` column stay on one line.
    """

    name: str
    numeric: bool = False
    short: bool = False
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, the number it sorts by, and its link."""

    text: str
    value: float | None = None
    href: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a page; `key` is its anchor, and `empty` the text shown if it has no rows."""

    key: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    empty: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture in the page: its anchor, its alternative text, and its data URI."""

    anchor: str
    alt: str
    uri: str


def data_uri(png: bytes | None) -> str:
    """Return a picture as a data URI; empty for None."""
    return "" if png is None else f"data:image/png;base64,{base64.b64encode(png).decode()}"


@cache
def load_template(name: str) -> Template:
    """Load a template of this package. It escapes all values."""
    environment = Environment(
        loader=PackageLoader("forecasting.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["zip"] = partial(zip, strict=True)
    return environment.get_template(name)
