"""The house rules that no linter checks."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [
    path
    for folder in ("benchmarks", "deployments", "flows", "forecasting", "tasks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_under_500_lines_and_functions_under_60(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = [f.name for f in functions if f.end_lineno is not None and f.end_lineno - f.lineno + 1 >= 60]
    assert len(text.splitlines()) < 500
    assert long == []


def test_the_lock_names_packages_and_hashes_only() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 100
    assert [line for line in lines if "://" in line or line.startswith("-")] == []
