import pytest

from forecasting.errors import first_line, one_line


@pytest.mark.parametrize(
    ("text", "first", "one"),
    [
        (ValueError("no bucket\n\nclient { timeout: 60 }"), "no bucket", "no bucket client { timeout: 60 }"),
        (ValueError("  padded \n"), "padded", "padded"),
        (TimeoutError(), "TimeoutError", "TimeoutError"),
        ("a message\nof two lines", "a message", "a message of two lines"),
        ("", "", ""),
    ],
)
def test_lines_of_an_error(text: object, first: str, one: str) -> None:
    assert (first_line(text), one_line(text)) == (first, one)
