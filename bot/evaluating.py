"""Performance: predictions whose labels have come are measured, remembered, logged, and perhaps said in Slack."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bot import tracking
from bot.alerting import Notify
from bot.config import Config, ModelSection
from bot.monitoring import announce, load_baseline
from bot.sampled import Sampled, measured_sample
from bot.samples import read_returned
from bot.shadow_text import labels_line
from bot.shadowing import Settled, keep_settled, settle
from bot.times import utc_now
from detectors.class_metrics import class_breaches, evaluate_classes, measured
from detectors.degradation import Degradation, Reference, degradation
from detectors.diagnosis import Diagnosis, diagnose
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.intervals import binary_intervals, class_intervals
from detectors.labelled_predictions import LabelledPredictions, Naming, read_labelled
from detectors.location import Location
from detectors.metrics import ClassMetrics, Interval, Metrics
from detectors.performance import breaches, evaluate
from detectors.segments import Segment, segments
from detectors.source import header_of
from state.records import Batch, PerformanceRecord, StateError, Trained
from state.store import Store
from trainers.base import ROW_ID, ModelRegistry, TrainingError, label_word
from trainers.tracking import metric_names

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Labelled:
    """The files to evaluate.

    Attributes:
        predictions: with y_pred, perhaps y_prob, and y_true where there are no label files.
        labels: what came later;  id_column: joins both, None for the order of rows.
        segments: columns of the predictions whose values are compared.
        batch: the features that belong to the predictions, as they were checked; None for the newest check.
        every_class: measure each class by itself, also where the configuration folds them into two.
    """

    predictions: tuple[Location, ...]
    labels: tuple[Location, ...] = ()
    id_column: str | None = None
    segments: tuple[str, ...] = ()
    batch: Location | None = None
    every_class: bool = False


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Measured files: the metrics, the sentences about those out of bounds, and what was stored."""

    metrics: Metrics | ClassMetrics
    breaches: tuple[str, ...]
    record: PerformanceRecord
    log_error: str = ""

    @property
    def degraded(self) -> bool:
        """A limit is broken, or the model is worse than on its hold-outs."""
        return bool(self.breaches) or bool(self.record.details.get("harm"))


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Labelled rows, and what they say of a version: `fall` against its hold-outs; `sampled` where they were drawn."""

    batch: Batch | None
    version: Trained | None
    rows: LabelledPredictions
    metrics: Metrics | ClassMetrics
    intervals: Mapping[str, Interval]
    fall: Degradation | None
    notes: tuple[str, ...]
    sampled: Sampled | None = None
    settled: Settled | None = None


@dataclass(frozen=True, slots=True)
class Evaluating:
    """Measures labelled predictions of a model. `registry` is made on first use: it loads MLflow."""

    config: Config
    store: Store
    registry: Callable[[], ModelRegistry]
    now: Callable[[], datetime] = utc_now

    def evaluate(self, model: ModelSection, files: Location | Labelled) -> Evaluated:
        """Measure predictions with their labels, and tell drift and harm apart.

        A single path is a file with columns y_true, y_pred and optionally y_prob, or a labelled sample, which the
        version for which it was drawn predicts and whose rows count by their weights. What is stored in `details`:
        title and advice of the case, harm, files, counts and the sentences on them, notes, degradation, segments,
        classes, own_classes (the model tells them apart), batch, sample.

        Raises:
            DataError: a file cannot be read or joined, or the named batch was not checked.
        """
        asked = files if isinstance(files, Labelled) else Labelled((files,))
        sampled = self._sampled(model, asked)
        seen = self._predicted(model, asked) if sampled is None else self._drawn(model, sampled)
        found = _breaches(seen.metrics, model)
        harm = _harm(seen.fall, found)
        verdict = None if seen.batch is None else seen.batch.verdict
        needed = None if seen.fall is None else seen.fall.labels_needed
        case = diagnose(verdict, harm, labels_needed=needed, broken=bool(found))
        details = _details(asked, seen, case, harm)
        sha256 = _digest(asked)
        url, error = self._log(model, asked, sha256, seen.metrics, case)
        with self.store.together():
            record = self.store.save_performance(
                model.name,
                str(asked.predictions[0]),
                sha256,
                rows=seen.metrics.rows,
                metrics=seen.metrics.by_name,
                breaches=found,
                run_url=url,
                now=self.now(),
                batch_id=None if seen.batch is None else seen.batch.id,
                intervals=seen.intervals,
                case=case.case,
                details=details,
            )
            if sampled is not None and seen.settled is not None:
                keep_settled(self.store, sampled.sample, seen.settled, record.id, self.now())
            self._log_the_rest(record, self._version(model, seen.batch), missed=bool(error))
        return Evaluated(seen.metrics, found, record, error)

    def _predicted(self, model: ModelSection, asked: Labelled) -> _Seen:
        """What files of predictions say."""
        batch = self._batch(model, asked.batch)
        version = self._version(model, batch)
        rows = _joined(model, asked, version, self.store.champion(model.name))
        metrics, intervals = _measured(rows)
        fall, notes = self._degradation(metrics, version, model)
        return _Seen(batch, version, rows, metrics, intervals, fall, (*notes, *_about(batch, asked, rows)))

    def _drawn(self, model: ModelSection, sampled: Sampled) -> _Seen:
        """What a labelled sample says, of the version it was drawn for, and in a shadow period of the other too."""
        sample, rows, measured = sampled.sample, sampled.rows, sampled.measured
        settled = settle(self.store, sample, rows, sampled.weight, model.label_spec())
        fall, notes = self._degradation(measured.effective, sampled.version, model)
        fall = None if fall is None else replace(fall, accuracy=measured.metrics.accuracy or 0.0)
        notes += (*sampled.notes, *_by_labels(settled))
        batch = self.store.last_checked(model.name, sample.batch_sha256)
        return _Seen(
            batch, sampled.version, rows, measured.metrics, measured.intervals, fall, notes, sampled, settled
        )

    def _log_the_rest(self, record: PerformanceRecord, version: Trained | None, *, missed: bool) -> None:
        """The step of the version's long-lived run, and the run that MLflow did not take, are logged afterwards."""
        steps = self.config.mlflow.log_checks != "off" and version is not None
        if steps or missed:
            number = "none" if version is None else str(version.record.version)
            payload = tracking.of_performance(record, number, own_run=missed, steps=steps)
            self.store.queue_run("performance", record.model, number, payload, record.at)

    def _batch(self, model: ModelSection, named: Location | None) -> Batch | None:
        """The named batch, or the newest that was checked."""
        if named is None:
            return self.store.last_checked(model.name)
        batch = self.store.last_checked(model.name, sha256_file(named))
        if batch is None:
            raise DataError(
                "batch",
                f"{named} was not checked for {model.name}: run `driftcatcher check {named}` first, so that "
                "it is known whether its features drifted",
            )
        return batch

    def _sampled(self, model: ModelSection, asked: Labelled) -> Sampled | None:
        """A labelled sample with what the version for which it was drawn says of its rows; None for other files."""
        if (
            len(asked.predictions) > 1
            or asked.labels
            or "y_pred" in (header := header_of(asked.predictions[0]))
        ):
            return None
        if ROW_ID not in header:
            return None
        if asked.segments or asked.batch is not None:
            raise DataError(
                "sample",
                "of a labelled sample the batch is known, and segments are not compared: "
                "leave out the options",
            )
        returned = read_returned(self.store, model, asked.predictions[0])
        version = self.store.version(model.name, returned.sample.version)
        return measured_sample(returned, version, model.label_spec())

    def _degradation(
        self, metrics: Metrics | ClassMetrics, version: Trained | None, model: ModelSection
    ) -> tuple[Degradation | None, tuple[str, ...]]:
        """Against the hold-outs of the version; else why there is no answer."""
        if version is None:
            return None, ("judged by the limits alone: no version is trained",)
        if isinstance(metrics, ClassMetrics) != bool(version.record.classes):
            many = "several" if version.record.classes else "two"
            return None, (f"judged by the limits alone: the hold-outs were measured on {many} classes",)
        reference = _reference(version)
        if reference is None:
            return None, (
                f"judged by the limits alone: version {version.record.version} has no hold-outs to compare with",
            )
        return degradation(metrics, reference, model.thresholds()), ()

    def _version(self, model: ModelSection, batch: Batch | None) -> Trained | None:
        if batch is not None and batch.baseline_version.isdecimal():
            try:
                return self.store.version(model.name, int(batch.baseline_version))
            except StateError:
                log.info("version %s of %s is not known any more", batch.baseline_version, model.name)
        return self.store.champion(model.name)

    def _log(
        self,
        model: ModelSection,
        asked: Labelled,
        sha256: str,
        metrics: Metrics | ClassMetrics,
        case: Diagnosis,
    ) -> tuple[str, str]:
        """The MLflow run's URL; a store that is away costs the link and a warning, never the evaluation."""
        champion = self.store.champion(model.name)
        version = str(champion.record.version) if champion else "none"
        names = metric_names(metrics.by_name)
        numbers = {names[k]: float(v) for k, v in metrics.by_name.items() if v is not None}
        name = asked.predictions[0].name
        params = {"file": name, "sha256": sha256, "champion_version": version}
        tags = {"driftcatcher.kind": "performance", "driftcatcher.case": case.case}
        run = self.store.tracking_run(tracking.place_of(self.config), model.name, version)
        if run is not None:
            tags["mlflow.parentRunId"] = run.run_id
        try:
            if reason := tracking.unreachable(self.config.mlflow.tracking_uri):
                raise TrainingError(reason)
            return self.registry().log_metrics_run(
                model.name, f"performance {name}", numbers, params, tags
            ), ""
        except Exception as error:  # noqa: BLE001  MLflow may raise anything; it is reported in the result
            log.info("MLflow did not take the evaluation of %s: %s", name, error)
            return (
                "",
                f"not logged to MLflow: {error}; it is logged later, by the bot or `driftcatcher mlflow --sync`",
            )

    def notify(self, model: ModelSection, evaluated: Evaluated) -> Notify:
        """Put an alert into the outbox when the model is degraded, once for the same files."""
        if not evaluated.degraded:
            return Notify("quiet", "every metric is within its bounds")
        key = f"performance:{model.name}:{evaluated.record.sha256}"
        payload = {"performance_id": evaluated.record.id}
        many = len(evaluated.breaches)
        reason = f"{many} metric(s) out of bounds" if many else "the model is worse than on its hold-outs"
        return announce(self.store, model, "performance", reason, key, payload, self.now())


