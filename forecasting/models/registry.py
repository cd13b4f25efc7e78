"""The registry: the trained versions of a panel's model.

A version's `metadata.json` is written last and commits the version.
"""

from dataclasses import dataclass, field
from typing import Any

from forecasting.digests import digest_bytes, digest_record
from forecasting.errors import ModelError
from forecasting.models.forecaster import Forecaster
from forecasting.models.training import TrainedNetwork, load_network
from forecasting.panel import Panel
from forecasting.records import Instant, Record
from forecasting.storage import Storage

METADATA = "metadata.json"
_NETWORK = "model.keras"
# The folder beside the versions that keeps the decisions about who publishes.
PROMOTIONS = "promotions"


@dataclass(frozen=True, kw_only=True)
class ModelMetadata(Record):
    """What is known of a trained version.

    Attributes:
        version: the version's digest.
        sha256: SHA-256 of its network file.
        settings: the panel's model settings that it was trained with.
        trained_at: when it was trained, ISO 8601 in UTC.
        panel: the panel's name.
        training_end: the last bar that it was trained on, as datetime64 text.
        training_digest: digest of the rows that it was trained on.
        package_version: version of the package that trained it.
        state: what `load_network` needs besides the network file.
        history: `step`, `loss` and `val_loss` of the training, one value an epoch.
        training_windows: number of windows that it was trained on.
        seconds: how long the training took.
        best_step: the step whose weights were kept.
        validation_loss: the loss of those weights on the validation windows.
        start_validation_loss: the loss of the untrained network on the same windows.
        weights_digest: digest of the weights.
        regression_weight: weight of the volatility regression beside a pretrained network.
    """

    version: str = ""
    sha256: str
    settings: dict[str, Any]
    trained_at: Instant
    panel: str = ""
    training_end: str = ""
    training_digest: str = ""
    package_version: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
    training_windows: int | None = None
    seconds: float | None = None
    best_step: int | None = None
    validation_loss: float | None = None
    start_validation_loss: float | None = None
    weights_digest: str = ""
    regression_weight: float | None = None

    @property
    def settings_digest(self) -> str:
        """Digest of the settings, to compare with the panel's."""
        return digest_record(self.settings)


class Registry:
    """The models and decisions of one panel in a store."""

    def __init__(self, storage: Storage, panel: str) -> None:
        self._storage = storage
        self._root = f"models/{panel}"

    def folder(self, version: str) -> str:
        """Return the path of a version's folder in the store."""
        return f"{self._root}/{version}"

    def path(self, version: str, name: str) -> str:
        """Return the path of one of a version's objects in the store."""
        return f"{self.folder(version)}/{name}"

    def is_intact(self, version: str) -> bool:
        """Whether that version is in the store, whole and undamaged."""
        network = self._storage.find(self.path(version, _NETWORK))
        try:
            return network is not None and self.metadata(version).sha256 == digest_bytes(network)
        except ModelError:
            return False

    def save(self, network: TrainedNetwork, metadata: ModelMetadata) -> None:
        """Keep a trained version; the metadata commits it."""
        self._storage.put(self.path(metadata.version, _NETWORK), network.model_bytes)
        self._storage.put(self.path(metadata.version, METADATA), metadata.to_json())

    def metadata(self, version: str) -> ModelMetadata:
        """Return what is known of a version.

        Raises:
            ModelError: the version is not in the store, or its metadata is damaged.
        """
        data = self._storage.find(self.path(version, METADATA))
        if data is None:
            raise ModelError(
                f"no model {version} in {self._storage.display(self._root)}; run with --mode retrain"
            )
        try:
            return ModelMetadata.from_json(data)
        except ValueError as error:
            where = self._storage.display(self.path(version, METADATA))
            raise ModelError(f"{where} is damaged; run with --mode retrain") from error

    def load(self, panel: Panel, version: str) -> Forecaster:
        """Return a version, ready to forecast `panel`.

        Raises:
            ModelError: the version is not in the store, is damaged, or does not fit the panel.
        """
        metadata = self.metadata(version)
        network = self._storage.find(self.path(version, _NETWORK))
        if network is None:
            raise ModelError(
                f"model {version} of {panel.name} has lost its {_NETWORK}; run with --mode retrain"
            )
        return load_network(panel, network, metadata.state)

    def versions(self) -> list[str]:
        """Return the versions in the store, whole or not, sorted."""
        below = (path.removeprefix(f"{self._root}/").split("/") for path in self._storage.list(self._root))
        return sorted({parts[0] for parts in below if len(parts) > 1} - {PROMOTIONS})
