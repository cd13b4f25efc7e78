"""Artifacts in the Prefect UI. The UI reads their texts as Markdown, so what comes from data is escaped."""

from collections.abc import Mapping, Sequence

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from forecasting.reports.markdown import escape_markdown


def artifact_key(kind: str, panel: str) -> str:
    """The key of a panel's artifacts of one kind in the UI. Keys have no underscores."""
    return f"{kind}-{panel}".replace("_", "-")


def show_table(key: str, rows: Sequence[Mapping[str, str | None]], description: str) -> None:
    """Create a table artifact. Cells and description are texts, not Markdown; headings are ours."""
    table = [
        {name: None if cell is None else escape_markdown(cell) for name, cell in row.items()} for row in rows
    ]
    create_table_artifact(table, key=key, description=escape_markdown(description))


def show_markdown(key: str, parts: Sequence[str], description: str) -> None:
    """Create a Markdown artifact of paragraphs whose texts are escaped already; `description` is a text."""
    create_markdown_artifact("\n\n".join(parts), key=key, description=escape_markdown(description))


def show_link(key: str, address: str, text: str) -> None:
    """Create a link artifact. The UI shows its text as it is."""
    create_link_artifact(address, text, key=key, description=escape_markdown(text))
