"""Prefect flows: the order of the work."""
