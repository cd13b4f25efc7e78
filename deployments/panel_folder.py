"""The panel files that `nightcast serve` serves: which are new, changed, bad or gone since the last look.

Does not use Prefect.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecasting.digests import digest_bytes
from forecasting.errors import PanelError
from forecasting.panel import Panel, file_settings
from forecasting.prices.discovery.panel_file import panel_text

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """What happened to a panel's file.

    Attributes:
        name: the panel's name.
        text: what happened, for the line that tells it.
        panel: the panel to serve from now on; None if none is to be served.
        is_new: whether the panel was not served until now.
    """

    name: str
    text: str
    panel: Panel | None = None
    is_new: bool = False


class PanelFolder:
    """The panels of a folder, each in its last good version.

    A copy of each good version is kept, so that a panel whose file became bad goes on with it, also after a
    restart. A run reads the panel when it starts, and would fail with the bad file.

    Args:
        folder: the panels folder.
        kept: the folder of the copies, which is made.

    Raises:
        PanelError: no file is valid, and no copy of any is kept.
    """

    def __init__(self, folder: Path, kept: Path) -> None:
        self.path = folder
        self._kept = kept
        kept.mkdir(parents=True, exist_ok=True)
        self._panels: dict[str, Panel] = {}
        self._broken: dict[str, PanelError] = {}
        self._seen = self._taken = self._digests()
        for name in Panel.names(folder):
            self._load(name)
        if not self._panels:
            raise PanelError("; ".join(str(error) for error in self._broken.values()))

    @property
    def panels(self) -> list[Panel]:
        """The panels to serve, by name."""
        return [self._panels[name] for name in sorted(self._panels)]

    @property
    def broken(self) -> Mapping[str, PanelError]:
        """The error of each file that is not valid, by the panel's name."""
        return self._broken

    def reference(self, name: str) -> str:
        """How a run finds the panel: by its name in the folder, or by the path of the copy."""
        return str(self._copy(name)) if name in self._broken else name

    def fate(self, name: str) -> str:
        """What happens to the panel of a file that is not valid."""
        if name in self._panels:
            return f"panel {name} goes on with its last good version"
        return f"panel {name} is not served until the file is corrected"

    def look(self) -> list[Change]:
        """Find the files that have changed. One that changes between two looks waits for the next one.

        If no file is left, nothing changes: the folder is more likely gone than emptied.
        """
        found = self._digests()
        steady = {name for name in {*found, *self._taken} if found.get(name) == self._seen.get(name)}
        changed = [name for name in sorted(steady) if found.get(name) != self._taken.get(name)]
        was_there, self._seen = bool(self._seen), found
        if not found:
            if was_there:
                _log.error("%s has no panel files any more; its panels are served as they were", self.path)
            return []
        self._taken = {name: digest for name, digest in self._taken.items() if name not in changed}
        self._taken |= {name: found[name] for name in changed if name in found}
        return [change for name in changed if (change := self._take(name, is_there=name in found))]

    def _take(self, name: str, *, is_there: bool) -> Change | None:
        """Take a changed file in; None if nothing that is served changes."""
        before, was_broken = self._panels.get(name), name in self._broken
        if not is_there:
            self._panels.pop(name, None)
            self._broken.pop(name, None)
            self._copy(name).unlink(missing_ok=True)
            return Change(name, f"{name}: its panel file is gone")
        self._load(name)
        after = self._panels.get(name)
        if name in self._broken:
            return Change(name, f"{self._broken[name]}; {self.fate(name)}", after)
        if before is None:
            return Change(name, f"{name}: new panel", after, is_new=True)
        keys = _differences(before, self._panels[name])
        if keys:
            return Change(name, f"{name}: changed ({', '.join(keys)})", after)
        return Change(name, f"{name}: its panel file is good again", after) if was_broken else None

    def _load(self, name: str) -> None:
        try:
            panel = Panel.load_named(name, self.path)
            self._keep(panel)
        except PanelError as error:
            self._broken[name] = error
            if name not in self._panels:
                self._load_copy(name)
            return
        self._broken.pop(name, None)
        self._panels[name] = panel

    def _load_copy(self, name: str) -> None:
        try:
            self._panels[name] = Panel.load(self._copy(name))
        except PanelError:  # there is none, or a newer version of the package refuses it
            return

    def _keep(self, panel: Panel) -> None:
        """Write the copy in one step, since a run may be reading it. Its source is an absolute path."""
        given = file_settings(self.path / f"{panel.name}.toml")
        given["source"]["uri"] = panel.source.uri
        copy = self._copy(panel.name)
        draft = copy.with_suffix(".draft")
        draft.write_text(panel_text(given), encoding="utf-8")
        draft.replace(copy)

    def _copy(self, name: str) -> Path:
        return self._kept / f"{name}.toml"

    def _digests(self) -> dict[str, str]:
        """The digest of each panel file's bytes; empty for one that cannot be read."""
        return {path.stem: _digest(path) for path in self.path.glob("*.toml")}


def _digest(path: Path) -> str:
    try:
        return digest_bytes(path.read_bytes())
    except OSError:
        return ""  # it is there, and `Panel.load` says why it cannot be read


def _differences(before: Panel, after: Panel) -> list[str]:
    """The keys whose values differ, as `section.key`."""
    one, other = _flat(before), _flat(after)
    return [key for key in {**one, **other} if one.get(key) != other.get(key)]


def _flat(panel: Panel) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in panel.model_dump(mode="json").items():
        section = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name}.{key}".rstrip("."): one for key, one in section.items()}
    return flat
