"""Panels, bars and models with known scores."""

from tests.altered_walks import calendar, fit_altered, make_bars, panel

__all__ = ["calendar", "fit_altered", "make_bars", "panel"]
