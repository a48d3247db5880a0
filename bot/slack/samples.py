"""Rows to label, handed out in Slack: drawn, kept, and put into the outbox as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bot.config import ModelSection
from bot.sampling import ROWS
from bot.slack.blocks import Message, section
from bot.slack.services import Services
from bot.slack.text import clean, count, escape, file_name, name
from detectors.location import Location
from state.records import Incident, Sample


def hand_out(
    services: Services,
    model: ModelSection,
    path: Location,
    by: str,
    incident: Incident | None,
    of: str | None,
    *,
    again: str = "",
) -> bool:
    """Draw rows of a batch and have them uploaded; False where that was done before. It takes as long as a check.

    Args:
        by: who asked.
        incident: in whose thread the file belongs; None for the channel.
        of: SHA-256 that the file must have.
        again: told apart from earlier ones by this.

    Raises:
        NotTrained, DataError: see `bot.sampling.Sampling.draw`.
    """
    drawing = services.sampling.draw(model, path, rows=ROWS, by=by, of=of)
    number = None if incident is None else incident.id
    key = f"sample:{drawing.sample.name}:{number}{again}"
    payload = {"sample": drawing.sample.name, "warnings": list(drawing.warnings)}
    return services.store.enqueue("sample", key, payload, number, services.now()) is not None


def sample_message(sample: Sample, folder: str, warnings: Sequence[str] = ()) -> Message:
    """What to do with the file, in two sentences, after what to look out for."""
    about = f"{count(sample.rows, 'row')} of {file_name(sample.batch_path)} to label"
    text = (
        f"*{about}*: fill the column {name(sample.label)} of each row, or take the row out, and leave everything else "
        f"as it is. Then put the file into {name(folder, 200)} (or run `driftcatcher accept FILE`): every row is "
        "checked, and *Approve retrain* offers it."
    )
    text = "\n".join([*(f"⚠️ {escape(clean(warning, 500))}" for warning in warnings), text])
    return Message(text, [section(text)])


def not_uploaded(sample: Sample) -> Message:
    """Instead of the file, where Slack does not take it."""
    file = Path(sample.batch_path).name
    text = escape(
        f"{count(sample.rows, 'row')} of {file} are drawn to be labelled, but Slack does not take the file: "
        "`driftcatcher sample` with that batch writes the same one."
    )
    return Message(text, [section(text)])
