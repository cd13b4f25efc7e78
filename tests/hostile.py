"""A working directory whose modules must never be imported: each one ends the process that imports it."""

from pathlib import Path

# Names of the standard library, of a dependency and of this project. A process imports the first ones early.
_MODULES = ("json", "socket", "numpy", "forecasting", "tasks", "flows", "deployments")


def write_hostile_modules(folder: Path) -> None:
    """Write modules into `folder` that would replace real ones if Python looked for modules there."""
    for name in _MODULES:
        (folder / f"{name}.py").write_text(
            f'raise SystemExit("imported {name} from the working directory")\n'
        )
