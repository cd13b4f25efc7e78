"""Parts of HTML pages: tables, pictures and templates.

A page has no inline script. Style and scripts are static files of the store (`forecasting.reports.assets`).
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from forecasting.reports.assets import POLICY, asset_links


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
    """A cell of a table: its text, and the number it sorts by."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table of a page.

    `key` is its anchor, and `empty` the text shown if it has no rows. A `folded` one opens on request.
    """

    key: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    empty: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture in the page: its anchor, its alternative text, and its address or data URI."""

    anchor: str
    alt: str
    uri: str


def data_uri(png: bytes | None) -> str:
    """Return a picture as a data URI; empty for None."""
    return "" if png is None else f"data:image/png;base64,{base64.b64encode(png).decode()}"


def render_page(template: str, path: str, content: Mapping[str, Any]) -> str:
    """Return a page as HTML.

    Args:
        template: the file name of a template of this package.
        path: where the page goes, relative to the folder of `_assets/`, such as the store's root.
        content: the template's variables.
    """
    return _load_template(template).render(content, policy=POLICY, links=asset_links(path))


@cache
def _load_template(name: str) -> Template:
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
