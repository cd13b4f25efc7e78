"""What pages are made of: tables, pictures, and templates to lay them out.

A page asks nothing of the network: its style, script and pictures are in it.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and what that means."""

    name: str
    numeric: bool = False
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, the number it sorts by, and where it leads."""

    text: str
    value: float | None = None
    href: str = ""


@dataclass(frozen=True)
class Table:
    """A table and its place on the page; `empty` is what to say where there are no rows."""

    key: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    empty: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture in the page: its anchor, what it shows in words, and its data URI."""

    anchor: str
    alt: str
    uri: str


def data_uri(png: bytes | None) -> str:
    """A picture as a URI that holds it; empty for none."""
    return "" if png is None else f"data:image/png;base64,{base64.b64encode(png).decode()}"


@cache
def load_template(name: str) -> Template:
    """A template of this package, which escapes all that it is given."""
    environment = Environment(
        loader=PackageLoader("forecasting.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["zip"] = partial(zip, strict=True)
    return environment.get_template(name)
