"""What is said when labelled predictions were evaluated. Pure."""

from __future__ import annotations

from bot.slack import ids
from bot.slack.blocks import Message, actions, button, clip, context, header, section, table
from bot.slack.retrain_blocks import RATES
from bot.slack.text import bullets, clean, count, escape, file_name, link, percent, when
from state.records import PerformanceRecord


def performance_alert(record: PerformanceRecord, command: str = "/drift") -> Message:
    """The metrics of a model on labelled predictions, and which limits they break."""
    model = clean(record.model)
    broken = [escape(clean(line, 200)) for line in record.breaches]
    if broken:
        title = f"🔴 {model}: {count(len(broken), 'limit')} of the performance broken"
        advice = (
            f"*Next step:* label recent rows and retrain. `{escape(command)} history` tells whether the data has"
            " drifted; if it has not, the meaning of the labels has (concept drift), which only labels show."
            f"\n{bullets(broken, 10, 1800)}"
        )
    else:
        title, advice = f"🟢 {model}: performance within its limits", "Nothing to do."
    about = [file_name(record.path), count(record.rows, "row"), f"evaluated {when(record.at)}"]
    if record.run_url:
        about.append(link(record.run_url, "MLflow run"))
    rows = [(label, percent(record.metrics[field])) for field, label in RATES if field in record.metrics]
    if (auc := record.metrics.get("roc_auc")) is not None:
        rows.append(("ROC AUC", f"{auc:.3f}"))
    blocks = [header(title), section(advice), section(" · ".join(about))]
    if rows:
        blocks.append(table(("Metric", "Value"), rows, right=(1,))[0])
    confusion = [(field, record.metrics.get(field)) for field in ("tp", "fp", "fn", "tn")]
    if all(value is not None for _, value in confusion):
        counts = {field: int(value or 0) for field, value in confusion}
        blocks.append(
            context(
                f"Of the rows, {counts['tp']:,} were true and {counts['fp']:,} false alarms, "
                f"{counts['fn']:,} were missed and {counts['tn']:,} rightly let pass."
            )
        )
    if broken:
        press = button("Choose data and approve a retrain", ids.RETRAIN_OPEN, record.model)
        blocks.append(actions(press))
    return Message(clip(f"{escape(title)}. {' '.join(broken)}".strip(), 2000), blocks)
