"""Types of a training and the two protocols a third party can implement: Trainer and ModelRegistry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

# At run time, because pydantic reads these dataclasses back from JSON and looks the name up here.
from detectors.cells import category
from detectors.metrics import ClassMetrics, Metrics
from trainers.judgement import Cell
from trainers.ledger import Finding
from trainers.lineage import Lineage

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# What a file of rows to label has beside the columns of the batch; see `trainers.sampling`. Never features.
ROW_ID, SAMPLE_ID, WEIGHT, WHY = "dc_row_id", "dc_sample", "dc_weight", "dc_why"
SAMPLE_COLUMNS = (ROW_ID, SAMPLE_ID, WEIGHT, WHY)
MOST_CLASSES = 255  # positions are kept as bytes

Progress = Callable[[str], None]  # one short plain sentence a step, for the terminal and the thread


def quiet(_: str) -> None:
    """The `Progress` that tells nobody."""


def counted_rows(duplicates: int, conflicts: int) -> tuple[str, ...]:
    """What became of repeated and contradictory rows, where there are any, one sentence each."""
    said = {
        "were in an earlier file already and were dropped": duplicates,
        "have the same features as a row with another label": conflicts,
    }
    return tuple(f"{rows:,} rows {what}" for what, rows in said.items() if rows)


class TrainingError(Exception):
    """A training that cannot be done as asked: the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A labelled file as it was used: absolute path, SHA-256 of its bytes, data rows.

    `era` is 0 for base data, k for what came with the k-th retrain in the line of a version; a file keeps its first.
    """

    path: str
    sha256: str
    rows: int
    era: int = 0


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """How the labelled data of a model is read.

    Attributes:
        column: name of the label column.
        positive: label values that mean class 1; empty means "everything that is not negative".
        negative: label values that mean class 0; empty means "everything that is not positive".
        ignore: columns that are neither features nor label (identifiers, timestamps).
        categorical: columns that are categories even if they look like numbers.
        period: a column that orders the rows in time (a day, the number of a run); no feature. The baseline
            learns from it how far periods differ naturally.
        group: a column whose rows belong together (a host, a session, a customer, a day); no feature. All rows of
            a group are on the same side, for ever.
        classes: names of the classes, where each counts by itself: the labels are their positions. Empty for two
            classes, 1 and 0, by `positive` and `negative`.
    """

    column: str
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    period: str | None = None
    group: str | None = None
    classes: tuple[str, ...] = ()

    @property
    def outside(self) -> tuple[str, ...]:
        """The columns beside the label that are named as no features."""
        named = [name for name in (self.period, self.group) if name is not None]
        return (*self.ignore, *(name for name in named if name not in self.ignore))


def label_word(value: str) -> str:
    """A label as it is compared: without blanks around it and without regard to case, 1.0 as 1."""
    return (category(value) or value).casefold()


@dataclass(frozen=True, slots=True)
class Schema:
    """The feature columns of a model, fixed when its first version is trained.

    Attributes:
        numeric: columns of numbers.
        coded: categories that are written as numbers (a protocol number); held as floats.
        text: categories that are written as text.
    """

    numeric: tuple[str, ...] = ()
    coded: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Every feature, in the order the model gets them."""
        return self.numeric + self.coded + self.text

    @property
    def categorical(self) -> tuple[str, ...]:
        """The features that are categories."""
        return self.coded + self.text


