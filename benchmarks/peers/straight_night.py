"""A night as a straight script with a peer library: `straight_night.py LIBRARY PRICES OUTPUT [--charts]`.

Reads all CSV files of a folder, forecasts 72 bars of each series, writes Parquet and, if asked, a picture of
each series, as the documentation of the libraries shows it. For the interpreter of `make bench-peers`.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

HORIZON, CONTEXT = 72, 120
LEVELS = [20, 40, 60, 80, 90]  # central intervals; with the median, eleven quantiles


def statsforecast(prices: pd.DataFrame, model: str) -> pd.DataFrame:
    """Forecast with one of the models of statsforecast."""
    from statsforecast import StatsForecast, models  # noqa: PLC0415 - only what a library needs is imported

    library = StatsForecast(models=[getattr(models, model)(alias="model")], freq="D", n_jobs=-1)
    return library.forecast(df=prices, h=HORIZON, level=LEVELS)


def neuralforecast(prices: pd.DataFrame, steps: int) -> pd.DataFrame:
    """Train the library's LSTM on all series for so many steps, and forecast with it."""
    from neuralforecast import NeuralForecast  # noqa: PLC0415 - as above
    from neuralforecast.losses.pytorch import MQLoss  # noqa: PLC0415 - as above
    from neuralforecast.models import LSTM  # noqa: PLC0415 - as above

    network = LSTM(
        h=HORIZON,
        input_size=CONTEXT,
        loss=MQLoss(level=LEVELS),
        encoder_hidden_size=32,
        decoder_hidden_size=64,
        max_steps=steps,
        scaler_type="robust",
        alias="model",
        enable_progress_bar=False,
        logger=False,
        enable_checkpointing=False,
    )
    library = NeuralForecast(models=[network], freq="D")
    library.fit(prices)
    return library.predict()


def draw(prices: pd.DataFrame, forecasts: pd.DataFrame, folder: Path) -> None:
    """Draw the last 180 prices of each series and its forecast with two intervals."""
    import matplotlib as mpl  # noqa: PLC0415 - only for charts

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    middle = "model-median" if "model-median" in forecasts else "model"
    past = dict(iter(prices.groupby("unique_id")))
    for unique_id, ahead in forecasts.groupby("unique_id"):
        known = past[unique_id].tail(180)
        figure, axes = plt.subplots(figsize=(12, 5))
        axes.plot(known["ds"], np.exp(known["y"]), label="price")
        axes.plot(ahead["ds"], ahead[middle], label="forecast")
        for level in (90, 80):
            low, high = ahead[f"model-lo-{level}"], ahead[f"model-hi-{level}"]
            axes.fill_between(ahead["ds"], low, high, alpha=0.2, label=f"{level}%")
        axes.set_title(str(unique_id))
        axes.legend()
        figure.savefig(folder / f"{unique_id}.png")
        plt.close(figure)


def main() -> None:
    """Run the night."""
    parser = argparse.ArgumentParser()
    parser.add_argument("library", help="a model of statsforecast, or steps:N of neuralforecast's LSTM")
    parser.add_argument("prices", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--charts", action="store_true")
    words = parser.parse_args()
    files = sorted(words.prices.glob("*.csv"))
    prices = pd.concat([pd.read_csv(file, parse_dates=["ds"]) for file in files])
    prices["ds"] = prices["ds"].dt.tz_localize(None)
    prices = prices.rename(columns={"close": "y"}).sort_values(["unique_id", "ds"], ignore_index=True)
    prices["y"] = np.log(prices["y"])
    name, _, steps = words.library.partition(":")
    forecasts = neuralforecast(prices, int(steps)) if name == "steps" else statsforecast(prices, name)
    values = forecasts.columns.drop(["unique_id", "ds"])
    forecasts[values] = np.exp(forecasts[values])
    forecasts.columns = forecasts.columns.str.replace(
        r"^model\d+", "model", regex=True
    )  # neuralforecast numbers it
    words.output.mkdir(exist_ok=True)
    forecasts.to_parquet(words.output / "forecast.parquet", index=False)
    if words.charts:
        draw(prices, forecasts, words.output)


if __name__ == "__main__":
    main()
