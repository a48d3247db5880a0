"""What a labelled sample says of the model for which it was drawn: each row counts for those it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.samples import Returned
from detectors.errors import DataError
from detectors.labelled_predictions import JoinCounts, LabelledPredictions
from detectors.weighted import Weighted, evaluate_weighted, evaluate_weighted_classes
from state.records import Sample, Trained
from trainers.base import LabelSpec, TrainingError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """A labelled sample, measured.

    Attributes:
        rows: what the version says, and what is true.
        weight: how many rows of the batch each of them stands for, shape (rows,).
        version: the one for which the sample was drawn.
        notes: what was read in a certain way.
    """

    sample: Sample
    rows: LabelledPredictions
    weight: np.ndarray
    measured: Weighted
    version: Trained
    notes: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """How the numbers are to be read."""
        s, m = self.sample, self.measured
        stood = f"{m.metrics.rows:,} rows of sample {s.name}, drawn with unequal chances ({s.strategy})"
        said = [
            f"weighted: {stood}, stand for the {s.batch_rows:,} of {Path(s.batch_path).name}, predicted by version "
            f"{s.version}; rates are Hájek's, as sure as {m.effective.rows:,} rows drawn alike would make them",
            f"without the weights accuracy would read {m.unweighted:.4f}",
        ]
        if lost := s.rows - m.metrics.rows:
            said.append(
                f"{lost:,} of the {s.rows:,} rows that were given out have no label: the numbers hold if those are "
                "like the others"
            )
        return tuple(said)


def measured_sample(returned: Returned, version: Trained, spec: LabelSpec) -> Sampled:
    """Let the version predict the rows and hold them against the labels.

    Raises:
        DataError: it cannot predict.
    """
    from trainers.labels import known_positions, read_labels
    from trainers.schema import typed_features
    from trainers.scoring import champion

    sample, frame, notes = returned.sample, returned.frame, list[str]()
    try:
        scoring = champion(version.record)
        if scoring is None:
            raise DataError(
                "sample", f"version {sample.version} has no model file: it cannot predict the rows"
            )
        known = known_positions(version.record, spec)
        predicted, probability = scoring(typed_features(frame, version.record.schema, "the sample", notes))
        predicted = predicted if known is None else known[predicted]
        truth = read_labels(frame, spec, "the sample")
    except TrainingError as error:
        raise DataError("sample", str(error)) from error
    count = len(frame)
    rows = LabelledPredictions(truth, predicted, probability, spec.classes, frame, JoinCounts(count, count))
    # Those that came back stand for those that did not, too: else they would seem a larger part of the batch.
    weight = returned.weight * (sample.rows / count)
    if spec.classes:
        measured = evaluate_weighted_classes(truth, predicted, spec.classes, weight)
        notes.append(
            "of several classes only accuracy has an interval here; the confusion counts rows as they are"
        )
    else:
        measured = evaluate_weighted(truth, predicted, probability, weight)
    return Sampled(sample, rows, weight, measured, version, tuple(notes))
