"""Records: frozen dataclasses that the store keeps as JSON, checked when they are read.

A record has a seal: the SHA-256 of its other fields. A bit that a disk flips, in a date for example, makes
the record damaged, and not a record of another date.
"""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, TypeAdapter, ValidationError, ValidationInfo

from forecasting.digests import digest_bytes

SEAL = "record_sha256"

# Clocks of two machines differ, and the bar of a date may close a few hours before midnight UTC.
_CLOCK_SLACK = timedelta(days=1)
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
        """Return the record as JSON text with its seal: sorted keys, one line a value."""
        return seal(self.to_record())

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

        A record without a seal, which an older version of this package wrote, must at least not be dated
        later than the clock and a day.

        Raises:
            ValueError: the text is not JSON, its seal is that of another text, a field is missing, or a field
                has a value of another type.
        """
        try:
            latest = None if check_seal(data) else datetime.now(UTC) + _CLOCK_SLACK
            checked: Self = _adapter(cls).validate_json(data, context=latest)
        except ValidationError as error:
            raise ValueError(_explain(cls, error)) from error
        except ValueError as error:
            raise ValueError(f"no {cls.__name__}: {error}") from error
        return checked


def seal(record: dict[str, Any]) -> bytes:
    """Return a record as JSON text, with the SHA-256 of its fields as one more field.

    >>> check_seal(seal({"as_of": "2026-10-30"}))
    True
    """
    fields = json.loads(json.dumps(record, allow_nan=False))
    return json.dumps({**fields, SEAL: _digest(fields)}, indent=1, sort_keys=True).encode()


def check_seal(data: bytes) -> bool:
    """Return whether a record's JSON text has a seal.

    Raises:
        ValueError: the text is not JSON, or its seal is that of another text.
    """
    fields = json.loads(data)
    if not isinstance(fields, dict) or SEAL not in fields:
        return False
    found = fields.pop(SEAL)
    if found != _digest(fields):
        raise ValueError(f"the record's {SEAL} is not that of its fields")
    return True


def _digest(fields: dict[str, Any]) -> str:
    return digest_bytes(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())


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


def _check_as_of(label: str, info: ValidationInfo) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d{4}Z)?", label):
        raise ValueError("not an as_of: YYYY-MM-DD or YYYY-MM-DDTHHMMZ")
    _check_not_later(datetime.fromisoformat(label[:10]).replace(tzinfo=UTC), info)
    datetime.fromisoformat(label)
    return label


def _check_instant(text: str, info: ValidationInfo) -> str:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("not an instant: the time zone is missing")
    _check_not_later(instant, info)
    return text


def _check_not_later(instant: datetime, info: ValidationInfo) -> None:
    """Check that an instant is not later than the context of the validation, if there is one."""
    if info.context is not None and instant > info.context:
        raise ValueError(f"lies in the future: {instant:%Y-%m-%d}")


# An `as_of` as paths write it, and an instant as ISO 8601 text with its time zone. Reading checks both.
AsOf = Annotated[str, AfterValidator(_check_as_of)]
Instant = Annotated[str, AfterValidator(_check_instant)]


def instant_of(text: Instant) -> datetime:
    """Return the instant as an aware datetime."""
    return datetime.fromisoformat(text)
