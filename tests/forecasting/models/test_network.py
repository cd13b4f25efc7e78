"""The forward pass in numpy, against Keras; and files that are not a network."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecasting.errors import ModelError
from forecasting.models.backend import keras
from forecasting.models.network import Network
from forecasting.models.pretraining import build_network
from forecasting.models.shipped import FOLDER, NETWORK, shipped_network, shipped_pretraining
from forecasting.models.simulation.samples import Sample

# Keras saves its variables by a way that numpy 2 warns of.
SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample.join([Sample.draw((1, 2), kind, series=150) for kind in ("daily", "intraday")])


def stored(model: Any, folder: Path) -> bytes:
    path = folder / "model.keras"
    model.save(path)
    return path.read_bytes()


@SAVES
@pytest.mark.parametrize("units", [(32, 16), (5,), (4, 3, 2)])
def test_numpy_says_what_keras_says(units: tuple[int, ...], sample: Sample, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = build_network(units)
    # The last layer starts at zero, which would hide everything before it.
    model.get_layer("numbers").set_weights([np.random.default_rng(1).normal(size=(64, 28)), np.ones(28)])
    network = Network.read(stored(model, tmp_path))
    expected = model.predict([sample.contexts, sample.at_origin], verbose=0)
    found = network(sample.contexts, sample.at_origin)
    assert np.abs(expected).mean() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_shipped_network_says_what_keras_says(sample: Sample) -> None:
    model = keras.saving.load_model(FOLDER / NETWORK, compile=False)
    expected = model.predict([sample.contexts, sample.at_origin], verbose=0)
    found = shipped_network()(sample.contexts, sample.at_origin)
    assert np.abs(found - expected).max() < 1e-5


def test_no_window_changes_the_numbers_of_another(sample: Sample) -> None:
    network = shipped_network()
    together = network(sample.contexts, sample.at_origin)
    alone = network(sample.contexts[7:8], sample.at_origin[7:8])
    np.testing.assert_allclose(together[7:8], alone, atol=1e-5)


def test_no_windows_give_no_numbers(sample: Sample) -> None:
    assert shipped_network()(sample.contexts[:0], sample.at_origin[:0]).shape == (0, 28)


def test_the_metadata_are_of_the_shipped_weights() -> None:
    assert shipped_pretraining().weights_digest == shipped_network().digest


@SAVES
@pytest.mark.parametrize("damage", ["not a zip", "no weights", "other layers"])
def test_a_damaged_file_is_named_as_such(damage: str, tmp_path: Path) -> None:
    if damage == "not a zip":
        data = b"nothing of the kind"
    elif damage == "no weights":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("config.json", "{}")
        data = buffer.getvalue()
    else:
        inputs = keras.Input((3,))
        data = stored(keras.Model(inputs, keras.layers.Dense(2)(inputs)), tmp_path)
    with pytest.raises(ModelError, match="the stored network is damaged"):
        Network.read(data)
