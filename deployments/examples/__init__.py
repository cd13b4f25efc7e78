"""Downstream jobs to start from: what reads the forecasts in the morning."""
