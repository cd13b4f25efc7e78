"""Records: frozen dataclasses that the store keeps as JSON, checked when they are read."""

import json
import re
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, TypeAdapter, ValidationError

_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


class Record:
    """Base of a frozen dataclass that travels as JSON.

    Reading ignores fields that the class does not know, so that an older version of this package reads what
    a newer one wrote, and takes the defaults for fields that are absent.
    """

    def to_record(self) -> dict[str, Any]:
        """Return the record as a dict of JSON types."""
        return asdict(self)  # type: ignore[call-overload] # every subclass is a dataclass

    def to_json(self) -> bytes:
        """Return the record as JSON text: sorted keys, one line a value."""
        return json.dumps(self.to_record(), indent=1, sort_keys=True, allow_nan=False).encode()

    @classmethod
    def from_record(cls, record: object) -> Self:
        """Build the record from a dict of JSON types.

        Raises:
            ValueError: a field is missing or has a value of another type.
        """
        try:
            checked: Self = _adapter(cls).validate_python(record)
        except ValidationError as error:
            raise ValueError(_explain(cls, error)) from error
        return checked

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Build the record from JSON text.

        Raises:
            ValueError: the text is not JSON, a field is missing, or a field has a value of another type.
        """
        try:
            checked: Self = _adapter(cls).validate_json(data)
        except ValidationError as error:
            raise ValueError(_explain(cls, error)) from error
        return checked


def _adapter(kind: type[Record]) -> TypeAdapter[Any]:
    if (
        kind not in _ADAPTERS
    ):  # building one takes milliseconds, a folder of manifests has thousands of records
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _explain(kind: type[Record], error: ValidationError) -> str:
    """What is wrong with the first bad field, in one line."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"no {kind.__name__}: {field}: {first['msg']}" if field else f"no {kind.__name__}: {first['msg']}"


def _check_as_of(label: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d{4}Z)?", label):
        raise ValueError("not an as_of: YYYY-MM-DD or YYYY-MM-DDTHHMMZ")
    datetime.fromisoformat(label)
    return label


def _check_instant(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("not an instant: the time zone is missing")
    return text


# An `as_of` as paths write it, and an instant as ISO 8601 text with its time zone. Reading checks both.
AsOf = Annotated[str, AfterValidator(_check_as_of)]
Instant = Annotated[str, AfterValidator(_check_instant)]


def instant_of(text: Instant) -> datetime:
    """Return the instant as an aware datetime."""
    return datetime.fromisoformat(text)
