"""One Prefect task per step, a few lines around a library call."""
