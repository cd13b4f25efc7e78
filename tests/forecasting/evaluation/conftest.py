"""Panels, bars and models whose worth is known."""

from tests.altered_walks import calendar, fit_altered, make_bars, panel

__all__ = ["calendar", "fit_altered", "make_bars", "panel"]
