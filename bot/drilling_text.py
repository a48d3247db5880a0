"""What `driftcatcher drill` answers: a table for a terminal, JSON, and a picture."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bot.drilling import CONFIDENCE, VERDICT, Drill
from detectors.drill import NONE, Drift

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTICED = 0.8  # of the batches, from which a drift counts as one that is noticed
INK, FAINT = "#1d1c1d", "#6b6b6b"
DETECTION, ALARM = ("#f4f7fa", "#0b4f7d"), ("#f4f7fa", "#b3261e")  # light to dark: seldom to always
DENSITY = 200  # pixels an inch


def drill_text(drill: Drill) -> str:
    """The table, then in one sentence what would go unnoticed, then what limits the answer."""
    tries = next(cell.tries for cell in drill.cells if cell.drift is not NONE)
    calm = next(cell.tries for cell in drill.cells if cell.drift is NONE)
    lines = [
        f"{drill.model}: what would be noticed? Share of the batches in which it was, {tries} batches a number.",
        f"Drawn from {drill.source}; {drill.features} features, each drift in one of them drawn at random.",
        "",
        *_table(drill, calm),
        "",
        *_unnoticed(drill),
        *drill.notes,
    ]
    return "\n".join(lines)


def _table(drill: Drill, calm: int) -> list[str]:
    columns = [(rows, by) for rows in drill.sizes for by in drill.judges]
    rows = [
        [f"none ({calm} batches)", *(_shown(drill, NONE, *column) for column in columns)],
        [
            f"  at most ({100 * CONFIDENCE:g} % sure)",
            *(_percent(_upper(drill, *column)) for column in columns),
        ],
    ]
    for drift in drill.drifts[1:]:
        name = f"{drift.kind:<13} {drift.said}"
        rows.append([name, *(_shown(drill, drift, *column) for column in columns)])
    head = ["", *(by for _, by in columns)]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    sizes = _sizes_line(drill, widths)
    body = [_line(row, widths) for row in [head, *rows]]
    return [sizes, *body[:3], "", *body[3:]]


def _sizes_line(drill: Drill, widths: list[int]) -> str:
    line, at = " " * widths[0], 1
    for rows in drill.sizes:
        width = sum(widths[at : at + len(drill.judges)]) + 2 * len(drill.judges)
        line += f"{rows:,} rows".rjust(width)
        at += len(drill.judges)
    return line


def _line(row: list[str], widths: list[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
    return "  ".join(cells).rstrip()


def _unnoticed(drill: Drill) -> list[str]:
    """What the verdict does not notice in most batches, at each size."""
    lines = []
    for rows in drill.sizes:
        weak: dict[str, list[str]] = {}
        for drift in drill.drifts[1:]:
            if _rate(drill, drift, rows, VERDICT) < NOTICED:
                weak.setdefault(drift.kind, []).append(drift.said)
        said = "; ".join(f"{kind} ({', '.join(sizes)})" for kind, sizes in weak.items())
        often = f"Noticed in fewer than {100 * NOTICED:g} % of batches of {rows:,} rows"
        lines.append(f"{often}: {said or 'nothing that was tried'}.")
    return lines


def _rate(drill: Drill, drift: Drift, rows: int, by: str) -> float:
    cell = drill.cell(drift, rows, by)
    return 0.0 if cell is None else cell.rate


def _shown(drill: Drill, drift: Drift, rows: int, by: str) -> str:
    """The rate as text; a dash for a detector that does not measure such features."""
    cell = drill.cell(drift, rows, by)
    return "–" if cell is None or not cell.applies else _percent(cell.rate)


def _upper(drill: Drill, rows: int, by: str) -> float:
    cell = drill.cell(NONE, rows, by)
    return 1.0 if cell is None else cell.upper


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.095 else f"{100 * share:.0f} %"


def as_dict(drill: Drill) -> dict[str, Any]:
    """The same as plain JSON types."""
    return {
        "model": drill.model,
        "version": drill.version,
        "features": drill.features,
        "source": drill.source,
        "pool": drill.pool,
        "cells": [
            {
                "drift": cell.drift.kind,
                "size": cell.drift.size,
                "rows": cell.rows,
                "by": cell.by,
                "noticed": cell.hits,
                "batches": cell.tries,
                "rate": cell.rate if cell.applies else None,
                **({"rate_at_most": cell.upper} if cell.drift is NONE else {}),
            }
            for cell in drill.cells
        ],
        "notes": list(drill.notes),
    }


def drill_plot(drill: Drill) -> bytes:
    """A heat map as PNG: a line for each drift and size, a panel for each number of rows, a column for each judge.

    False alarms stand apart on top and in another colour, since there little is good.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drifts, sizes, judges = drill.drifts, drill.sizes, drill.judges
    places = _places(drifts)
    width = 3.1 + len(sizes) * (0.78 * len(judges) + 0.35)
    height = 1.45 + 0.27 * (places[-1] + 1)
    figure = Figure(figsize=(width, height), dpi=DENSITY)
    FigureCanvasAgg(figure)
    left, top, bottom, gap = 2.75 / width, 1 - 1.05 / height, 0.3 / height, 0.25 / width
    each = (1 - left - 0.15 / width - gap * (len(sizes) - 1)) / len(sizes)
    for number, rows in enumerate(sizes):
        axes = figure.add_axes((left + number * (each + gap), bottom, each, top - bottom))
        _panel(axes, drill, rows, places)
        if number == 0:
            _names(axes, drifts, places)
    x = 0.2 / width
    figure.text(
        x, 1 - 0.17 / height, f"What would be noticed? {drill.model}, version {drill.version}",
        fontsize=12, fontweight="bold", color=INK, va="top", parse_math=False,
    )  # fmt: skip
    tries = next(cell.tries for cell in drill.cells if cell.drift is not NONE)
    about = f"Share of {tries} batches with a known drift in one of {drill.features} features"
    figure.text(x, 1 - 0.45 / height, about, fontsize=9, color=FAINT, va="top", parse_math=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()


def _places(drifts: tuple[Drift, ...]) -> list[float]:
    """The height of each line, with a gap before each other kind."""
    places, at = [0.0], 0.0
    for before, drift in pairwise(drifts):
        at += 1.0 if before.kind == drift.kind else 2.35 if before is NONE else 1.35
        places.append(at)
    return places


def _panel(axes: Axes, drill: Drill, rows: int, places: list[float]) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    detection = LinearSegmentedColormap.from_list("detection", DETECTION)
    alarm = LinearSegmentedColormap.from_list("alarm", ALARM)
    for place, drift in zip(places, drill.drifts, strict=True):
        for column, by in enumerate(drill.judges):
            rate, text = _rate(drill, drift, rows, by), _shown(drill, drift, rows, by)
            if text == "–":
                axes.text(column, place, text, ha="center", va="center", fontsize=8.5, color=FAINT)
                continue
            shade = alarm(min(1.0, 5 * rate)) if drift is NONE else detection(rate)
            axes.add_patch(Rectangle((column - 0.48, place - 0.46), 0.96, 0.92, color=shade, linewidth=0))
            dark = (5 * rate if drift is NONE else rate) > 0.5
            axes.text(
                column, place, text, ha="center", va="center", fontsize=8.5,
                color="white" if dark else INK, fontweight="bold" if by == VERDICT else "normal",
            )  # fmt: skip
    for column, by in enumerate(drill.judges):
        bound = f"≤ {_percent(_upper(drill, rows, by))}"
        axes.text(column, places[0] + 1, bound, ha="center", va="center", fontsize=8.5, color=FAINT)
    axes.set_xlim(-0.55, len(drill.judges) - 0.45)
    axes.set_ylim(places[-1] + 0.55, -0.55)
    axes.set_xticks(range(len(drill.judges)), [_wrapped(by) for by in drill.judges], fontsize=8.5, color=INK)
    axes.xaxis.tick_top()
    axes.set_title(f"{rows:,} rows", fontsize=10, color=INK, pad=8, fontweight="bold")
    axes.set_yticks([])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _wrapped(name: str) -> str:
    return name.replace("_", "\n", 1)


def _names(axes: Axes, drifts: tuple[Drift, ...], places: list[float]) -> None:
    """The kinds, each once, and the sizes beside them, left of the first panel."""
    before = ""
    for place, drift in zip(places, drifts, strict=True):
        label = "no drift" if drift is NONE else drift.kind
        if drift.kind != before:
            axes.annotate(
                label, (0, place), (-2.55 * 72, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", va="center", fontsize=9, color=INK, fontweight="bold",
            )  # fmt: skip
        beside = ["false alarms", f"at most, {100 * CONFIDENCE:g} % sure"] if drift is NONE else [drift.said]
        for below, said in enumerate(beside):
            axes.annotate(
                said, (0, place + below), (-6, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", va="center", ha="right", fontsize=9, color=(INK, FAINT)[below],
            )  # fmt: skip
        before = drift.kind
