"""Conditions of Python code, turned into their opposite."""

import ast
from collections.abc import Iterator

OPPOSITE = {
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"), ast.Lt: ("<", ">="), ast.LtE: ("<=", ">"), ast.Gt: (">", "<="), ast.GtE: (">=", "<"),
}  # fmt: skip


def turned(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, what was done, the whole text) for each comparison, each `and` and `or`, and each `not`; what only runs as a program stays."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            old, new = OPPOSITE[type(node.ops[0])]
            gap = node.left, node.comparators[0]
        elif isinstance(node, ast.BoolOp):
            old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            gap = node.values[0], node.values[1]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            begin, end = _at(starts, lines, node.lineno, node.col_offset), _at(starts, lines, node.operand.lineno, node.operand.col_offset)
            yield node.lineno, f"`not` dropped: {_said(lines, node)}", text[:begin] + text[end:]
            continue
        else:
            continue
        if "__name__" in _said(lines, node):
            continue
        begin = _at(starts, lines, gap[0].end_lineno or 0, gap[0].end_col_offset or 0)
        end = _at(starts, lines, gap[1].lineno, gap[1].col_offset)
        between = text[begin:end]
        yield node.lineno, f"{old} -> {new}: {_said(lines, node)}", text[:begin] + between.replace(old, new, 1) + text[end:]


def _at(starts: list[int], lines: list[str], line: int, column: int) -> int:
    """Where a place of the tree lies in the text; the tree counts bytes."""
    return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())


def _said(lines: list[str], node: ast.expr) -> str:
    return lines[node.lineno - 1].strip()