def _details(asked: Labelled, seen: _Seen, case: Diagnosis, harm: bool | None) -> dict[str, Any]:
    fall, sampled = seen.fall, seen.sampled
    return {
        "title": case.title,
        "advice": case.advice,
        "harm": harm,
        "files": [str(path) for path in (*asked.predictions, *asked.labels)],
        "counts": asdict(seen.rows.counts),
        "said": seen.rows.counts.sentences if sampled is None else sampled.sentences,
        "notes": (*seen.rows.notes, *seen.notes),
        "degradation": None if fall is None else {**asdict(fall), "loss": fall.loss},
        "segments": [asdict(part) for part in _segments(seen.rows, asked.segments)],
        "classes": _classes(seen.metrics),
        # else two, of which `every_class` makes more
        "own_classes": seen.version is not None and bool(seen.version.record.classes),
        "batch": _batch_details(seen.batch, named=asked.batch is not None, drawn=sampled is not None),
        "sample": None if sampled is None else sampled.sample.name,
    }


def _by_labels(settled: Settled | None) -> tuple[str, ...]:
    """Which version of a shadow period the labels speak for, or why that is not known."""
    if settled is None:
        return ()
    shadow, labels = settled.shadow, settled.labels
    if labels is None:
        return (
            f"version {shadow.challenger}, which has scored the batch too, was not asked: {settled.trouble}",
        )
    return (f"shadow period: {labels_line(shadow.champion, shadow.challenger, labels)}",)


