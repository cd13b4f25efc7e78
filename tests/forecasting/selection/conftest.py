"""Models of known quality, and networks that train instantly."""

from tests.altered_walks import calendar, fit_altered, make_bars, panel
from tests.workshop import workshop

__all__ = ["calendar", "fit_altered", "make_bars", "panel", "workshop"]
