"""Numbers as people and vendors write them: `1,234.56`, `$224.93`, `3.1M`; and why one is not read."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from forecasting.prices.sources.cells import is_text

# The numbers that `float` accepts, except those with a leading + or underscores.
_PLAIN = r"(?i)^-?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)$"
_PLAIN_COMMA = r"(?i)^-?((\d+,?\d*|,\d+)(e[+-]?\d+)?|nan|inf|infinity)$"

_CURRENCY = r"(?:[$\u20ac\u00a3\u00a5\u20b9\u20a9\u20bd\u20ba\u20ab\u20aa]|US\$|[A-Z]{3})"
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "mn": 1e6, "b": 1e9, "bn": 1e9, "t": 1e12}
_WRITTEN = re.compile(
    rf"(?P<sign>[+-]?)\s*{_CURRENCY}?\s*(?P<minus>-?)(?P<digits>\d[\d.,' ]*|[.,]\d+)\s*"
    rf"(?P<suffix>[kKmMbBtT]|mn|bn|Mn|Bn)?\s*{_CURRENCY}?"
)
_SPACES = str.maketrans({"\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2019": "'", "\u2212": "-"})
# Groups of three digits, or the Indian ones of two and then three.
_GROUPED_POINT = re.compile(
    r"\d{1,3}(?:(?P<mark>[,' ])\d{3})(?:(?P=mark)\d{3})*(?:\.\d*)?|\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d*)?"
)
_GROUPED_COMMA = re.compile(r"\d{1,3}(?:(?P<mark>[.' ])\d{3})(?:(?P=mark)\d{3})*(?:,\d*)?")
_BARE_POINT = re.compile(r"\d+\.?\d*|\.\d+")
_BARE_COMMA = re.compile(r"\d+,?\d*|,\d+")
_WITH_EXPONENT = re.compile(r"-?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
# One comma before three digits: thousands, or a decimal comma with three decimals.
_AMBIGUOUS = re.compile(r"\d{1,3},\d{3}")

# What proves a decimal mark, one number at a time.
_PROVES_POINT = re.compile(r"[+-]?(?:\d*\.(?:\d{1,2}|\d{4,})|\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,})")
_PROVES_COMMA = re.compile(r"[+-]?(?:\d*,(?:\d{1,2}|\d{4,})|\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,})")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[ '](?=\d{3})")
_THREE_DECIMALS = re.compile(r"[+-]?\d{1,3}\.\d{3}")


def read_numbers(column: pa.ChunkedArray, decimal: str = "") -> pa.ChunkedArray:
    """The column as float64; null where a text is not a number.

    Currency signs, thousands separators, and the suffixes K, M, B and T are read. A single comma before three
    digits is read only if the decimal mark is known, or if other numbers of the column prove it.

    Args:
        column: texts or numbers.
        decimal: the decimal mark; a point where empty, which is then not certain.

    Raises:
        pyarrow.ArrowNotImplementedError: the type of the column holds no numbers.
    """
    if not is_text(column.type):
        return column.cast(pa.float64(), safe=False)
    column = column.cast(pa.string())
    if decimal == ",":
        plain = pc.match_substring_regex(column, _PLAIN_COMMA)
        numbers = pc.replace_substring(pc.if_else(plain, column, None), ",", ".").cast(pa.float64())
    else:
        try:
            return column.cast(pa.float64())
        except pa.ArrowInvalid:  # at least one text is not a plain number
            plain = pc.match_substring_regex(column, _PLAIN)
            numbers = pc.if_else(plain, column, None).cast(pa.float64())
    others = pc.and_(pc.is_valid(column), pc.invert(plain))
    if not pc.any(others).as_py():
        return numbers
    written = pc.if_else(others, column, None).combine_chunks().dictionary_encode()
    if isinstance(written, pa.ChunkedArray):
        written = written.combine_chunks()
    texts = written.dictionary.to_pylist()
    known = decimal or _proven_mark(texts, column)
    values = pa.array([parse_number(text, known) for text in texts], pa.float64())
    return pc.coalesce(numbers, pa.chunked_array([values.take(written.indices)]))


def parse_number(text: str, decimal: str) -> float | None:
    """The number that a text means; None where it means none, or may mean two.

    >>> parse_number("$1,234.56", "."), parse_number("3.1M", ""), parse_number("1.234,5", ",")
    (1234.56, 3100000.0, 1234.5)
    >>> parse_number("1,234", "") is None
    True
    """
    text = text.translate(_SPACES).strip()
    if text.startswith("(") and text.endswith(")"):
        text = f"-{text[1:-1]}"
    if decimal != "," and _WITH_EXPONENT.fullmatch(text):
        return float(text)
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    digits = match["digits"].strip()
    bare, grouped = (_BARE_COMMA, _GROUPED_COMMA) if decimal == "," else (_BARE_POINT, _GROUPED_POINT)
    if not bare.fullmatch(digits):
        if not grouped.fullmatch(digits) or (not decimal and _AMBIGUOUS.fullmatch(digits)):
            return None
        digits = re.sub(r"[.' ]" if decimal == "," else r"[,' ]", "", digits)
    if match["sign"] and match["minus"]:
        return None
    value = float(digits.replace(",", ".")) * _FACTORS[(match["suffix"] or "").lower()]
    return -value if "-" in (match["sign"], match["minus"]) else value


def decimal_mark(texts: list[str]) -> str:
    """The decimal mark that numbers prove: "." or ","; "" where they prove none, "?" where they prove both.

    Three digits after a mark prove nothing, unless there are two such marks. Spaces and apostrophes between
    digits separate thousands and prove nothing.

    >>> decimal_mark(["38.000", "-0,3"]), decimal_mark(["1,250"]), decimal_mark(["1.55", "2,5"])
    (',', '', '?')
    >>> decimal_mark(["9 920,50"]), decimal_mark(["9'920.50"])
    (',', '.')
    """
    texts = [_BETWEEN_DIGITS.sub("", text.translate(_SPACES)) for text in texts]
    point, comma = (any(map(proof.fullmatch, texts)) for proof in (_PROVES_POINT, _PROVES_COMMA))
    return "?" if point and comma else "." if point else "," if comma else ""


def may_be_thousands(texts: list[str]) -> bool:
    """Whether all numbers with a point have three digits behind it, so that it may separate thousands."""
    pointed = [text for text in texts if "." in text and any(map(str.isdigit, text))]
    return bool(pointed) and all(map(_THREE_DECIMALS.fullmatch, pointed))


def why_no_number(text: str, decimal: str = "") -> str:
    """Why a text is not read as a number, and what to do."""
    if text.rstrip().endswith("%"):
        return "is a percentage; map another column in [source.columns]"
    if decimal != "," and parse_number(text, ",") is not None:
        if parse_number(text, ".") is not None:
            return 'may have a decimal comma or a thousands separator: set [source].decimal = "," or "."'
        return 'has a decimal comma: set [source].decimal = ","'
    if decimal == "," and parse_number(text, ".") is not None:
        return 'has a decimal point: set [source].decimal = "."'
    return "is not a number: if it stands for no value, add it to [source].na_values"


def _proven_mark(texts: list[str], column: pa.ChunkedArray) -> str:
    mark = decimal_mark([text.strip() for text in texts])
    if mark:
        return mark if mark == "." else ""
    has_point = pc.any(pc.match_substring_regex(column, r"^-?\d*\.\d+$")).as_py()
    return "." if has_point else ""
