"""Ids from paths: the file's name, or the folder where that is what tells one series from another."""

import re
from collections.abc import Iterable
from pathlib import PurePath
from urllib.parse import unquote

from forecasting.errors import SourceError
from forecasting.panel_settings import Source
from forecasting.prices.sources.documents import Document

# Folders that hold a part of every series: a year, a date, `month=3`.
_DATE_KEYS = frozenset({"year", "month", "day", "date", "dt", "hour", "week"})
_DATE_FOLDER = re.compile(
    r"(?:(?:year|month|day|date|dt|hour|week)=.*)|\d{1,4}(?:[-_.]?\d{2}){0,2}", re.IGNORECASE
)
_ID_KEYS = ("unique_id", "symbol", "ticker", "series", "instrument", "asset", "code", "id", "name")


class SeriesNames:
    """The ids of documents that hold one series each.

    The folder is the id where the files of several folders have one name (`ACME/daily.csv`), or where it
    says so (`symbol=ACME/part-0.parquet`).
    """

    def __init__(self, paths: Iterable[str], source: Source) -> None:
        self._source = source
        self._paths = [PurePath(path) for path in paths]
        self._by_folder: bool | None = None

    def open_archive(self, name: str, documents: Iterable[Document]) -> None:
        """Take the documents of an archive instead of the archive."""
        self._paths = [path for path in self._paths if path != PurePath(name)]
        self._paths += [PurePath(document.name) for document in documents]
        self._by_folder = None

    def of(self, document: Document) -> str:
        """The id of a document.

        Raises:
            SourceError: its name holds none, or two documents of one name lie in folders that do not tell
                them apart.
        """
        path = PurePath(document.name)
        hive = hive_values(document.name)
        key = self._hive_key()
        if key and key in hive:
            return hive[key]
        series = _id_in(document, self._source.id_in_file_name)
        if self._by_folder is None:
            self._by_folder = self._is_by_folder()
        return _folder(path) if self._by_folder else series

    def _hive_key(self) -> str:
        """The part of `key=value` folders that names a series: a usual one, or the only one."""
        folders = [hive_values(str(path)) for path in self._paths]
        keys = set.intersection(*(set(values) for values in folders)) if folders else set()
        keys = {key for key in keys if key.lower() not in _DATE_KEYS}
        usual = [key for name in _ID_KEYS for key in keys if key.lower() == name]
        return usual[0] if usual else keys.pop() if len(keys) == 1 else ""

    def _is_by_folder(self) -> bool:
        names: dict[str, dict[str, PurePath]] = {}
        for path in self._paths:
            places = names.setdefault(_stem(path), {})
            places.setdefault(str(_without_dates(path.parent)), path)
        shared = [places for places in names.values() if len(places) > 1]
        if not shared:
            return False
        folders = [_without_dates(path.parent).name for path in shared[0].values()]
        if len(names) > 1 or len(set(folders)) < len(folders):
            first, second = list(shared[0].values())[:2]
            raise SourceError(
                f"{first} and {second} have one name, so both would be the series {_stem(first)!r}; give the "
                "files names of their own, or put the id into a column and name it in [source].id_column"
            )
        return True


def hive_values(name: str) -> dict[str, str]:
    """The values in a path's folders of the form `key=value`."""
    pairs = [part.split("=", 1) for part in PurePath(name).parts[:-1] if part.count("=") == 1]
    return {key: unquote(value) for key, value in pairs if key.isidentifier()}


def _id_in(document: Document, pattern: str) -> str:
    before, _, after = pattern.partition("*")
    series = document.stem.removeprefix(before).removesuffix(after)
    if not series or len(series) != len(document.stem) - len(before) - len(after):
        raise SourceError(
            f"{document.name}: no id in the file's name, which is not like {pattern!r}; "
            "correct [source].id_in_file_name in the panel, or remove the file"
        )
    return series


def _stem(path: PurePath) -> str:
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return PurePath(name).stem


def _without_dates(folder: PurePath) -> PurePath:
    while folder.name and _DATE_FOLDER.fullmatch(folder.name):
        folder = folder.parent
    return folder


def _folder(path: PurePath) -> str:
    name = _without_dates(path.parent).name
    return PurePath(name).stem if name.lower().endswith(".zip") else name