def _joined(
    model: ModelSection, asked: Labelled, version: Trained | None, champion: Trained | None
) -> LabelledPredictions:
    label = model.label
    if not label.classes:
        every = asked.every_class or model.performance.every_class
        naming = Naming(label.column, label.positive, label.negative, every)
    else:
        classes, positional = _order(label.classes, version, champion)
        naming = Naming(label.column, every_class=True, classes=classes, positional=positional)
    return read_labelled(asked.predictions, asked.labels, id_column=asked.id_column, naming=naming)


def _order(
    named: tuple[str, ...], version: Trained | None, champion: Trained | None
) -> tuple[tuple[str, ...], bool]:
    """The classes in the order of predicted positions, and whether positions can be told.

    The predictions may be those of the version that checked the batch or of the champion since. A class that came at
    the end moved no other; else a position means one thing to one of them and another to the other.
    """
    known = [v.record.classes for v in (version, champion) if v is not None and v.record.classes]
    if not known:
        return named, True
    longest = max(known, key=len)
    words = [[label_word(name) for name in classes] for classes in (longest, *known)]
    return longest, all(words[0][: len(own)] == own for own in words)


def _measured(rows: LabelledPredictions) -> tuple[Metrics | ClassMetrics, Mapping[str, Interval]]:
    if rows.classes:
        several = evaluate_classes(rows.truth, rows.predicted, rows.classes)
        return several, class_intervals(several)
    metrics = evaluate(rows.truth, rows.predicted, rows.probability)
    return metrics, binary_intervals(metrics, rows.truth, rows.probability)


