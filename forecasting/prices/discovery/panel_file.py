"""The panel file: a discovered panel as TOML, written once and never over another."""

import os
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from forecasting.errors import PanelError

_HEAD = "# Written by nightcast new; docs/panel.md explains every key.\n"


def panel_text(panel: dict[str, Any]) -> str:
    """A panel's settings as TOML.

    >>> print(panel_text({"name": "x", "bars": {"freq": "1D"}}).splitlines()[-1])
    freq = "1D"
    """
    plain = [f"{key} = {_written(value)}" for key, value in panel.items() if not isinstance(value, dict)]
    sections = [
        "\n".join([f"[{name}]", *(f"{key} = {_written(value)}" for key, value in section.items())])
        for name, section in panel.items()
        if isinstance(section, dict)
    ]
    return "\n\n".join(["\n".join(plain), *sections]) + "\n"


def write_panel(panel: dict[str, Any], folder: Path) -> tuple[Path, str]:
    """Write a panel's file; a password in its URI becomes an environment variable's name.

    Args:
        panel: its settings.
        folder: of panels; it is made where it is missing.

    Returns:
        The file, and the variable that must hold the password; empty where there is none.

    Raises:
        PanelError: the file is there already, or cannot be written.
    """
    path = folder / f"{panel['name']}.toml"
    uri, variable = _without_password(str(panel["source"]["uri"]), str(panel["name"]))
    if "://" not in uri:
        uri = os.path.relpath(uri, folder.resolve())
    text = _HEAD + panel_text({**panel, "source": {**panel["source"], "uri": uri}})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise PanelError(f"{path} is there already, and stays as it is; give another --name") from error
    except OSError as error:
        raise PanelError(f"cannot write {path} ({error.strerror or error}); give another --panels") from error
    return path, variable


def _without_password(uri: str, name: str) -> tuple[str, str]:
    """The URI with `${VARIABLE}` for its password, and the variable; both as they are where it has none."""
    if "://" not in uri or "${" in uri:
        return uri, ""
    parts = urlsplit(uri)
    if not parts.password:
        return uri, ""
    variable = f"{name.upper().replace('-', '_')}_PASSWORD"
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:${{{variable}}}@{host}"
    return urlunsplit(parts._replace(netloc=netloc)), variable


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_written(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, date):
        return value.isoformat()
    return repr(value)


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    written = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in escaped)
    return f'"{written}"'
