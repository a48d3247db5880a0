"""The lineage of a training, put together while everything it is about is at hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from detectors.digest import sha256_file
from detectors.location import Location, location
from trainers.base import DataFile, Gate, LabelSpec, Trainer
from trainers.code_version import code_version, head
from trainers.dataset import TrainingData
from trainers.dvc import dvc_revision
from trainers.lineage import (
    Lineage,
    Origin,
    Revision,
    Source,
    data_digest,
    environment,
    seed_of,
    utc_text,
)
from trainers.mixing import Mix


def lineage_of(
    kind: Literal["train", "retrain"],
    data: TrainingData,
    old: Sequence[Location | DataFile],
    new: Sequence[Location | DataFile],
    *,
    spec: LabelSpec,
    gate: Gate,
    trainer: Trainer,
    origin: Origin | None,
    mix: Mix,
    parent: int | None = None,
) -> Lineage:
    """Where the version comes from that is trained on `data`, which was built from the `old` and `new` files."""
    origin = origin or Origin()
    params = dict(trainer.params())
    configuration = {
        "label": asdict(spec),
        "gate": asdict(gate),
        "mix": asdict(mix),
        "trainer": {"name": trainer.name, "table": dict(origin.trainer), "params": params},
    }
    known = {file.path: file for file in data.files}
    used = {file.sha256: file for file in data.files}
    sources = [_source(file, "old", known, used) for file in old]
    sources += [_source(file, "new", known, used) for file in new]
    return Lineage(
        kind=kind,
        parent=parent,
        project=_project(origin.project),
        code=code_version(),
        sources=tuple(sources),
        configuration=json.loads(json.dumps(configuration)),  # lists for tuples, as it will come back
        environment=environment(trainer),
        seed=seed_of(params),
        rows=len(data.train_y),
        data_sha256=data_digest(data.train_x, data.train_y),
        origin=origin,
        trained_at=utc_text(),
    )


def lineage_tags(lineage: Lineage) -> dict[str, str]:
    """The tags of its MLflow run; those of MLflow's own names show in its user interface."""
    origin, project = lineage.origin, lineage.project
    tags = {"driftcatcher.code": lineage.code, "driftcatcher.data_sha256": lineage.data_sha256}
    if lineage.parent is not None:
        tags["driftcatcher.parent_version"] = str(lineage.parent)
    if lineage.seed is not None:
        tags["driftcatcher.seed"] = str(lineage.seed)
    if project is not None:
        tags |= {"mlflow.source.git.commit": project.commit, "driftcatcher.project": str(project)}
    if tracked := [f"{Path(s.path).name} {s.dvc.md5}" for s in lineage.sources if s.dvc is not None]:
        tags["driftcatcher.dvc"] = ", ".join(tracked)
    if origin.by:
        tags |= {"mlflow.user": origin.by, "driftcatcher.by": origin.by, "driftcatcher.by_at": origin.at}
    if origin.why:
        tags["driftcatcher.why"] = origin.why
    return tags


def _project(folder: str) -> Revision | None:
    found = head(Path(folder)) if folder else None
    return None if found is None else Revision(*found)


def _source(
    given: Location | DataFile,
    role: Literal["old", "new"],
    known: dict[str, DataFile],
    used: dict[str, DataFile],
) -> Source:
    """The file as it was given; of several with the same content the training lists but the first."""
    place = location(given.path if isinstance(given, DataFile) else given).absolute()
    file = known.get(str(place))
    if file is None:
        same = used[sha256_file(place)]
        file = DataFile(str(place), same.sha256, same.rows, same.era)
    dvc = dvc_revision(place) if isinstance(place, Path) else None
    return Source(file.path, file.sha256, file.rows, role, dvc, file.era)