def _breaches(metrics: Metrics | ClassMetrics, model: ModelSection) -> tuple[str, ...]:
    if isinstance(metrics, ClassMetrics):
        return class_breaches(metrics, model.thresholds())
    return breaches(metrics, model.thresholds())


def _harm(fall: Degradation | None, found: Sequence[str]) -> bool | None:
    """What the labels show; None where they are too few. With nothing to compare with, the limits decide."""
    if fall is None:
        return bool(found)
    return fall.harm if fall.told else None


def _reference(version: Trained) -> Reference | None:
    """All hold-outs of a version together: as its training recorded them, else as its baseline did."""
    record = version.record
    source = f"the hold-outs of version {record.version}"
    if reference := Reference.of([evaluation.metrics for evaluation in record.evaluations], source):
        return reference
    try:
        kept = load_baseline(version).record
    except DataError as error:
        log.info("no hold-outs to compare with: %s", error)
        return None
    if kept is None:
        return None
    return Reference.of([measured(kept.label, kept.predicted, None, kept.classes)], source)


def _segments(rows: LabelledPredictions, columns: Sequence[str]) -> tuple[Segment, ...]:
    def measure(places: np.ndarray) -> Mapping[str, float | None]:
        truth, predicted = rows.truth[places], rows.predicted[places]
        if rows.classes:
            return evaluate_classes(truth, predicted, rows.classes).numbers
        return asdict(
            evaluate(truth, predicted, None if rows.probability is None else rows.probability[places])
        )

    return segments(rows.columns, columns, rows.truth == rows.predicted, measure)


def _classes(metrics: Metrics | ClassMetrics) -> dict[str, Any] | None:
    if isinstance(metrics, Metrics):
        return None
    kept = ("classes", "recall", "support", "confusion")
    return {name: value for name, value in asdict(metrics).items() if name in kept}


def _batch_details(batch: Batch | None, *, named: bool, drawn: bool) -> dict[str, Any] | None:
    if batch is None:
        return None
    return {
        "id": batch.id,
        "path": batch.path,
        "rows": batch.rows,
        "verdict": batch.verdict,
        "version": batch.baseline_version,
        "named": named,
        "drawn": drawn,
    }


def _about(batch: Batch | None, asked: Labelled, rows: LabelledPredictions) -> tuple[str, ...]:
    """Whether it is sure that the batch is the one that the predictions belong to."""
    if batch is None:
        return ("no batch of this model was checked, so nothing is known of drift",)
    if asked.batch is not None or batch.rows == rows.counts.predictions:
        return ()
    return (
        f"{Path(batch.path).name}, the newest checked batch, has {batch.rows or 0:,} rows and not "
        f"{rows.counts.predictions:,}: if the predictions belong to another, name it by --batch FILE",
    )


def _digest(asked: Labelled) -> str:
    """Of the only file its SHA-256; of several that of their digests, each with what it is."""
    if len(asked.predictions) == 1 and not asked.labels:
        return sha256_file(asked.predictions[0])
    parts = [f"predictions {sha256_file(path)}" for path in asked.predictions]
    parts += [f"labels {sha256_file(path)}" for path in asked.labels]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
