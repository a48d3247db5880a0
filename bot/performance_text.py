"""An evaluation of labelled predictions as plain text for a terminal, and the phrases that Slack shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from state.records import PerformanceRecord

RATES = (
    ("accuracy", "accuracy"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("f1", "f1"),
    ("roc_auc", "roc_auc"),
    ("fpr", "false positive rate"),
    ("fnr", "false negative rate"),
    *(
        (f"{mean}_{rate}", f"{mean} {rate}")
        for mean in ("macro", "weighted")
        for rate in ("precision", "recall", "f1")
    ),
)
SHOWN = 10  # segments or classes a person reads; --json has all


def performance_text(record: PerformanceRecord) -> str:
    """The case first, then what to do, then the numbers with their intervals and where they come from."""
    details = record.details
    lines = [f"{record.model}: {details['title']}", f"  {details['advice']}", ""]
    lines += [f"  {Path(record.path).name}, {record.rows:,} labelled rows"]
    lines += [f"  {line}" for line in details["said"]]
    if judged := compared(details["degradation"]):
        lines.append(f"  {judged}")
    lines += [f"  {line}" for line in (details["degradation"] or {}).get("worse", ())]
    if batch := batch_line(details["batch"]):
        lines.append(f"  {batch}")
    lines += [
        "",
        *_metrics(record),
        *_confusion(record),
        *(f"  {line}" for line in class_lines(details["classes"])),
    ]
    lines += [f"  out of bounds: {breach}" for breach in record.breaches]
    lines += _segments(details["segments"])
    lines += [f"  note: {note}" for note in details["notes"]]
    if record.run_url:
        lines.append(f"  MLflow run: {record.run_url}")
    return "\n".join(lines)


def compared(fall: Mapping[str, Any] | None) -> str:
    """The labelled predictions beside the hold-outs in one sentence; empty where there is no comparison."""
    if fall is None:
        return ""
    lost = round(100 * float(fall["loss"]), 1)
    against = (
        f"accuracy {fall['accuracy']:.4f} against {fall['reference']:.4f} on {fall['source']}"
        f" ({fall['reference_rows']:,} rows)"
    )
    moved = f"{abs(lost):.1f} points {'lost' if lost > 0 else 'gained'}" if lost else "nothing lost"
    return f"{against}: {moved}, p {_p(float(fall['p_value']))}{_power(fall)}"


def _power(fall: Mapping[str, Any]) -> str:
    if fall["harm"]:
        return ""
    if float(fall["most"]) < 0.02:
        return f"; a loss above {100 * max(0.0, float(fall['most'])):.1f} points is ruled out"
    if fall["told"]:
        return "; the labels are enough to find a loss of 2 points"
    if fall["labels_needed"] is None:
        return "; the hold-outs have too few rows to be sure of a loss of 2 points"
    return f"; {fall['labels_needed']:,} labels would be enough to find a loss of 2 points"


def batch_line(batch: Mapping[str, Any] | None) -> str:
    """Which check the case rests on, and how it was chosen."""
    if batch is None:
        return ""
    how = "named by --batch" if batch["named"] else "the newest checked batch"
    if batch.get("drawn"):  # not in the records of an earlier release
        how = "of which the sample is"
    verdict = str(batch["verdict"]).replace("_", " ")
    return f"drift check: {verdict}, {Path(batch['path']).name} against version {batch['version']} ({how})"


def segment_line(part: Mapping[str, Any]) -> str:
    """A segment that is worse than the rest, with its rows and interval."""
    interval = part["interval"]
    return (
        f"{part['column']} {part['value']}: accuracy {part['right'] / part['rows']:.3f}"
        f" ({interval['low']:.3f} to {interval['high']:.3f}) on {part['rows']:,} rows,"
        f" elsewhere {part['rest']:.3f}, p {_p(part['p_value'])}"
    )


def worse_segments(details: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Segments that are significantly worse than the rest, the least likely first."""
    return sorted((s for s in details.get("segments", ()) if s["worse"]), key=lambda s: float(s["p_value"]))


def _metrics(record: PerformanceRecord) -> list[str]:
    rows = []
    for name, said in RATES:
        value, interval = record.metrics.get(name), record.intervals.get(name)
        if value is None:
            continue
        about = (
            "" if interval is None else f"  95 % {interval.low:.4f} to {interval.high:.4f}, {interval.method}"
        )
        rows.append((f"{said} {value:.4f}", about))
    width = max((len(left) for left, _ in rows), default=0)
    return [f"  {left.ljust(width)}{about}".rstrip() for left, about in rows]


def _confusion(record: PerformanceRecord) -> list[str]:
    if record.details["classes"] is not None:
        return []
    tn, fp, fn, tp = (int(record.metrics.get(name) or 0) for name in ("tn", "fp", "fn", "tp"))
    unweighted = " (rows as labelled, without weights)" if record.details.get("sample") else ""
    return [
        f"  confusion matrix{unweighted}: {tn} true negatives, {fp} false positives,",
        f"                    {fn} false negatives, {tp} true positives",
    ]


def class_lines(found: Mapping[str, Any] | None) -> list[str]:
    """Each class with its recall, the worst first, and what it is taken for most often."""
    if found is None:
        return []
    names: Sequence[str] = found["classes"]
    known = [i for i, name in enumerate(names) if found["support"][name]]
    known.sort(key=lambda i: (found["recall"][names[i]], names[i]))
    lines = []
    for i in known[:SHOWN]:
        row = [0 if j == i else n for j, n in enumerate(found["confusion"][i])]
        taken = f", most often taken for {names[row.index(max(row))]} ({max(row):,})" if any(row) else ""
        lines.append(
            f"class {names[i]}: recall {found['recall'][names[i]]:.4f} of {found['support'][names[i]]:,}{taken}"
        )
    more = len(known) - SHOWN
    return [*lines, *([f"and {more} more classes (--json has all)"] if more > 0 else [])]


def _segments(found: Sequence[Mapping[str, Any]]) -> list[str]:
    if not found:
        return []
    worse = worse_segments({"segments": found})
    if not worse:
        return [f"  no segment is significantly worse than the rest ({len(found)} compared)"]
    lines = [f"  worse than the rest: {segment_line(part)}" for part in worse[:SHOWN]]
    more = len(worse) - SHOWN
    return [*lines, *([f"  and {more} more segments (--json has all)"] if more > 0 else [])]


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-300 else "< 1e-300"
