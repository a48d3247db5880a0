"""Pictures for the thread, as PNG bytes: a feature in the baseline and in the batch.

Colours are two of the palette that colour-blind readers can tell apart (Okabe and Ito 2008), and differ in
lightness too. Sizes are for a phone, where a picture is some 300 points wide: 360 points, drawn at 240 pixels an inch.
"""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any

from bot.slack.batch_blocks import detector_title
from bot.slack.text import clean, count, score
from detectors.report import FeatureDrift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from detectors.profile import FeatureProfile

REFERENCE, CURRENT = "#0072B2", "#E69F00"
INK, FAINT = "#1d1c1d", "#8a8a8a"
WIDTH, DENSITY = 5.0, 240  # inches, pixels an inch
TEXT = 11
MOST_CATEGORIES = 10


def distribution_plot(
    feature: str, reference: FeatureProfile, current: FeatureProfile, finding: FeatureDrift | None = None
) -> bytes:
    """Shares of the rows in each cell of the feature, baseline against batch, as PNG.

    Args:
        feature: its name.
        reference: the baseline's summary.
        current: the batch, counted in the same cells.
        finding: what is said about it under the name.

    Raises:
        ValueError: the two were not counted in the same cells.
    """
    from matplotlib.ticker import MaxNLocator

    if reference.kind != current.kind or len(reference.cells) != len(current.cells):
        raise ValueError(f'the profiles of "{feature}" were not counted in the same cells')
    rows = shares(reference, current)
    figure, axes = _figure(1.35 + 0.26 * len(rows))
    places = range(len(rows))
    for offset, column, colour, profile, what in (
        (-0.2, 1, REFERENCE, reference, "Baseline"),
        (0.2, 2, CURRENT, current, "This batch"),
    ):
        label = f"{what} ({count(profile.rows, 'row')})"
        axes.barh([y + offset for y in places], [row[column] for row in rows], 0.4, color=colour, label=label)
    axes.set_yticks(list(places), [row[0] for row in rows], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("Share of the rows", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_xlim(0, max([*(max(row[1:]) for row in rows), 0.01]) * 1.04)
    _title(figure, clean(feature, 36), "" if finding is None else _said(finding))
    return _png(figure)


def _said(finding: FeatureDrift) -> str:
    parts = [f"{detector_title(finding.detector)} {score(finding.statistic)}"]
    parts += [f"{finding.severity} drift"] if finding.drifted else ["no drift"]
    parts += [clean(finding.detail, 48)] if finding.detail else []
    return " · ".join(parts)


def shares(reference: FeatureProfile, current: FeatureProfile) -> list[tuple[str, float, float]]:
    """Label, share in the baseline and share in the batch of each cell to draw, top to bottom."""
    labels = _numeric_labels(current) if reference.kind == "numeric" else list(reference.cell_labels)
    before = [float(n) / max(reference.rows, 1) for n in reference.cells]
    after = [float(n) / max(current.rows, 1) for n in current.cells]
    rows = list(zip(labels, before, after, strict=True))
    if reference.kind == "numeric":
        ends = {
            0,
            len(rows) - 2,
            len(rows) - 1,
        }  # below, above, missing: drawn where there is something to see
        return [row for at, row in enumerate(rows) if at not in ends or max(row[1:]) > 0]
    return _merged([(clean(label, 22), old, new) for label, old, new in rows[:-3]], rows[-3:])


def _merged(
    known: list[tuple[str, float, float]], special: list[tuple[str, float, float]]
) -> list[tuple[str, float, float]]:
    """The categories with the largest shares; the others join the cell "other"."""
    ranked = sorted(known, key=lambda row: -max(row[1:]))
    rest = ranked[MOST_CATEGORIES:]
    other, *unseen_and_missing = special
    joined = (other[0], other[1] + sum(r[1] for r in rest), other[2] + sum(r[2] for r in rest))
    return ranked[:MOST_CATEGORIES] + [row for row in (joined, *unseen_and_missing) if max(row[1:]) > 0]


def _numeric_labels(profile: FeatureProfile) -> list[str]:
    """Names of the cells with no more digits than it takes to tell their ends apart."""
    ranges = profile.cell_ranges
    ends = sorted({float(profile.grid[0]), *(end for pair in ranges for end in pair)})
    digits = next((d for d in range(3, 9) if len({_short(x, d) for x in ends}) >= len(ends)), 9)
    shown = [_short(x, digits) for x in ends]
    name = dict(zip(ends, shown, strict=True))
    inner = [name[a] if a == b else f"{name[a]} to {name[b]}" for a, b in ranges]
    return [f"below {shown[0]}", *inner, f"above {shown[-1]}", "missing"]


def _short(value: float, digits: int) -> str:
    """`1.2M`, `340k`, `0.05`: at most `digits` significant digits."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size <= abs(value) < 1e15:
            return f"{value / (1e3 if unit == 'k' else size):.{digits}g}{unit}"
    return f"{value:,.{max(digits, 4) if abs(value) >= 1000 else digits}g}"


def _figure(height: float) -> tuple[Figure, Axes]:
    """An empty picture; no pyplot, so nothing global is touched and threads do not meet."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DENSITY, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    axes = figure.add_subplot()
    axes.tick_params(labelsize=TEXT, colors=INK, length=0, pad=8)
    axes.xaxis.label.set_fontsize(TEXT)
    axes.yaxis.label.set_fontsize(TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    return figure, axes


def _title(figure: Figure, first: str, second: str) -> None:
    """Two lines from the left edge; the empty title of the axes keeps the place of the second one."""
    bold: dict[str, Any] = {"fontsize": TEXT + 4, "fontweight": "bold"}
    figure.suptitle(first, x=0.02, ha="left", color=INK, parse_math=False, **bold)
    if second:
        figure.axes[0].set_title(" ", fontsize=TEXT)
        below = 1 - 0.36 / figure.get_figheight()
        figure.text(0.02, below, second, va="top", fontsize=TEXT, color=INK, parse_math=False)


def _png(figure: Figure) -> bytes:
    if figure.axes[0].get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower left", ncols=2, frameon=False, handlelength=1, fontsize=TEXT)
    out = BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def alt_text(feature: str, finding: FeatureDrift) -> str:
    """The picture in words, for screen readers."""
    return f"Distribution of {clean(feature)} in the baseline and in this batch: {_said(finding)}."
