"""A version trained again from what its lineage says, and held against what was recorded; nothing is registered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detectors.digest import sha256_file
from detectors.location import Location
from trainers.base import (
    DataFile,
    Evaluation,
    LabelSpec,
    ModelVersion,
    Progress,
    Trainer,
    TrainingError,
    quiet,
)
from trainers.code_version import code_version
from trainers.dataset import TrainingData, build
from trainers.lineage import Lineage, Source, data_digest, environment
from trainers.mixing import Mix
from trainers.pipeline import refit

TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was: its name, then and now."""

    what: str
    recorded: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.what}: {_shown(self.recorded)} then, {_shown(self.now)} now"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of it.

    Attributes:
        evaluations: metrics of the new model on the same hold-outs.
        differences: in training rows, parameters and metrics beyond 1e-12.
        surroundings: in code and environment: where there are differences, these may be why.
    """

    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    surroundings: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether everything is as it was recorded."""
        return not self.differences


def lineage_or_error(record: ModelVersion) -> Lineage:
    """The lineage of a version; TrainingError for one of an earlier release."""
    if record.lineage is None:
        raise TrainingError(
            f"{record.model} version {record.version} was trained before lineage was kept: which files were new and "
            "how they were read is not known, so it cannot be trained again as it was"
        )
    return record.lineage


def reproduce(
    record: ModelVersion,
    trainer: Trainer,
    *,
    moved: Sequence[Location] = (),
    progress: Progress = quiet,
) -> Reproduction:
    """Train a version again from its files, parameters, seed and schema, and compare.

    Args:
        record: the version.
        trainer: made from the table in its lineage.
        moved: where files lie now that are not where they were; told by their content.
        progress: told each step.

    Raises:
        TrainingError, DataError: a file is gone or changed, or the version has no lineage.
    """
    lineage = lineage_or_error(record)
    owner = f"{record.model} version {record.version}"
    found = {sha256_file(path): path for path in moved}
    _require_recorded(found, lineage, owner)
    try:
        data = build(
            [_file(source, found) for source in lineage.old],
            [_file(source, found) for source in lineage.new],
            _spec(lineage),
            schema=record.schema if lineage.kind == "retrain" else None,
            owner=owner,
            progress=progress,
        )
    except TrainingError as error:
        raise TrainingError(f"{error}{_by_dvc(lineage, str(error))}") from error
    evaluations = refit(data, trainer, Mix(**lineage.configuration.get("mix", {})), progress)
    differences = [
        *_of_data(record, lineage, data),
        *_mapped("parameter", dict(record.params), dict(trainer.params())),
        *_of_metrics(record.evaluations, evaluations),
    ]
    surroundings = _mapped("", dict(lineage.environment), environment(trainer))
    if (code := code_version()) != lineage.code:
        surroundings.insert(0, Difference("driftcatcher", lineage.code, code))
    return Reproduction(evaluations, tuple(differences), tuple(surroundings))


def _spec(lineage: Lineage) -> LabelSpec:
    """As it was recorded: JSON has lists where we have tuples."""
    recorded = lineage.configuration["label"]
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in recorded.items()}
    return LabelSpec(**fields)


def _file(source: Source, moved: dict[str, Location]) -> DataFile:
    return DataFile(str(moved.get(source.sha256, source.path)), source.sha256, source.rows, source.era)


def _by_dvc(lineage: Lineage, error: str) -> str:
    """How to get back a file that the error is about, where DVC has it."""
    for source in lineage.sources:
        if source.dvc is not None and source.dvc.commit and source.path in error:
            pointer, commit = source.dvc.pointer, source.dvc.commit[:12]
            return f". DVC has it: `git checkout {commit} -- {pointer} && dvc checkout {pointer}`"
    return ""


def _require_recorded(found: dict[str, Location], lineage: Lineage, owner: str) -> None:
    known = {source.sha256 for source in lineage.sources}
    if strange := [str(path) for digest, path in found.items() if digest not in known]:
        raise TrainingError(
            f"{owner} was not trained on the content of {', '.join(strange)}: `driftcatcher lineage` lists the digests "
            "of its files"
        )


def _of_data(record: ModelVersion, lineage: Lineage, data: TrainingData) -> list[Difference]:
    digest = data_digest(data.train_x, data.train_y)
    pairs = (
        ("features", record.schema.features, data.schema.features),
        ("training rows", lineage.rows, len(data.train_y)),
        ("digest of the training rows", lineage.data_sha256, digest),
    )
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def _of_metrics(then: Sequence[Evaluation], now: Sequence[Evaluation]) -> list[Difference]:
    def flat(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
        return {
            f"{name} on the {evaluation.holdout} hold-out": value
            for evaluation in evaluations
            for name, value in evaluation.metrics.by_name.items()
        }

    return _mapped("", flat(then), flat(now))


def _mapped(prefix: str, then: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    names = dict.fromkeys([*then, *now])
    return [
        Difference(f"{prefix} {name}".strip(), then.get(name), now.get(name))
        for name in names
        if not _equal(then.get(name), now.get(name))
    ]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return list(one) == list(other)
    return bool(one == other)


def _shown(value: Any) -> str:
    return "none" if value is None or value == "" else str(value)
