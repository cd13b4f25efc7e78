"""Prefect tasks: one per step, each a few lines around a library call."""
