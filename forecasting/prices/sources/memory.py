"""Memory: what a panel's prices hold of its source already, and how much that source offered last time.

One object in the store, `sources/<panel>.json`; without it everything is read, which is never wrong.
"""

import logging

from pydantic import BaseModel, ConfigDict, ValidationError

import forecasting
from forecasting.digests import digest_record
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit.shrink import Extent
from forecasting.storage import Storage

_log = logging.getLogger(__name__)


class Memory(BaseModel):
    """What one ingest leaves for the next.

    Attributes:
        reader: digest of all that decides what becomes of the source's rows.
        tags: the state of each thing whose every row is in the prices or the quarantine: an ETag.
        findings: of those rows; they are as true while the tags stay.
        offered: how much there was when the source last offered all that it has.
        missing: how many stored bars the source lacked when `max_shrink = 1` let that pass.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reader: str = ""
    tags: dict[str, str] = {}
    findings: tuple[Finding, ...] = ()
    offered: Extent | None = None
    missing: int = 0


def recall(storage: Storage, panel: Panel) -> Memory | None:
    """What the last `remember` was given; None where the panel or the package has changed since."""
    data = storage.find(_path(panel))
    if data is None:
        return None
    try:
        memory = Memory.model_validate_json(data)
    except ValidationError as error:
        place = storage.display(_path(panel))
        _log.warning("%s cannot be read (%d errors); reading all of the source", place, error.error_count())
        return None
    return memory if memory.reader == _reader(panel) else None


def remember(storage: Storage, panel: Panel, memory: Memory) -> None:
    """Keep it; call this only after the prices and the quarantine are written."""
    memory = memory.model_copy(update={"reader": _reader(panel)})
    storage.put(_path(panel), memory.model_dump_json(indent=2).encode())


def _reader(panel: Panel) -> str:
    """Digest of all that decides what becomes of the source's rows; with secrets in it, so a digest."""
    settings = panel.model_dump(
        mode="json",
        include={
            "source": True,
            "bars": True,
            "forecast": {"transform", "target"},
            "audit": {"adjust_splits", "split_scales"},
        },
        exclude={"source": {"overlap_days", "max_megabytes", "time_limit_minutes"}},
    )
    return digest_record({"settings": settings, "package": forecasting.__version__})


def _path(panel: Panel) -> str:
    return f"sources/{panel.name}.json"
