"""From labelled files to a registered version, judged against the champion on the same hold-outs."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.baseline import Baseline
from detectors.cells import some_names
from detectors.class_metrics import measured
from detectors.codes import CodedRows
from detectors.digest import sha256_file
from detectors.location import Location, location
from detectors.table import reference_rows
from detectors.track_record import measure
from detectors.variation import windows
from trainers.base import (
    DataFile,
    Evaluation,
    Gate,
    LabelSpec,
    ModelRegistry,
    ModelVersion,
    Progress,
    RetrainOutcome,
    Trainer,
    TrainingError,
    TrainOutcome,
    counted_rows,
    label_word,
    quiet,
)
from trainers.dataset import TrainingData, build
from trainers.fitting import fit_on
from trainers.judgement import MEASURED, Cell, matrix
from trainers.labels import known_positions
from trainers.lineage import Origin
from trainers.matrix_plot import matrix_files
from trainers.mixing import ALL, Mix, draw, told
from trainers.model_card import Card
from trainers.promotion import breaches, recommend
from trainers.provenance import lineage_of, lineage_tags
from trainers.scoring import predicted
from trainers.tracking import metric_names
from trainers.version_folder import CARD_FILE, VersionFolder

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # a folder name, and what MLflow takes
_EXAMPLE_ROWS = 5
_LISTED = 5  # findings of the ledger that become notes of a first version


def train(
    model: str,
    base_files: Sequence[Location | DataFile],
    new_files: Sequence[Location | DataFile],
    spec: LabelSpec,
    trainer: Trainer,
    registry: ModelRegistry,
    home: Path,
    *,
    gate: Gate,
    mix: Mix = ALL,
    baselines: Location | None = None,
    progress: Progress = quiet,
    tags: Mapping[str, str] | None = None,
    origin: Origin | None = None,
) -> TrainOutcome:
    """Train a version from labelled files alone, without a champion to compare it with.

    The version is registered with the alias "challenger"; the caller decides and moves "champion".

    Args:
        model: name in the configuration and the registry.
        base_files / new_files: labelled files; hold-outs are taken from both. A `DataFile` must still have
            the content it had when it was chosen.
        spec: how they are labelled.
        trainer, registry: what fits, and where models live.
        home: folder of the project; the baseline goes to home/models/<model>/v<version>/.
        baselines: a folder or prefix for <model>/v<version>/baseline.npz that checks read instead.
        gate: its limits are held against the hold-outs; what breaks them becomes a note.
        mix: which of the training rows the model is fitted on.
        progress: told each step.
        tags: further tags of the MLflow run ("approved_by").
        origin: what the caller knows of the training, for its lineage.

    Raises:
        TrainingError, DataError: nothing was registered.
    """
    job = _Job("train", model, spec, trainer, registry, home, baselines, progress, mix)
    data = build(base_files, new_files, spec, progress=progress)
    places = draw(mix, data.train_eras, data.train_y)
    estimator = _fit(trainer, data, places, progress)
    evaluations, _ = _evaluate(estimator, data, f"the new {trainer.name}")
    said = {**(tags or {}), "driftcatcher.kind": "train"}
    about: dict[str, Any] = {"spec": spec, "gate": gate, "trainer": trainer, "origin": origin, "mix": mix}
    lineage = lineage_of("train", data, base_files, new_files, **about)
    counted = counted_rows(data.duplicates, data.conflicts) + tuple(map(str, data.ledger[:_LISTED]))
    remarks = data.notes + _said(trainer) + counted + _mix_note(mix, data, places)
    broken = breaches(evaluations, gate)
    card = Card(model, trainer.name, lineage, data.schema, evaluations, reasons=broken, notes=remarks)
    version = _register(job, data, places, estimator, _named("challenger", evaluations), said, card)
    return TrainOutcome(version, remarks + broken)


def retrain(
    champion: ModelVersion,
    new_files: Sequence[Location | DataFile],
    spec: LabelSpec,
    trainer: Trainer,
    registry: ModelRegistry,
    home: Path,
    *,
    gate: Gate,
    mix: Mix = ALL,
    baselines: Location | None = None,
    progress: Progress = quiet,
    tags: Mapping[str, str] | None = None,
    origin: Origin | None = None,
) -> RetrainOutcome:
    """Train a challenger on the champion's data and new labelled files, and judge both on the same hold-outs.

    The challenger is registered with the alias "challenger"; nothing else changes. The arguments are those
    of `train`.

    Raises:
        TrainingError, DataError: nothing was registered.
    """
    job = _Job("retrain", champion.model, spec, trainer, registry, home, baselines, progress, mix)
    if not new_files:
        raise TrainingError(f"no newly labelled file was named: there is nothing new to train {job.model} on")
    owner = f"{champion.model} version {champion.version}"
    _same_sides(champion, spec)
    known = known_positions(champion, spec)
    current = registry.load(champion)  # first: without the champion there is nothing to compare with
    schema = champion.schema if champion.schema.features else None
    data = build(champion.data, new_files, spec, schema=schema, owner=owner, progress=progress)
    places = draw(mix, data.train_eras, data.train_y)
    estimator = _fit(trainer, data, places, progress)
    progress("measuring the current and the new model on the same hold-outs")
    before, said_before = _evaluate(current, data, owner, known)
    after, said_after = _evaluate(estimator, data, f"the new {trainer.name}")
    cells = _matrix(data, said_before, said_after)
    recommendation, reasons = recommend(before, after, gate, matrix=cells)
    said = {
        **(tags or {}),
        "driftcatcher.kind": "retrain",
        "driftcatcher.champion_version": str(champion.version),
        "driftcatcher.recommendation": recommendation,
        "mlflow.note.content": f"Recommendation: {recommendation}.\n\n"
        + "\n".join(f"- {r}" for r in reasons),
    }
    metrics = {**_named("champion", before), **_named("challenger", after), **_of_eras(cells)}
    about: dict[str, Any] = {"spec": spec, "gate": gate, "trainer": trainer, "origin": origin, "mix": mix}
    lineage = lineage_of("retrain", data, champion.data, new_files, **about, parent=champion.version)
    drawn = partial(matrix_files, cells=cells, champion=f"v{champion.version}")
    notes = data.notes + _said(trainer) + _mix_note(mix, data, places) + _added(champion, spec)
    remarks = notes + counted_rows(data.duplicates, data.conflicts)
    card = Card(
        job.model, trainer.name, lineage, data.schema, after, before, recommendation, tuple(reasons), remarks
    )
    version = _register(job, data, places, estimator, metrics, said, card, drawn)
    return RetrainOutcome(
        before,
        after,
        version,
        recommendation,
        reasons,
        duplicates=data.duplicates,
        conflicts=data.conflicts,
        notes=notes,
        matrix=cells,
        ledger=data.ledger,
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """What stays the same through one training."""

    kind: str
    model: str
    spec: LabelSpec
    trainer: Trainer
    registry: ModelRegistry
    home: Path
    baselines: Location | None
    progress: Progress
    mix: Mix

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.model):
            raise TrainingError(
                f'the model name "{self.model}" is used as a folder: letters, digits, "_" and "-" only'
            )


def _same_sides(champion: ModelVersion, spec: LabelSpec) -> None:
    """Another group column would put rows that trained the champion on the hold-out side."""
    if champion.group != (spec.group or ""):
        named = [f'by "{name}"' if name else "row by row" for name in (champion.group, spec.group or "")]
        raise TrainingError(
            f"the hold-outs of {champion.model} version {champion.version} were chosen {named[0]}, the configuration "
            f"now says {named[1]}: a row would change sides. Put `group` back, or start anew with "
            "`driftcatcher train`"
        )


def _added(champion: ModelVersion, spec: LabelSpec) -> tuple[str, ...]:
    """That the champion cannot know what is new."""
    known = {label_word(name) for name in champion.classes}
    new = [name for name in spec.classes if label_word(name) not in known]
    if not new:
        return ()
    return (f"version {champion.version} does not know {some_names(new)}: it has every such row wrong",)


def _mix_note(mix: Mix, data: TrainingData, places: np.ndarray) -> tuple[str, ...]:
    return () if mix.use == "all" else (told(mix, places, data.train_eras),)


def refit(
    data: TrainingData, trainer: Trainer, mix: Mix = ALL, progress: Progress = quiet
) -> tuple[Evaluation, ...]:
    """Train on some data once more, and measure on its hold-outs; nothing is registered."""
    places = draw(mix, data.train_eras, data.train_y)
    return _evaluate(_fit(trainer, data, places, progress), data, f"the new {trainer.name}")[0]


def _fit(trainer: Trainer, data: TrainingData, places: np.ndarray, progress: Progress) -> Any:
    """`places`: of the training rows that are fitted on, as drawn by the mix."""
    progress(f"training {trainer.name} on {len(places):,} rows of {data.train_x.shape[1]} features")
    return fit_on(trainer, data, places)


def _said(trainer: Trainer) -> tuple[str, ...]:
    """What a trainer remarks of its last fit, if it does."""
    return tuple(str(note) for note in getattr(trainer, "notes", ()))


def _evaluate(
    estimator: Any, data: TrainingData, who: str, known: np.ndarray | None = None
) -> tuple[tuple[Evaluation, ...], dict[str, np.ndarray]]:
    """Metrics on each hold-out, old first, and what the model says of each of its rows.

    `known`: where the classes that it knows stand among those of the data, if not in the same places.
    """
    classes = len(data.classes) if known is None else len(known)
    evaluations: list[Evaluation] = []
    said: dict[str, np.ndarray] = {}
    for side, (features, labels) in data.holdouts.items():
        guess, probability = predicted(estimator, features, who, classes)
        guess = guess if known is None else known[guess]
        metrics = measured(labels, guess, probability, data.classes)
        evaluations.append(Evaluation(side, len(labels), metrics))
        said[side] = guess
    return tuple(evaluations), said


def _matrix(
    data: TrainingData, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> tuple[Cell, ...]:
    truth: dict[str, np.ndarray] = {side: labels for side, (_, labels) in data.holdouts.items()}
    eras: dict[str, np.ndarray] = {side: own for side, own in data.holdout_eras.items()}  # noqa: C416  other keys
    files: dict[int, list[str]] = {}
    for file in data.files:
        files.setdefault(file.era, []).append(location(file.path).name)
    groups: dict[str, np.ndarray] = {side: own for side, own in data.holdout_groups.items()}  # noqa: C416
    return matrix(truth, before, after, eras, files, groups or None, data.classes)


def _named(who: str, evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """The metrics under the names they have in MLflow: "old_holdout.challenger.accuracy"."""
    found: dict[str, float] = {}
    for evaluation in evaluations:
        values = evaluation.metrics.by_name
        names = metric_names(values)
        for name, value in values.items():
            if value is not None:
                found[f"{evaluation.holdout}_holdout.{who}.{names[name]}"] = float(value)
    return found


def _of_eras(cells: Sequence[Cell]) -> dict[str, float]:
    """The same for the hold-outs of past eras, and how many points each hold-out gained."""
    found: dict[str, float] = {}
    for cell in cells:
        side = cell.holdout.replace(" ", "_")
        names = metric_names(cell.champion.by_name)  # of all classes: the same for every hold-out
        if cell.holdout.startswith("era"):
            for who, metrics in (("champion", cell.champion), ("challenger", cell.challenger)):
                values = {name: metrics.value(name) for name in cell.differences or MEASURED}
                found |= {
                    f"{side}_holdout.{who}.{names[k]}": float(v) for k, v in values.items() if v is not None
                }
        found |= {
            f"{side}_holdout.gain.{names[name]}": moved.value for name, moved in cell.differences.items()
        }
        found[f"{side}_holdout.p_different"] = cell.p_value()
    return found


def _register(
    job: _Job,
    data: TrainingData,
    places: np.ndarray,
    estimator: Any,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    card: Card,
    drawn: Callable[..., tuple[Path, ...]] | None = None,
) -> ModelVersion:
    """Baseline, run, registered version and alias: all of them or none. `drawn` makes further files of the run."""
    job.progress("fitting the baseline of the new version")
    lineage = card.lineage

    def papers(version: int) -> dict[str, str]:
        text = json.dumps(asdict(lineage), indent=2, ensure_ascii=False)
        return {"lineage.json": text, CARD_FILE: card.markdown(version)}

    baseline = _baseline(job, data, estimator)
    folder = VersionFolder(job.home, job.model, baseline, estimator, job.baselines, papers)
    job.progress("registering the new version")
    drawings = tempfile.TemporaryDirectory()

    def artifacts(version: int) -> tuple[Path, ...]:
        more = drawn(Path(drawings.name), challenger=f"v{version}") if drawn else ()
        return (*folder.write(version), *more)

    try:
        logged = job.registry.log_version(
            job.model,
            estimator,
            example=data.train_x.head(_EXAMPLE_ROWS),
            params={**_described(data, job, places), "trainer": job.trainer.name, **job.trainer.params()},
            metrics=metrics,
            tags={**tags, "driftcatcher.model": job.model, **lineage_tags(lineage)},
            data=data.files,
            artifacts=artifacts,
            run_name=f"{job.kind} {job.model}",
            alias="challenger",
        )
        file = folder.baseline_file
    except BaseException:
        folder.remove()
        raise
    finally:
        drawings.cleanup()
    return ModelVersion(
        model=job.model,
        version=logged.version,
        run_id=logged.run_id,
        run_url=logged.run_url,
        model_uri=logged.model_uri,
        artifact_sha256=logged.artifact_sha256,
        baseline_path=str(file),
        baseline_sha256=sha256_file(file),
        model_path=str(folder.model_file),
        model_sha256=sha256_file(folder.model_file),
        trusted=tuple(getattr(job.trainer, "trusted", ())),
        data=data.files,
        evaluations=card.evaluations,
        trainer=job.trainer.name,
        params=dict(job.trainer.params()),
        code_version=lineage.code,
        schema=data.schema,
        lineage=lineage,
        group=job.spec.group or "",
        classes=job.spec.classes,
    )


def _baseline(job: _Job, data: TrainingData, estimator: Any) -> Baseline:
    """Of the training rows, with what the model said of its hold-outs; its version is set when it is known."""
    import pandas as pd

    frame, period = data.train_x, job.spec.period
    if data.periods is not None and period is not None:
        frame = frame.assign(**{period: data.periods})
    baseline = Baseline.fit(
        frame,
        label=job.spec.column,  # known as no features, so that a batch may carry them without a remark
        ignore=(*job.spec.ignore, *([job.spec.group] if job.spec.group else [])),
        categorical=data.schema.categorical,
        period=period,
        model=job.model,
    )
    held = pd.concat([features for features, _ in data.holdouts.values()], ignore_index=True)
    labels = np.concatenate([labels for _, labels in data.holdouts.values()])
    if not len(held):
        return baseline
    job.progress("measuring which features the new version relies on")
    record = measure(
        list(baseline.features.values()),
        held,
        labels,
        lambda rows: predicted(estimator, rows, f"the new {job.trainer.name}", len(data.classes)),
        periods=data.holdout_periods,
        classes=data.classes,
    )
    return replace(baseline, record=record, table=_table(baseline, data, held))


def _table(baseline: Baseline, data: TrainingData, held: pd.DataFrame) -> CodedRows:
    """Rows of both sides: the same row is always on one side, so neither alone has each as often as the data."""
    import pandas as pd

    rows = pd.concat([data.train_x, held], ignore_index=True)
    spans: list[np.ndarray] = []
    if data.periods is not None and data.holdout_periods is not None:
        spans = windows(pd.concat([data.periods, data.holdout_periods], ignore_index=True))
    return reference_rows(list(baseline.features.values()), rows, spans)


def _described(data: TrainingData, job: _Job, places: np.ndarray) -> dict[str, Any]:
    """What the run says about its data."""
    spec = job.spec
    held = np.concatenate(list(data.holdout_eras.values()))
    fitted = data.train_eras[places]
    return {
        **job.mix.params(),
        **{f"rows.fitted.era_{era}": int((fitted == era).sum()) for era in np.unique(fitted)},
        **{f"rows.holdout.era_{era}": int((held == era).sum()) for era in np.unique(held)},
        **({"label.group": spec.group} if spec.group else {}),
        "label.column": spec.column,
        **_meant(spec),
        "features": len(data.schema.features),
        "rows.train": len(data.train_y),
        "rows.train.new": data.new_rows,
        **{f"rows.{side}_holdout": len(labels) for side, (_, labels) in data.holdouts.items()},
        "rows.duplicates": data.duplicates,
        "rows.conflicts": data.conflicts,
    }


def _meant(spec: LabelSpec) -> dict[str, str]:
    """What labels mean; of classes their positions are what the model predicts."""
    if spec.classes:
        return {"label.classes": ", ".join(spec.classes)}
    return {
        f"label.{side}": ", ".join(values) or "every other value"
        for side, values in (("positive", spec.positive), ("negative", spec.negative))
    }
