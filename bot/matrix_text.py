"""The forgetting matrix as words: for the terminal, and the verdict of a row for everybody."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.judgement import Cell
from trainers.matrix_plot import moved, title
from trainers.promotion import CHANCE


def verdict(cell: Cell) -> str:
    """Whether the two models differ in accuracy on these rows, by the two-sided test of the cell."""
    p = cell.p_value()
    shown = "p < 0.001" if p < 0.001 else f"p {p:.2g}"
    if p > CHANCE:
        return f"no significant difference ({shown})"
    gained, lost = cell.decided["accuracy"]
    return f"{'better' if gained > lost else 'worse'} ({shown})"


def shares(cell: Cell, metric: str) -> str:
    """`98.4 % → 98.0 %, −0.4 (−1.2 to +0.3)`; n/a where neither can be measured."""
    before, after = getattr(cell.champion, metric), getattr(cell.challenger, metric)
    told = ["n/a" if value is None else f"{100 * value:.1f} %" for value in (before, after)]
    if told == ["n/a", "n/a"]:
        return "n/a"
    difference = moved(cell, metric)
    return " → ".join(told) + (f", {difference}" if difference else "")


def matrix_lines(cells: Sequence[Cell]) -> list[str]:
    """The matrix as aligned lines: one a hold-out, differences in points with their 95 % intervals."""
    rows = [("hold-out", "rows", "accuracy", "recall", "accuracy differs?")]
    for cell in cells:
        accuracy, recall = (shares(cell, metric) for metric in ("accuracy", "recall"))
        rows.append((title(cell.holdout), f"{cell.rows:,}", accuracy, recall, verdict(cell)))
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    table = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    named = [f"{c.holdout}: {', '.join(c.files)}" for c in cells if c.holdout.startswith("era") and c.files]
    return [*table, *named]
