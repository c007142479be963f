"""The little of Markdown that the pages need."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; a cell may hold any text without line breaks."""
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows)]


def text(*lines: str) -> str:
    """A page of these lines."""
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
