"""From trials to rows of a table: shares with their bounds, as Markdown and as plain JSON types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tests.benchmarks.quality.judges import Trial

Row = dict[str, Any]
HURTS, HARMLESS = 0.03, 0.01  # points of accuracy truly lost
_BLIND = ("concept",)  # without labels nobody can see it: shown, and not counted among the decisions


def upper(hits: int, total: int, level: float = 0.95) -> float:
    """One-sided upper bound of a share (Clopper and Pearson, Biometrika 26, 1934)."""
    from scipy.stats import beta

    return 1.0 if hits >= total else float(beta.ppf(level, hits + 1, total - hits))


def rows_of(trials: Sequence[Trial], who: str) -> list[Row]:
    """All rows of one judge."""
    found: list[Row] = []
    for section in ("false alarms", "seasons", "immaterial", "detection", "real data", "unseen data"):
        own = [t for t in trials if t.section == section]
        for key in dict.fromkeys((t.name, t.features, t.rows) for t in own):
            found.append(_alarms(who, section, *key, [t for t in own if (t.name, t.features, t.rows) == key]))
        if section in ("detection", "immaterial"):
            for rows in dict.fromkeys(t.rows for t in own):
                some = [t for t in own if t.rows == rows]
                found.append(_alarms(who, section, "overall", some[0].features, rows, some))
        if section == "seasons":
            for rows in dict.fromkeys(t.rows for t in own):
                some = [t for t in own if t.rows == rows and not t.expected]
                found.append(_alarms(who, section, "overall, season only", some[0].features, rows, some))
    harm = [t for t in trials if t.section == "harm"]
    return found + (_harm(who, harm) if harm else [])


def _alarms(who: str, section: str, name: str, features: int, rows: int, trials: Sequence[Trial]) -> Row:
    hits = sum(t.judgement.alarm for t in trials)
    precise = [t.precision for t in trials if t.precision is not None]
    return {
        "who": who,
        "section": section,
        "name": name,
        "features": features,
        "rows": rows,
        "alarm_is_right": all(t.expected for t in trials),
        "batches": len(trials),
        "alarms": hits,
        "share": hits / len(trials),
        "upper": upper(hits, len(trials)),
        "insufficient": sum(t.judgement.verdict == "insufficient_data" for t in trials) / len(trials),
        "precision_at_k": float(np.mean(precise)) if precise else None,
        "seconds": float(np.mean([t.judgement.seconds for t in trials])),
    }


def _harm(who: str, trials: Sequence[Trial]) -> list[Row]:
    found = []
    for key in dict.fromkeys((t.name, t.facts["family"]) for t in trials):
        found.append(_decisions(who, key[0], [t for t in trials if (t.name, t.facts["family"]) == key]))
    counted = [t for t in trials if t.facts["family"] not in _BLIND]
    found.append(_decisions(who, "overall, but for what only labels can show", counted))
    found.append(
        _decisions(who, "covariate shift", [t for t in trials if t.facts["family"] in ("covariate", "none")])
    )
    return found


def _decisions(who: str, name: str, trials: Sequence[Trial]) -> Row:
    lost = [t for t in trials if t.facts["loss"] > HURTS]
    # who only estimates never says "retrain"
    fine = [t for t in trials if t.facts["loss"] < HARMLESS and not t.facts.get("only_estimated")]
    estimated = [t for t in trials if t.facts["estimated"]]

    def share(some: Sequence[Trial], holds: Callable[[Trial], bool]) -> float | None:
        return sum(holds(t) for t in some) / len(some) if some else None

    def error(truth: str) -> float | None:
        gaps = [abs(t.facts["accuracy"] - t.facts[truth]) for t in estimated]
        return float(np.mean(gaps)) if gaps else None

    def covers(truth: str) -> float | None:
        return share(estimated, lambda t: bool(t.facts["low"] <= t.facts[truth] <= t.facts["high"]))

    return {
        "who": who,
        "section": "harm",
        "name": name,
        "features": trials[0].features if trials else 0,
        "rows": trials[0].rows if trials else 0,
        "batches": len(trials),
        "mean_loss": float(np.mean([t.facts["loss"] for t in trials])) if trials else None,
        "alarm_share": share(trials, lambda t: t.judgement.alarm),
        "lose_3": len(lost),
        "lose_3_label_or_retrain": share(lost, lambda t: t.facts["recommendation"] in ("label", "retrain")),
        "lose_less_1": len(fine),
        "lose_less_1_retrain": share(fine, lambda t: t.facts["recommendation"] == "retrain"),
        "error": error("realised"),
        "error_of_expected": error("expected_accuracy"),
        "covered": covers("realised"),
        "covered_expected": covers("expected_accuracy"),
        "valid": share([t for t in estimated if "valid" in t.facts], lambda t: bool(t.facts["valid"])),
        "seconds": float(np.mean([t.judgement.seconds for t in trials])) if trials else None,
    }


def markdown(rows: Sequence[Row], absent: Sequence[str] = ()) -> str:
    """All tables, one a section; several judges stand side by side in the sections that they share.

    Args:
        rows: from `rows_of`, of all judges.
        absent: judges that could not be run and why, one sentence each.
    """
    whos = list(dict.fromkeys(row["who"] for row in rows))
    parts = [_summary(rows), *(f"Not run: {reason}" for reason in absent)]
    for section in ("false alarms", "seasons", "immaterial", "detection", "real data", "unseen data"):
        own = [row for row in rows if row["section"] == section]
        if own:
            parts.append(f"## {section.capitalize()}\n\n{_side_by_side(own, whos)}")
    harm = [row for row in rows if row["section"] == "harm"]
    if harm:
        parts.append(f"## Harm\n\n{_harm_table(harm)}")
    return "\n\n".join(parts) + "\n"


def _side_by_side(rows: Sequence[Row], whos: Sequence[str]) -> str:
    keys = dict.fromkeys((row["name"], row["features"], row["rows"]) for row in rows)
    at = {(row["who"], row["name"], row["features"], row["rows"]): row for row in rows}
    precise = any(row["precision_at_k"] is not None for row in rows)
    head = ["scenario", "features", "n", *(f"alarms: {who}" for who in whos)]
    head += [f"precision@k: {who}" for who in whos] * precise + [f"seconds: {who}" for who in whos]
    body = []
    for name, features, size in keys:
        cells = [at.get((who, name, features, size)) for who in whos]
        line = [name, f"{features}", f"{size:,}", *(_share_cell(cell) for cell in cells)]
        line += [_percent(cell and cell["precision_at_k"]) for cell in cells] * precise
        body.append([*line, *("–" if cell is None else f"{cell['seconds']:.2f}" for cell in cells)])
    return grid(head, body)


def _share_cell(cell: Row | None) -> str:
    if cell is None:
        return "–"
    text = f"{100 * cell['share']:.1f} % ({cell['alarms']}/{cell['batches']}"
    return text + (")" if cell["alarm_is_right"] else f"; ≤ {100 * cell['upper']:.1f} %)")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _harm_table(rows: Iterable[Row]) -> str:
    head = [
        "who", "what happens", "batches", "mean loss, points", "alarm", "lose > 3: label or retrain",
        "lose < 1: retrain",
        "error of the estimate, points (realised / expected accuracy)", "interval covers (realised / expected)",
        "estimate valid", "seconds",
    ]  # fmt: skip
    body = [
        [
            row["who"],
            row["name"],
            f"{row['batches']}",
            _points(row["mean_loss"]),
            _percent(row["alarm_share"]),
            f"{_percent(row['lose_3_label_or_retrain'])} of {row['lose_3']}",
            f"{_percent(row['lose_less_1_retrain'])} of {row['lose_less_1']}",
            f"{_points(row['error'])} / {_points(row['error_of_expected'])}",
            f"{_percent(row['covered'])} / {_percent(row['covered_expected'])}",
            _percent(row["valid"]),
            "–" if row["seconds"] is None else f"{row['seconds']:.2f}",
        ]
        for row in rows
    ]
    return grid(head, body)


def _summary(rows: Sequence[Row]) -> str:
    """What is promised, and what was found: one line each."""
    body = []
    for who in dict.fromkeys(row["who"] for row in rows):
        own = [row for row in rows if row["who"] == who]
        body += [[who, *line] for line in promises(own)]
    return "## Targets\n\n" + grid(["who", "measure", "target", "found", "met"], body)


def promises(rows: Sequence[Row]) -> list[list[str]]:
    """Each target with the worst figure found."""

    def pick(section: str, *names: str, rows_: int | None = None) -> list[Row]:
        return [
            r for r in rows
            if r["section"] == section and (not names or r["name"] in names) and rows_ in (None, r["rows"])
        ]  # fmt: skip

    found: list[list[str]] = []

    def add(
        what: str, target: str, value: float | None, holds: bool, note: str = "", points: bool = False
    ) -> None:
        if value is not None:
            shown = f"{100 * value:.2f} points" if points else f"{100 * value:.1f} %"
            found.append([what, target, f"{shown}{note}", "yes" if holds else "**no**"])

    for size in dict.fromkeys(r["features"] for r in pick("false alarms")):
        own = [r for r in pick("false alarms") if r["features"] == size]
        worst = max(own, key=lambda r: (r["share"], r["upper"]))
        note = f" (n = {worst['rows']:,}; {worst['alarms']} of {worst['batches']})"
        add(f"false alarms, {size} features, worst n", "≤ 2 %", worst["share"], worst["share"] <= 0.02, note)
    for row in pick("seasons", "overall, season only"):
        note = f" ({row['alarms']} of {row['batches']})"
        add(f"season alarms, n = {row['rows']:,}", "0", row["share"], row["alarms"] == 0, note)
    for row in pick("immaterial", "overall"):
        note = f" ({row['alarms']} of {row['batches']})"
        add(f"alarms on immaterial shifts, n = {row['rows']:,}", "0", row["share"], row["alarms"] == 0, note)
    calm = [r for r in pick("real data") + pick("unseen data") if not r["alarm_is_right"]]
    for name in dict.fromkeys(r["name"] for r in calm):
        own = [r for r in calm if r["name"] == name]
        hits, total = sum(r["alarms"] for r in own), sum(r["batches"] for r in own)
        add(f"false alarms, {name}", "≤ 2 %", hits / total, hits <= 0.02 * total, f" ({hits} of {total})")
    for size, least in ((200, 0.92), (1_000, 0.99)):
        for row in pick("detection", "overall", rows_=size):
            note = f" ({row['alarms']} of {row['batches']})"
            add(f"detection, n = {size:,}", f"≥ {least:.0%}", row["share"], row["share"] >= least, note)
    for row in pick("detection", "overall", rows_=1_000):
        value = row["precision_at_k"]
        add("precision@k, n = 1,000", "≥ 95 %", value, value is not None and value >= 0.95)
    for row in pick("harm", "overall, but for what only labels can show"):
        value, other = row["lose_3_label_or_retrain"], row["lose_less_1_retrain"]
        add(
            "label or retrain where > 3 points are lost",
            "≥ 95 %",
            value,
            (value or 0) >= 0.95,
            f" of {row['lose_3']}",
        )
        add("retrain where < 1 is lost", "≤ 2 %", other, (other or 0) <= 0.02, f" of {row['lose_less_1']}")
    for row in pick("harm", "covariate shift"):
        error, covered = row["error"], row["covered"]
        add(
            "error of the estimate, covariate shift",
            "≤ 1.5 points",
            error,
            (error or 0) <= 0.015,
            points=True,
        )
        add("its 95 % interval covers", "≥ 90 %", covered, (covered or 0) >= 0.90)
    return found


def grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
