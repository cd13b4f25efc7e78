"""Cells: the text of a file without what stands for nothing; `numbers` and `times` read the rest."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

# Spaces, and the NUL with which fields of a fixed width are filled.
_BLANK = " \t\r\n\v\f\0\u00a0"


def read_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without surrounding blanks; null if empty."""
    text = pc.utf8_trim(column.cast(pa.string()), _BLANK)
    return pc.if_else(pc.equal(text, ""), None, text)


def absent_as_null(column: pa.ChunkedArray, na_values: Iterable[str]) -> pa.ChunkedArray:
    """The column with empty texts and `na_values` replaced by null."""
    if not is_text(column.type):
        return column
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.is_in(text, value_set=pa.array(["", *na_values])), None, text)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
