"""Memory: which state of its source a panel's prices hold already, so that it is not read again.

One object in the store, `sources/<panel>.json`; without it everything is read, which is never wrong.
"""

import json
from collections.abc import Mapping

import forecasting
from forecasting.digests import digest_record
from forecasting.panel import Panel
from forecasting.storage import Storage


def recall(storage: Storage, panel: Panel) -> dict[str, str]:
    """The tags that the last `remember` was given; none where the panel or the package has changed since."""
    data = storage.find(_path(panel))
    record = json.loads(data) if data else {}
    return record["tags"] if record.get("reader") == _reader(panel) else {}


def remember(storage: Storage, panel: Panel, tags: Mapping[str, str]) -> None:
    """Keep the tags of a source whose every row is in the prices or the quarantine.

    Call it only after those are written, and not while rows are pending: these must be read again.
    """
    record = {"reader": _reader(panel), "tags": dict(tags)}
    storage.put(_path(panel), json.dumps(record, indent=2, sort_keys=True).encode())


def _reader(panel: Panel) -> str:
    """Digest of all that decides what becomes of the source's rows; with secrets in it, so a digest."""
    settings = panel.model_dump(mode="json", include={"source", "bars", "forecast", "audit"})
    return digest_record({"settings": settings, "package": forecasting.__version__})


def _path(panel: Panel) -> str:
    return f"sources/{panel.name}.json"
