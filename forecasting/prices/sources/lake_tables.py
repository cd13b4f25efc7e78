"""Tables of a data lake: Delta tables are read as such, and no file of another format is taken for prices."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from forecasting.errors import SourceError, first_line
from forecasting.prices.delta import open_dataset

LOG = "_delta_log"
# A folder that marks a table whose files must not be read one by one.
_OTHERS = {".hoodie": "a Hudi table", "metadata": "an Iceberg table"}
_BATCH_ROWS = 1 << 20


def is_delta(folder: Path) -> bool:
    """Whether a local folder is a Delta table."""
    return (folder / LOG).is_dir()


def delta_root(paths: list[str]) -> str | None:
    """The folder of the Delta table among listed paths; None where there is none."""
    roots = {path.split(f"{LOG}/", 1)[0].rstrip("/") for path in paths if f"{LOG}/" in path}
    return min(roots, key=len) if roots else None


def refuse_table_files(paths: list[Path]) -> None:
    """Refuse files that belong to a table: some of them may be replaced or deleted rows.

    Raises:
        SourceError: one lies below the folder of a table.
    """
    for folder in {parent for path in paths for parent in path.parents}:
        if is_delta(folder):
            raise SourceError(
                f"{folder} is a Delta table, whose files may hold deleted rows; set [source].uri to that "
                "folder"
            )
        for mark, kind in _OTHERS.items():
            marked = folder / mark
            if marked.is_dir() and (mark.startswith(".") or any(marked.glob("*.metadata.json"))):
                raise SourceError(
                    f"{folder} is {kind}, whose files may hold deleted rows; export it as Parquet or CSV "
                    "files"
                )


def read_delta(uri: str, name: str, options: Mapping[str, str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of the newest version of a Delta table.

    Args:
        uri: of its folder.
        name: of it in messages.
        options: for the object store.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        table = DeltaTable(uri, storage_options=dict(options) if options else None)
        yield from open_dataset(table).to_batches(batch_size=_BATCH_ROWS)
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise SourceError(
            f"{name} is a Delta table that cannot be read ({first_line(error)}); mend it, or export it as "
            "Parquet or CSV files"
        ) from error
