"""Where a forecast and its parts are in the store. `docs/contract.md` documents these paths."""

from dataclasses import dataclass

from forecasting.storage import file_name

INDEX = "index.html"
FORECAST = "forecast.parquet"
WALKS = "_walks.parquet"
REPORT = "_report.html"
REPORT_DATA = "_report"
CHARTS = "_charts"
MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class ForecastAddress:
    """The place of one forecast.

    Attributes:
        panel: the name of the forecast's panel.
        as_of: the forecast's `as_of`, as written in paths.
        forecast_id: the forecast's identity.
    """

    panel: str
    as_of: str
    forecast_id: str

    @property
    def folder(self) -> str:
        """The forecast's folder in the store."""
        return f"{as_of_folder(self.panel, self.as_of)}/id={self.forecast_id}"

    def path(self, name: str) -> str:
        """Return the path of an object in the forecast's folder."""
        return f"{self.folder}/{name}"

    def chart(self, unique_id: str) -> str:
        """Return the path of a series' chart."""
        return self.path(f"{CHARTS}/{chart_name(unique_id)}")


def chart_name(unique_id: str) -> str:
    """Return the file name of a series' chart in `_charts/`."""
    return f"{file_name(unique_id)}.png"


def forecasts_folder(panel: str) -> str:
    """Return the folder of all forecasts of a panel."""
    return f"forecasts/{panel}"


def as_of_folder(panel: str, as_of: str) -> str:
    """Return the folder of all forecasts of one `as_of`."""
    return f"{forecasts_folder(panel)}/as_of={as_of}"


def latest_table(panel: str) -> str:
    """Return the path of the copy of the newest forecast."""
    return f"latest/{panel}.parquet"


def latest_pointer(panel: str) -> str:
    """Return the path of the pointer to the newest forecast."""
    return f"latest/{panel}.json"
