"""The presets of a panel's `model.preset`: which network each one runs, and how it publishes.

The settings that a preset fixes in the panel file are checked in `forecasting.panel`.
"""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from forecasting.models.windows import feature_count
from forecasting.panel import Panel
from forecasting.quantiles import LEVELS


@dataclass(frozen=True)
class Preset:
    """What a panel's `model.preset` stands for.

    Attributes:
        name: the value of `model.preset` in the panel file.
        model: the network's name in forecasts and decisions, and of its module in `forecasting.models`.
        gated: whether the network must win against the random walks before it publishes. An EWMA walk may
            publish in its place. A preset without a gate always publishes its own network.
        levels_only: whether a context has one feature, the level, instead of all features of `Windows`.
        quantiles: whether the network gives 11 quantiles for each step instead of one number.
    """

    name: str
    model: str
    gated: bool
    levels_only: bool
    quantiles: bool

    @property
    def module(self) -> ModuleType:
        """The module that trains and loads the network; importing it imports TensorFlow."""
        return import_module(f"forecasting.models.{self.model}")

    def input_shape(self, panel: Panel) -> tuple[int, ...]:
        """(context, features) of one window."""
        return (panel.model.context, 1 if self.levels_only else feature_count(panel))

    def output_shape(self, panel: Panel) -> tuple[int, ...]:
        """(horizon, 11) of one forecast, or (horizon,) for a network that gives one number a step."""
        return (panel.forecast.horizon, len(LEVELS)) if self.quantiles else (panel.forecast.horizon,)


DEFAULT = Preset("default", "stacked_lstm", gated=True, levels_only=False, quantiles=True)
LECTURE = Preset("lecture", "lecture_lstm", gated=False, levels_only=True, quantiles=False)

_PRESETS = {preset.name: preset for preset in (DEFAULT, LECTURE)}


def preset_of(panel: Panel) -> Preset:
    """The preset that the panel's `model.preset` names."""
    return _PRESETS[panel.model.preset]
