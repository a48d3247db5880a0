"""What an alert turned out to be, said at a terminal: who is asked about, and what is still unsaid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from state.feedback import newest_of_each
from state.records import Feedback, Incident, StateError, Truth
from state.store import Store

WORDS: dict[Truth, str] = {"true_drift": "true drift", "false_alarm": "false alarm"}


class UnknownSubject(Exception):
    """What was named is no incident and no checked batch; the sentence says what would be understood."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What feedback is about: an incident or a batch, and what a person calls it."""

    name: str
    incident_id: int | None = None
    batch_id: int | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """The feedback of a model (or all), newest first, and the newest incidents of which nobody has said anything."""

    given: tuple[Feedback, ...]
    unsaid: tuple[Incident, ...]


def subject_of(store: Store, text: str, model: str | None = None) -> Subject:
    """What a person means: `3` or `incident:3` is an incident, `batch:7` a batch, all else a file's name.

    Of several batches of one name the newest is meant.

    Raises:
        UnknownSubject: nothing is called so.
    """
    kind, _, number = text.rpartition(":")
    if number.isdecimal() and kind in ("", "incident"):
        return _incident(store, int(number), model)
    if number.isdecimal() and kind == "batch":
        return _batch(store, int(number), model)
    found = store.batches_named(text, model)
    if not found:
        of = f" of {model}" if model else ""
        raise UnknownSubject(
            f'no checked batch{of} is called "{text}": give the file name of a batch (or batch:ID), or the number '
            "of an incident; `driftcatcher feedback` and `driftcatcher status` list them"
        )
    models = sorted({batch.model for batch in found})
    if len(models) > 1:
        raise UnknownSubject(f'"{text}" was checked for {", ".join(models)}: say which with --model')
    return Subject(f"batch {found[0].id} ({_file(found[0].path)})", batch_id=found[0].id)


def _incident(store: Store, number: int, model: str | None) -> Subject:
    try:
        incident = store.incident(number)
    except StateError as error:
        raise UnknownSubject(f"{error}; a batch is named by its file name or as batch:{number}") from error
    if model is not None and incident.model != model:
        raise UnknownSubject(f"incident {number} is of {incident.model}, not of {model}")
    return Subject(f"incident {number} of {incident.model}", incident_id=number)


def _batch(store: Store, number: int, model: str | None) -> Subject:
    try:
        batch = store.batch(number)
    except StateError as error:
        raise UnknownSubject(str(error)) from error
    if model is not None and batch.model != model:
        raise UnknownSubject(f"batch {number} is of {batch.model}, not of {model}")
    return Subject(f"batch {number} ({_file(batch.path)})", batch_id=number)


def give(store: Store, subject: Subject, verdict: Truth, by: str, why: str, now: datetime) -> Feedback:
    """Keep what somebody says; the message of the incident in Slack will show it. StateError if it has no verdict."""
    with store.together():
        said = store.give_feedback(
            verdict, by, why, now, incident_id=subject.incident_id, batch_id=subject.batch_id
        )
        if subject.incident_id is not None:
            key = f"incident:{subject.incident_id}:feedback:{said.id}"
            store.enqueue("incident", key, {}, subject.incident_id, now)
    return said


def listed(store: Store, model: str | None = None, limit: int = 30) -> Listed:
    """What was said, and which of the newest incidents wait for somebody to say what they were."""
    truths: dict[int, tuple[Feedback, ...]] = {}
    incidents = store.incidents(model, limit)
    for name in {incident.model for incident in incidents}:
        truths.update(store.truths(name))
    unsaid = tuple(i for i in incidents if not truths.get(i.batch_id) and not store.feedback_on(i.id))
    return Listed(store.feedback(model, limit), unsaid)


def feedback_text(store: Store, shown: Listed) -> str:
    """For a terminal: newest first, what its author has changed since is marked."""
    lines = [_line(store, said, _counts(shown.given, said)) for said in shown.given]
    if not lines:
        lines.append("Nobody has said yet whether an alert was true drift or a false alarm.")
    if shown.unsaid:
        lines += ["", "Nobody has said what these were:"]
        lines += [
            f"  incident {i.id}  {i.model}  {i.state}, opened {i.opened_at:%Y-%m-%d %H:%M} UTC, "
            f"{i.batches} batch{'es' * (i.batches != 1)} ({_file(store.batch(i.batch_id).path)})"
            for i in shown.unsaid
        ]
        lines.append(
            f"Say it in Slack, or with: driftcatcher feedback {shown.unsaid[0].id} true-drift|false-alarm"
        )
    return "\n".join(lines)


def _line(store: Store, said: Feedback, counts: bool) -> str:
    about = f"incident {said.incident_id}"
    if said.batch_id is not None:
        about = f"batch {said.batch_id} ({_file(store.batch(said.batch_id).path)})"
    why = f": {said.why}" if said.why else ""
    changed = "" if counts else "  [changed since]"
    return (
        f"{said.at:%Y-%m-%d %H:%M} UTC  {said.model}  {about}  "
        f"{WORDS[said.verdict]} by {said.who}{why}{changed}"
    )


def _counts(given: tuple[Feedback, ...], said: Feedback) -> bool:
    """Whether it is the newest that this person said of this subject; what is listed has its successors too."""
    about = (said.incident_id, said.batch_id)
    same = (one for one in reversed(given) if (one.incident_id, one.batch_id) == about)
    return said in newest_of_each(same)


def _file(path: str) -> str:
    return path.rsplit("/", 1)[-1]
