"""Text in Markdown, as the Prefect UI reads artifacts, their descriptions and the cells of their tables.

Ids and messages come from data. Unescaped, an id could draw a link, or have the reader's browser ask any
address for a picture.
"""

import re

# What begins emphasis, code, links, pictures, tags and entities; an underscore inside a word begins nothing.
_SPECIAL = re.compile(r"[\\`*\[\]<>&~|@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# What becomes a link by itself.
_LINKS = re.compile(r"(:)(?=//)|((?<=www)\.)", re.IGNORECASE)
# What begins a list, a rule or a heading at the start of a line.
_NUMBER = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
_BULLET = re.compile(r"^(?:[-+](?=[\s-]|$)|#)")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])|\*\*|`")


def escape_markdown(text: str) -> str:
    r"""Return Markdown that shows a text as it is, in one line.

    >>> print(escape_markdown("![p](http://x.org) of stacked_lstm"))
    !\[p\](http\://x.org) of stacked_lstm
    """
    line = " ".join(text.split())
    line = _LINKS.sub(lambda match: f"\\{match[0]}", _SPECIAL.sub(r"\\\g<0>", line))
    line = _NUMBER.sub(r"\1\\\2", line)
    return _BULLET.sub(r"\\\g<0>", line)


def plain_text(markdown: str) -> str:
    r"""Return a line of Markdown as text for the terminal: without bold, code marks and escapes.

    >>> plain_text(r"**Report**: `a_b` of A\*B")
    'Report: a_b of A*B'
    """
    return _ESCAPED.sub(lambda match: match[1] or "", markdown)
