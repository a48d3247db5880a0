"""Python values as SQLite columns and back: times, JSON, rows to records."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import Any

from detectors.disagreement import Disagreement
from state.records import ByLabels
from trainers.base import DataFile, ModelVersion, RetrainOutcome
from trainers.judgement import Expectation


def stamp(moment: datetime) -> str:
    """A time as UTC text of fixed width, so that text order is time order."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone: pass datetime.now(UTC)")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """The inverse of `stamp`."""
    return datetime.fromisoformat(text)


def maybe(text: str | None) -> datetime | None:
    """`moment`, or None for NULL."""
    return None if text is None else datetime.fromisoformat(text)


def to_json(value: Any) -> str:
    """Compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def files_to_json(files: Iterable[DataFile]) -> str:
    return to_json([asdict(file) for file in files])


def files_from_json(text: str) -> tuple[DataFile, ...]:
    return tuple(DataFile(**file) for file in json.loads(text))


def version_to_json(record: ModelVersion) -> str:
    return _dump(ModelVersion, record)


def version_from_json(text: str) -> ModelVersion:
    record: ModelVersion = _load(ModelVersion, text)
    return record


def outcome_to_json(outcome: RetrainOutcome) -> str:
    return _dump(RetrainOutcome, outcome)


def outcome_from_json(text: str) -> RetrainOutcome:
    outcome: RetrainOutcome = _load(RetrainOutcome, text)
    return outcome


def expectation_to_json(found: Expectation) -> str:
    return _dump(Expectation, found)


def expectation_from_json(text: str) -> Expectation:
    found: Expectation = _load(Expectation, text)
    return found


def disagreement_to_json(found: Disagreement) -> str:
    return _dump(Disagreement, found)


def disagreement_from_json(text: str) -> Disagreement:
    found: Disagreement = _load(Disagreement, text)
    return found


def labels_to_json(labels: ByLabels) -> str:
    return _dump(ByLabels, labels)


def labels_from_json(text: str) -> ByLabels:
    labels: ByLabels = _load(ByLabels, text)
    return labels


def _dump(kind: Any, value: Any) -> str:
    text: bytes = _adapter(kind).dump_json(value)
    return text.decode()


def _load(kind: Any, text: str) -> Any:
    return _adapter(kind).validate_json(text)


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter  # late: most verbs need no nested type

    return TypeAdapter(kind)
