"""The forgetting matrix as words: for the terminal, and the verdict of a row for everybody."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.metrics import recall_of
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
    before, after = cell.champion.value(metric), cell.challenger.value(metric)
    told = ["n/a" if value is None else f"{100 * value:.1f} %" for value in (before, after)]
    if told == ["n/a", "n/a"]:
        return "n/a"
    difference = moved(cell, metric)
    return " → ".join(told) + (f", {difference}" if difference else "")


def lost_most(cell: Cell) -> str:
    """Of several classes the one whose recall fell most: `PortScan 100.0 % → 0.0 %`; "none" where none fell."""
    return f"{cell.lost_most} {plain(cell, recall_of(cell.lost_most))}" if cell.lost_most else "none"


def plain(cell: Cell, metric: str) -> str:
    """`98.4 % → 98.0 %`."""
    values = (cell.champion.value(metric), cell.challenger.value(metric))
    return " → ".join("n/a" if value is None else f"{100 * value:.1f} %" for value in values)


def matrix_lines(cells: Sequence[Cell]) -> list[str]:
    """The matrix as aligned lines: one a hold-out, differences in points with their 95 % intervals.

    Of several classes a second table has the recall of each.
    """
    several = any(cell.classes for cell in cells)
    heads = ("accuracy", "macro recall", "class that lost most") if several else ("accuracy", "recall")
    rows = [("hold-out", "rows", *heads, "accuracy differs?")]
    for cell in cells:
        accuracy, recall = (shares(cell, metric) for metric in ("accuracy", cell.recall))
        lost = (lost_most(cell),) if several else ()
        rows.append((title(cell.holdout), f"{cell.rows:,}", accuracy, recall, *lost, verdict(cell)))
    named = [f"{c.holdout}: {', '.join(c.files)}" for c in cells if c.holdout.startswith("era") and c.files]
    return [*_aligned(rows), *(_aligned(_by_class(cells)) if several else ()), *named]


def _by_class(cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """The recall of each class on each hold-out that has rows of it."""
    classes = dict.fromkeys(name for cell in cells for name in cell.classes)
    rows = [("recall of", *(title(cell.holdout) for cell in cells))]
    for name in classes:
        told = (plain(cell, recall_of(name)) if name in cell.classes else "" for cell in cells)
        rows.append((name, *told))
    return rows


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
