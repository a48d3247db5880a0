"""What is said when labelled predictions were evaluated. Pure."""

from __future__ import annotations

from bot.performance_text import batch_line, class_lines, compared, segment_line, worse_segments
from bot.slack import ids
from bot.slack.blocks import Block, Message, actions, button, clip, context, header, section, table
from bot.slack.retrain_blocks import AVERAGES, RATES
from bot.slack.text import bullets, capital, clean, count, escape, file_name, link, percent, when
from state.records import PerformanceRecord


def performance_alert(record: PerformanceRecord, command: str = "/drift") -> Message:
    """The case, what to do, the metrics of a model on labelled predictions, and which limits they break."""
    broken = [escape(clean(line, 200)) for line in record.breaches]
    degraded = bool(broken) or bool(record.details.get("harm"))
    title = _title(record, degraded)
    blocks = [header(title), section(_advice(record, broken, command)), *_found(record), _about(record)]
    if rows := _metrics(record):
        shown = ("Metric", "Value", "95 % interval") if record.intervals else ("Metric", "Value")
        blocks.append(table(shown, [row[: len(shown)] for row in rows], right=(1, 2)[: len(shown) - 1])[0])
    blocks += _confusion(record) or _classes(record)
    if degraded:
        press = button("Choose data and approve a retrain", ids.RETRAIN_OPEN, record.model)
        blocks.append(actions(press))
    case = escape(clean(record.details.get("title", ""), 150)) if record.case else ""
    return Message(clip(f"{escape(title)}. {case} {' '.join(broken)}".strip(), 2000), blocks)


def _title(record: PerformanceRecord, degraded: bool) -> str:
    model = clean(record.model)
    if record.breaches:
        return f"🔴 {model}: {count(len(record.breaches), 'limit')} of the performance broken"
    if degraded:
        return f"🔴 {model}: worse than on its hold-outs"
    return f"🟢 {model}: performance within its limits"


def _advice(record: PerformanceRecord, broken: list[str], command: str) -> str:
    if record.case:
        title, advice = (escape(clean(record.details.get(key, ""), 400)) for key in ("title", "advice"))
        said = f"*{capital(title)}.* {advice}"
    elif broken:
        said = (
            f"*Next step:* label recent rows and retrain. `{escape(command)} history` tells whether the data has"
            " drifted; if it has not, the meaning of the labels has (concept drift), which only labels show."
        )
    else:
        said = "Nothing to do."
    return "\n".join([said, *([bullets(broken, 10, 1800)] if broken else [])])


def _found(record: PerformanceRecord) -> list[Block]:
    """Against the hold-outs, how many labels there are, which batch, and the segments that are worse."""
    details = record.details
    fall = details.get("degradation")
    lines = [compared(fall), *(fall or {}).get("worse", ()), *details.get("said", ())]
    lines += [batch_line(details.get("batch")), *details.get("notes", ())]
    worse = [f"worse than the rest: {segment_line(part)}" for part in worse_segments(details)]
    shown = [escape(clean(capital(line), 300)) for line in (*worse, *lines) if line]
    return [section(bullets(shown, 12, 2500))] if shown else []


def _about(record: PerformanceRecord) -> Block:
    about = [file_name(record.path), count(record.rows, "row"), f"evaluated {when(record.at)}"]
    if record.run_url:
        about.append(link(record.run_url, "MLflow run"))
    return section(" · ".join(about))


def _metrics(record: PerformanceRecord) -> list[tuple[str, str, str]]:
    rows = []
    for field, label in (*RATES, *AVERAGES):
        if field in record.metrics:
            rows.append((label, percent(record.metrics[field]), _interval(record, field)))
    if (auc := record.metrics.get("roc_auc")) is not None:
        rows.append(("ROC AUC", f"{auc:.3f}", _interval(record, "roc_auc")))
    return rows


def _interval(record: PerformanceRecord, field: str) -> str:
    interval = record.intervals.get(field)
    if interval is None:
        return ""
    if field == "roc_auc":
        return f"{interval.low:.3f} to {interval.high:.3f}"
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def _classes(record: PerformanceRecord) -> list[Block]:
    """Of several classes each by itself, the worst first."""
    lines = [escape(clean(line, 200)) for line in class_lines(record.details.get("classes"))]
    return [context(bullets([capital(line) for line in lines], 11, 1900))] if lines else []


def _confusion(record: PerformanceRecord) -> list[Block]:
    confusion = [(field, record.metrics.get(field)) for field in ("tp", "fp", "fn", "tn")]
    if any(value is None for _, value in confusion):
        return []
    counts = {field: int(value or 0) for field, value in confusion}
    of = "Of the labelled rows, without weights" if record.details.get("sample") else "Of the rows"
    return [
        context(
            f"{of}, {counts['tp']:,} were true and {counts['fp']:,} false alarms, "
            f"{counts['fn']:,} were missed and {counts['tn']:,} rightly let pass."
        )
    ]
