"""The mistakes of a panel file in words a person uses, all of them at once."""

import difflib
import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# What a value must be, by the start of the error's type.
_KINDS = {
    "int": "a whole number, like {example}",
    "float": "a number, like {example}",
    "string": "text in quotes, like {example}",
    "bool": "true or false, without quotes",
    "list": "a list, like {example}",
    "tuple": "a list, like {example}",
    "dict": "a table, like {example}",
    "model": "a section, like [{key}]",
    "date": 'a date, like "2025-01-09"',
}
_EXAMPLES: dict[str, Any] = {
    "int": 72,
    "float": 0.5,
    "string": "close",
    "list": ["EURUSD", "GBP*"],
    "tuple": ["EURUSD", "GBP*"],
    "dict": {"close": "Last"},
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_WANTED = {
    "literal_error": "{expected}",
    "string_pattern_mismatch": "a name of lower-case letters, digits, - and _, which begins with a letter or "
    "digit and has at most 64 characters",
    "string_too_long": "at most {max_length} character(s)",
    "string_too_short": "what is meant, not an empty text",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
}


def explain(error: ValidationError, panel: type[BaseModel]) -> str:
    """One line for all that is wrong: each key, what is wrong with it, and what to write instead."""
    said = list(dict.fromkeys(_explained(detail, panel) for detail in _relevant(error.errors())))
    if len(said) == 1:
        return said[0]
    return f"{len(said)} mistakes: " + "; ".join(f"({at}) {one}" for at, one in enumerate(said, start=1))


def _relevant(details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """The errors, but of the alternatives of one value only the first."""
    seen = set()
    for detail in details:
        location = detail["loc"][:2]
        if location in seen and detail["type"] != "extra_forbidden":
            continue
        seen.add(location)
        yield detail


def _explained(detail: ErrorDetails, panel: type[BaseModel]) -> str:
    # Of the alternatives of one value a location names the type too.
    parts = [str(part) for part in detail["loc"] if part != "str"]
    place = [part for part in parts if part.isidentifier() or part.isdigit()]
    key, kind = ".".join(place), detail["type"]
    if kind == "extra_forbidden":
        return _unknown(place, panel)
    if kind == "missing":
        return f"the key {key!r} is missing; add it"
    if kind == "value_error":
        return ": ".join(filter(None, (key, str(detail["ctx"]["error"]))))
    return f"{key} = {_written(detail['input'])} is not allowed; {_wanted(detail, place, panel)}"


def _unknown(place: list[str], panel: type[BaseModel]) -> str:
    key, name = ".".join(place), place[-1]
    here = _section(panel, place[:-1])
    near = difflib.get_close_matches(name, here, n=1)
    if near:
        return f"unknown key {key!r}; did you mean {near[0]!r}?"
    for section, keys in _sections(panel).items():
        other = name if name in keys else next(iter(difflib.get_close_matches(name, keys, n=1)), None)
        if other:
            return f"unknown key {key!r}; did you mean {other!r} in [{section}]?"
    return f"unknown key {key!r}; known here: {', '.join(here)}"


def _wanted(detail: ErrorDetails, place: list[str], panel: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"write a number that is {words} {context[bound]:g}"
    if kind in _WANTED:
        return "write " + _WANTED[kind].format(**context)
    start = kind.partition("_")[0]
    if start not in _KINDS:
        return f"{detail['msg'][0].lower()}{detail['msg'][1:]}"
    example = _default(panel, place) or _EXAMPLES.get(start, "")
    return "write " + _KINDS[start].format(example=_written(example), key=place[-1])


def _default(panel: type[BaseModel], place: list[str]) -> Any:
    """The default of a key, which shows how its value is written; None where it has none."""
    model: Any = panel
    for part in place:
        if not (isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields):
            return None
        field = model.model_fields[part]
        model = field.annotation
    default = field.get_default(call_default_factory=True)
    return default if isinstance(default, str | int | float | list | tuple | dict) else None


def _sections(panel: type[BaseModel]) -> dict[str, list[str]]:
    fields = {name: field.annotation for name, field in panel.model_fields.items()}
    return {
        name: list(kind.model_fields)
        for name, kind in fields.items()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }


def _section(panel: type[BaseModel], place: list[str]) -> list[str]:
    model: Any = panel
    for part in place:
        model = model.model_fields[part].annotation if hasattr(model, "model_fields") else model
    if hasattr(model, "model_fields"):
        return list(model.model_fields)
    keys = get_args(model)
    return [str(name) for name in get_args(keys[0])] if keys else []


def _written(value: Any) -> str:
    """A value as TOML writes it, or nearly."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_written(one)}" for key, one in value.items()) + " }"
    try:
        return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    except TypeError:
        return repr(value)
