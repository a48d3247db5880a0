"""The forgetting matrix as a picture and as JSON, for the thread and the MLflow run.

Colours are those of cividis, made for colour-blind readers (Nuñez, Anderton and Renslow, PLoS ONE 13, 2018), and every
cell has its number. Sized for a phone, where a picture is some 300 points wide.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors.metrics import ClassMetrics, recall_of
from trainers.judgement import Cell, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT = "#1d1c1d", "#5f5f5f"
WIDTH, DENSITY = 5.0, 240  # inches, pixels an inch
ROW = 0.72  # inches
TEXT = 11
COLUMNS = ("Accuracy", "Recall")
MOST_CLASSES = 10  # of several classes those that lost most are drawn, on the old and the new hold-out
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

    shown = [line for cell in _shown(cells) for line in _lines(cell)]
    height = 0.95 + ROW * len(shown)
    figure = Figure(figsize=(WIDTH, height), dpi=DENSITY, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    axes.axis("off")
    said: dict[str, Any] = {"color": INK, "parse_math": False}
    for number, heading in enumerate(COLUMNS):
        left = _left(number)
        axes.text(left + 0.9, 0.3, heading, fontsize=TEXT + 1, fontweight="bold", ha="center", **said)
        for place, who in ((0.45, champion), (1.35, challenger)):
            axes.text(left + place, 0.6, who, fontsize=TEXT, ha="center", **said)
    for row, line in enumerate(shown):
        top = 0.7 + ROW * row
        axes.text(0.12, top + 0.26, line.name, fontsize=TEXT, **said)
        axes.text(0.12, top + 0.5, f"{line.rows:,} rows", fontsize=TEXT - 2, color=FAINT)
        for number, metric in enumerate(line.metrics):
            if metric:
                _pair(axes, line.cell, metric, _left(number), top)
    mean = " Recall: mean of the classes" if any(cell.classes for cell in cells) else ""
    legend = f"Points gained, with 95 % interval.{mean}".removesuffix("." if not mean else "")
    axes.text(0.12, height - 0.1, legend, fontsize=TEXT - 2, color=FAINT)
    out = BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of the picture: a hold-out, or one class there. `metrics`: of each column, empty for none."""

    name: str
    rows: int
    cell: Cell
    metrics: tuple[str, str]


def _lines(cell: Cell) -> list[_Line]:
    """The hold-out, and of several classes each by itself on the old and the new one."""
    whole = _Line(title(cell.holdout), cell.rows, cell, ("accuracy", cell.recall))
    found = cell.champion
    if not isinstance(found, ClassMetrics) or cell.holdout not in ("old", "new"):
        return [whole]
    moved = {name: cell.differences[recall_of(name)].value for name in cell.classes}
    drawn = sorted(moved, key=lambda name: moved[name])[:MOST_CLASSES]
    return [
        whole,
        *(_Line(f"{n[:30]}, {title(cell.holdout).lower()[:3]}", found.support[n], cell, ("", recall_of(n)))
          for n in cell.classes if n in drawn),
    ]  # fmt: skip


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
        value = metrics.value(metric)
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
        metric = cell.recall if cell.recall in cell.differences else "accuracy"
        before, after = cell.champion.value(metric), cell.challenger.value(metric)
        if before is not None and after is not None:
            told = metric.replace("_", " ")
            lines.append(
                f"{title(cell.holdout)}: {told} {100 * before:.1f} % and {100 * after:.1f} %{_worst(cell)}"
            )
    return f"Versions {champion} and {challenger} on each hold-out. {'; '.join(lines)}."


def _worst(cell: Cell) -> str:
    """Of several classes the recall of the one that lost most."""
    name = cell.lost_most
    if not name:
        return ""
    before, after = (metrics.value(recall_of(name)) or 0.0 for metrics in (cell.champion, cell.challenger))
    return f", that of {name} {100 * before:.1f} % and {100 * after:.1f} %"


def matrix_files(folder: Path, cells: Sequence[Cell], champion: str, challenger: str) -> tuple[Path, ...]:
    """Write forgetting_matrix.json and .png into a folder; their paths."""
    table, picture = folder / "forgetting_matrix.json", folder / "forgetting_matrix.png"
    rows = [{**asdict(cell), "rows": cell.rows, "p_value": cell.p_value()} for cell in cells]
    said = {"champion": champion, "challenger": challenger, "holdouts": rows}
    table.write_text(json.dumps(said, indent=1), encoding="utf-8")
    picture.write_bytes(matrix_plot(cells, champion, challenger))
    return table, picture
