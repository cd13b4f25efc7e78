"""Memory: which files of a source were ingested already, and how much the source offered last time.

It is one object in the store, `sources/<panel>.json`. Without it the whole source is read.
"""

import json
import logging

from pydantic import BaseModel, ConfigDict

import forecasting
from forecasting.digests import digest_record
from forecasting.errors import first_line
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit.shrink import Extent
from forecasting.records import SEAL, check_seal, seal
from forecasting.storage import Storage

_log = logging.getLogger(__name__)


class Memory(BaseModel):
    """What one ingest stores for the next.

    Attributes:
        reader: digest of everything that decides how the source's rows are read and audited.
        tags: state, such as an ETag, of each file whose rows are all in the prices or the quarantine.
        findings: findings on those rows; they remain valid while the tags do.
        offered: extent of the source when it was last read completely.
        missing: number of stored bars that the source lacked when `max_shrink = 1` accepted the loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reader: str = ""
    tags: dict[str, str] = {}
    findings: tuple[Finding, ...] = ()
    offered: Extent | None = None
    missing: int = 0


def recall(storage: Storage, panel: Panel) -> Memory | None:
    """The memory that `remember` stored last; None if the panel or the package has changed since."""
    data = storage.find(_path(panel))
    if data is None:
        return None
    try:
        check_seal(data)
        fields = json.loads(data)
        memory = Memory.model_validate({name: fields[name] for name in fields if name != SEAL})
    except (ValueError, TypeError) as error:
        place = storage.display(_path(panel))
        _log.warning("%s cannot be read (%s); reading all of the source", place, first_line(error))
        return None
    return memory if memory.reader == _reader(panel) else None


def remember(storage: Storage, panel: Panel, memory: Memory) -> None:
    """Store the memory. Call this only after the prices and the quarantine have been written."""
    memory = memory.model_copy(update={"reader": _reader(panel)})
    storage.put(_path(panel), seal(memory.model_dump(mode="json")))


def forget(storage: Storage, panel: Panel) -> None:
    """Remove the memory, so that the next ingest reads the whole source."""
    storage.delete([_path(panel)])


def _reader(panel: Panel) -> str:
    """Digest of everything that decides how rows are read and audited. It may contain secrets, so no text."""
    settings = panel.model_dump(
        mode="json",
        include={
            "source": True,
            "bars": True,
            "forecast": {"transform", "target"},
            "audit": {"adjust_splits", "split_scales", "revision_tolerance"},
        },
        exclude={"source": {"overlap_days", "max_megabytes", "time_limit_minutes"}},
    )
    return digest_record({"settings": settings, "package": forecasting.__version__})


def _path(panel: Panel) -> str:
    return f"sources/{panel.name}.json"