@dataclass(frozen=True, slots=True)
class Gate:
    """The policy that recommends promotion or not; it never hides a number.

    Attributes:
        max_loss_old: most that accuracy or recall on the old hold-out, and on that of any past era, may lose
            (0.01 = one point); of several classes, the recall of each.
        min_accuracy / min_precision / min_recall / max_fpr / max_fnr: asked of the challenger on every
            hold-out that has rows of the classes which the metric is about; None asks nothing. Of several classes
            precision and recall are means over those that occur, and the last two are not asked.
        new: "better" asks for a gain on the new hold-out that is hardly chance, "not_worse" for no loss there
            beyond `max_loss_old`.
    """

    max_loss_old: float = 0.01
    min_accuracy: float | None = 0.90
    min_precision: float | None = 0.85
    min_recall: float | None = 0.85
    max_fpr: float | None = 0.10
    max_fnr: float | None = 0.05
    new: Literal["better", "not_worse"] = "better"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of one model on one hold-out ("old" or "new")."""

    holdout: Literal["old", "new"]
    rows: int
    metrics: Metrics | ClassMetrics


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version of a model and what belongs to it.

    Attributes:
        model: name in the configuration and in the registry.
        version: number in the registry, from 1.
        run_id / run_url: the MLflow run that made it.
        model_uri: URI of the logged model's artifacts.
        artifact_sha256: digest over the model file(s), compared before loading.
        baseline_path: absolute path of the baseline file stored beside it.
        baseline_sha256: digest of that file.
        data: every labelled file it was trained on, base data first.
        evaluations: its metrics on the hold-outs.
        trainer: name of the trainer;  params: its parameters.
        code_version: git commit with "+dirty", or the package version.
        schema: its feature columns; a retrain uses the same.
        model_path / model_sha256: a copy of the model beside the baseline, for the scoring of batches; empty
            where a version has none.
        lineage: where it comes from; None in the records of an earlier release.
        group: the column that decided the sides of its rows; empty where each row decided for itself.
        trusted: types that its model may hold beside ours, as the configuration named them when it was trained.
        classes: names of the classes whose positions it predicts; empty where it predicts 0 and 1.
    """

    model: str
    version: int
    run_id: str
    run_url: str
    model_uri: str
    artifact_sha256: str
    baseline_path: str
    baseline_sha256: str
    data: tuple[DataFile, ...]
    evaluations: tuple[Evaluation, ...]
    trainer: str
    params: Mapping[str, Any] = field(default_factory=dict)
    code_version: str = ""
    schema: Schema = field(default_factory=Schema)
    model_path: str = ""
    model_sha256: str = ""
    lineage: Lineage | None = None
    group: str = ""
    trusted: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """A first version, and what the reader of the data and the gate remarked.

    Attributes:
        version: registered with alias "challenger"; whoever decides moves alias "champion".
        notes: one plain sentence each.
    """

    version: ModelVersion
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetrainOutcome:
    """Champion and challenger on the same hold-outs, and what the gate says.

    Attributes:
        champion / challenger: evaluations in the same order on the same rows.
        version: the challenger, registered with alias "challenger".
        recommendation: "promote" or "keep".
        reasons: one plain sentence each, the decisive one first.
        duplicates: rows of the new files that an earlier file already held (dropped).
        conflicts: new rows with the same features as a row that has another label (kept).
        notes: what was read in a certain way on purpose, one plain sentence each.
        matrix: both models on the old hold-out, that of each past era and the new one; empty in outcomes of
            releases that did not measure it.
        ledger: which rows were there before, and which contradict each other, by file.
    """

    champion: tuple[Evaluation, ...]
    challenger: tuple[Evaluation, ...]
    version: ModelVersion
    recommendation: Literal["promote", "keep"]
    reasons: tuple[str, ...]
    duplicates: int = 0
    conflicts: int = 0
    notes: tuple[str, ...] = ()
    matrix: tuple[Cell, ...] = ()
    ledger: tuple[Finding, ...] = ()


@runtime_checkable
class Trainer(Protocol):
    """The plug-in protocol, entry-point group `driftcatcher.trainers`.

    An instance is made with the parameters of its table in the configuration; a frozen dataclass is the
    natural form. `trainers.checks.check_trainer` tells whether the contract is kept. With `uses_joblib = True` in
    its class, `fit` runs inside joblib's Dask backend where the configuration names a scheduler. What it has to say
    after a fit may stand in an attribute `notes`, one sentence each: it goes with the result. A `fit` that takes
    `groups` too is given the key of each row's group, uint64, shape (rows,), where `group` of the labels is set.
    """

    @property
    def name(self) -> str:
        """Short, lower case, as in the configuration."""
        ...

    def params(self) -> Mapping[str, Any]:
        """The parameters as logged, JSON types only."""
        ...

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        """A fitted scikit-learn estimator with `predict` and `predict_proba` that takes the raw columns.

        Args:
            features: (rows, features); numbers are float64 with NaN for missing and ±inf as it came, the
                columns in `categorical` are float64 codes or text.
            labels: 0 or 1, shape (rows,); both occur. Of several classes 0 to k - 1, and the estimator's
                `predict_proba` has a column for each; one for two classes only may raise.
            categorical: columns that are categories.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoggedVersion:
    """What the registry gives back: see the fields of the same names in `ModelVersion`."""

    version: int
    run_id: str
    run_url: str
    model_uri: str
    artifact_sha256: str


class ModelRegistry(Protocol):
    """Where models live: MLflow in this project (trainers/mlflow_registry.py)."""

    def log_version(
        self,
        model: str,
        estimator: Any,
        *,
        example: pd.DataFrame,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        data: tuple[DataFile, ...],
        artifacts: Callable[[int], tuple[Path, ...]],
        run_name: str,
        alias: str,
    ) -> LoggedVersion:
        """Log a run with the model, register it and set the alias: all of it, or an error and no version.

        `artifacts` is called once with the version's number, before the alias is set, and makes the files
        that are to be logged with the run.
        """
        ...

    def load(self, version: ModelVersion) -> Any:
        """The estimator, after its digest is compared; TrainingError if it does not match."""
        ...

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point the alias at the version."""
        ...

    def alias(self, model: str, alias: str) -> int | None:
        """The version the alias points at, None where it is not set."""
        ...

    def drop_alias(self, model: str, alias: str) -> None:
        """Let the alias point nowhere."""
        ...

    def clear(self, model: str, job: str, known: Collection[int]) -> tuple[int, ...]:
        """End what the training named `job` (the tag "driftcatcher.job") left behind.

        Its runs are marked as killed, its versions deleted but those that are `known`; returns the deleted ones.
        """
        ...

    def log_metrics_run(
        self,
        model: str,
        run_name: str,
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> str:
        """Log metrics without a model (a performance evaluation); returns the run's URL."""
        ...
