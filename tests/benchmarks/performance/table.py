"""What sections yield, targets and lines of tables, and all of it as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Something promised.

    Attributes:
        who: what we are compared with, or what of ours is looked at.
        measure: what is measured.
        target / found: as they are read.
        met: None where it could not be measured.
    """

    who: str
    measure: str
    target: str
    found: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a section's table: column -> what stands there; lines with the same columns are one table."""

    cells: Mapping[str, object]


Row = Target | Line


def at_most(who: str, measure: str, limit: float, found: float, unit: str) -> Target:
    """A target that is met from below."""
    return Target(who, measure, f"≤ {shown(limit)} {unit}", f"{shown(found)} {unit}", found <= limit)


def at_least(who: str, measure: str, limit: float, found: float, unit: str) -> Target:
    """A target that is met from above."""
    return Target(who, measure, f"≥ {shown(limit)} {unit}", f"{shown(found)} {unit}", found >= limit)


def shown(value: object) -> str:
    """Three digits are all that a measurement like these is worth."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def markdown(found: Mapping[str, Sequence[Row]], machine: str) -> str:
    """All targets first, then each section's tables."""
    targets = [row for rows in found.values() for row in rows if isinstance(row, Target)]
    parts = [machine]
    if targets:
        met = {True: "yes", False: "no", None: "–"}
        cells = [(t.who, t.measure, t.target, t.found, met[t.met]) for t in targets]
        parts.append(_table(("who", "measure", "target", "found", "met"), cells))
    for section, rows in found.items():
        lines = [line.cells for line in rows if isinstance(line, Line)]
        for head in dict.fromkeys(map(tuple, lines)):
            some = [tuple(map(shown, line.values())) for line in lines if tuple(line) == head]
            parts.append(f"### {section}\n\n{_table(head, some)}")
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
