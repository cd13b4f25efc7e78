"""The forecasting library: everything that is true without Prefect, usable from a notebook."""

__version__ = "0.1.0"
