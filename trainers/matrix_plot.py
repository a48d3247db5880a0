"""The forgetting matrix as a picture and as JSON, for the thread and the MLflow run.

Colours are those of cividis, made for colour-blind readers (Nuñez, Anderton and Renslow, PLoS ONE 13, 2018), and every
cell has its number. Sized for a phone, where a picture is some 300 points wide.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.judgement import Cell, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT = "#1d1c1d", "#5f5f5f"
WIDTH, DENSITY = 5.0, 240  # inches, pixels an inch
ROW = 0.72  # inches
TEXT = 11
COLUMNS = (("accuracy", "Accuracy"), ("recall", "Recall"))
MOST_ERAS = 12  # of the past ones drawn; the table and the JSON have all
_DARKEST = 0.5  # shares from here to 1 have the whole range of colours


def title(holdout: str) -> str:
    """ "Old hold-out", "Era 1", "New hold-out"."""
    return {"old": "Old, all", "new": "New"}.get(holdout, holdout.capitalize())


def moved(cell: Cell, metric: str) -> str:
    """The difference and its interval in points: `−0.4 (−1.2 to +0.3)`; empty where it cannot be measured."""
    found = cell.differences.get(metric)
    return "" if found is None else f"{signed(found.value)} ({signed(found.low)} to {signed(found.high)})"


def matrix_plot(cells: Sequence[Cell], champion: str, challenger: str) -> bytes:
    """One row a hold-out; accuracy and recall of both models, and by how many points they differ, as PNG.

    Args:
        cells: of the forgetting matrix.
        champion / challenger: their names, short ("v4").
    """
    from matplotlib.figure import Figure

    shown = _shown(cells)
    height = 0.95 + ROW * len(shown)
    figure = Figure(figsize=(WIDTH, height), dpi=DENSITY, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    axes.axis("off")
    said: dict[str, Any] = {"color": INK, "parse_math": False}
    for number, (_, heading) in enumerate(COLUMNS):
        left = _left(number)
        axes.text(left + 0.9, 0.3, heading, fontsize=TEXT + 1, fontweight="bold", ha="center", **said)
        for place, who in ((0.45, champion), (1.35, challenger)):
            axes.text(left + place, 0.6, who, fontsize=TEXT, ha="center", **said)
    for row, cell in enumerate(shown):
        top = 0.7 + ROW * row
        axes.text(0.12, top + 0.26, title(cell.holdout), fontsize=TEXT, **said)
        axes.text(0.12, top + 0.5, f"{cell.rows:,} rows", fontsize=TEXT - 2, color=FAINT)
        for number, (metric, _) in enumerate(COLUMNS):
            _pair(axes, cell, metric, _left(number), top)
    axes.text(0.12, height - 0.1, "Points gained, with 95 % interval", fontsize=TEXT - 2, color=FAINT)
    out = BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _shown(cells: Sequence[Cell]) -> list[Cell]:
    """Old, new, and of many past eras the newest."""
    past = [cell for cell in cells if cell.holdout.startswith("era")]
    hidden = {cell.holdout for cell in past[:-MOST_ERAS]}
    return [cell for cell in cells if cell.holdout not in hidden]


def _left(number: int) -> float:
    return 1.12 + 1.95 * number


def _pair(axes: Axes, cell: Cell, metric: str, left: float, top: float) -> None:
    """Both models' share on coloured ground, and the difference under them."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    for place, metrics in ((0.0, cell.champion), (0.9, cell.challenger)):
        value = getattr(metrics, metric)
        depth = 0.0 if value is None else max(0.0, (value - _DARKEST) / (1 - _DARKEST))
        colour: Any = "#eeeeee" if value is None else colormaps["cividis"](depth)
        axes.add_patch(Rectangle((left + place, top), 0.87, 0.4, facecolor=colour, edgecolor="none"))
        text = "n/a" if value is None else f"{100 * value:.1f} %"
        ink = INK if value is None or depth > 0.5 else "white"
        axes.text(left + place + 0.435, top + 0.27, text, fontsize=TEXT, color=ink, ha="center")
    axes.text(left + 0.885, top + 0.58, moved(cell, metric), fontsize=TEXT - 2, color=INK, ha="center")


def in_words(cells: Sequence[Cell], champion: str, challenger: str) -> str:
    """The picture for screen readers: recall, or where there are no positives accuracy, on each hold-out."""
    lines = []
    for cell in cells:
        metric = "recall" if "recall" in cell.differences else "accuracy"
        before, after = getattr(cell.champion, metric), getattr(cell.challenger, metric)
        if before is not None and after is not None:
            lines.append(f"{title(cell.holdout)}: {metric} {100 * before:.1f} % and {100 * after:.1f} %")
    return f"Versions {champion} and {challenger} on each hold-out. {'; '.join(lines)}."


def matrix_files(folder: Path, cells: Sequence[Cell], champion: str, challenger: str) -> tuple[Path, ...]:
    """Write forgetting_matrix.json and .png into a folder; their paths."""
    table, picture = folder / "forgetting_matrix.json", folder / "forgetting_matrix.png"
    rows = [{**asdict(cell), "rows": cell.rows, "p_value": cell.p_value()} for cell in cells]
    said = {"champion": champion, "challenger": challenger, "holdouts": rows}
    table.write_text(json.dumps(said, indent=1), encoding="utf-8")
    picture.write_bytes(matrix_plot(cells, champion, challenger))
    return table, picture
