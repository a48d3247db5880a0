"""How a model version did on rows it has not learned from: what later batches are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.codes import CodedRows
from detectors.profile import FeatureProfile, categorical_profile, numeric_profile
from detectors.table import coded_frame

if TYPE_CHECKING:
    import pandas as pd

    from detectors.sample import RowSample

PREDICTION = "(prediction)"  # the name under which the model's own score is judged like a feature
PREDICTED_CLASS = "(predicted class)"  # and, of several classes, which of them it says
PREDICTIONS = (PREDICTION, PREDICTED_CLASS)

MOST_ROWS = 10_000
_MOST_CELLS = 3_000_000  # codes kept, so that a baseline of 500 features stays a small file
_IMPORTANCE_ROWS = 2_000

# The label (0 or 1) and the probability of class 1 that a model gives to each row; both of shape (rows,). Of several
# classes the position of the one it says, and the probability of that one.
Champion = Callable[["pd.DataFrame"], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True, eq=False)
class TrackRecord:
    """Rows of the hold-outs with what the model said of them and what they were.

    Attributes:
        rows: a random sample of the hold-outs, coded by the baseline, at most 10,000.
        score: probability of class 1, or of several classes that of the predicted one, float64, shape (rows,).
        predicted / label: what the model said and what was right, 0 or 1 or positions in `classes`, shape (rows,).
        profile: summary of the scores, named `PREDICTION`.
        importance: feature -> how far the score moves when the feature is shuffled (mean absolute
            difference), as a share of all features together.
        classes: names of the classes; empty where there are 0 and 1.
        spoken: summary of the predicted classes, named `PREDICTED_CLASS`; None where there are 0 and 1.
    """

    rows: CodedRows
    score: np.ndarray
    predicted: np.ndarray
    label: np.ndarray
    profile: FeatureProfile
    importance: Mapping[str, float] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    spoken: FeatureProfile | None = None

    @property
    def right(self) -> np.ndarray:
        """Whether the model was right, bool, shape (rows,)."""
        return np.asarray(self.predicted == self.label)

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def measure(
    parts: Sequence[FeatureProfile],
    features: pd.DataFrame,
    labels: np.ndarray,
    champion: Champion,
    *,
    periods: pd.Series | None = None,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> TrackRecord:
    """Let a model predict its hold-outs and keep what it said.

    Args:
        parts: the features' profiles of its baseline.
        features: rows of the hold-outs, shape (rows, features); rows it was trained on would flatter it.
        labels: 0 or 1, or positions in `classes`; shape (rows,).
        champion: the model.
        periods: the period of each row, where such a column was named.
        classes: names, where there are several.
    """
    random = np.random.default_rng(seed)
    most = min(MOST_ROWS, max(1, _MOST_CELLS // len(parts)), len(features))
    chosen = np.sort(random.choice(len(features), most, replace=False))
    frame, label = features.iloc[chosen].reset_index(drop=True), np.asarray(labels)[chosen]
    predicted, score = champion(frame)

    score = np.asarray(score, np.float64)
    said = np.asarray(predicted).astype(np.uint8)
    spoken = class_profile(said, classes) if classes else None
    variation: Mapping[str, float] = {}
    if periods is not None:
        from detectors.variation import variation_of, windows

        spans = windows(periods.iloc[chosen])
        variation = variation_of(score, score_profile(score), spans)
        if spoken is not None:
            spoken = replace(spoken, variation=variation_of(named(said, classes), spoken, spans))
    return TrackRecord(
        rows=coded_frame(parts, frame),
        score=score,
        predicted=said,
        label=label.astype(np.uint8),
        profile=score_profile(score, variation),
        importance=_importance(
            frame.iloc[:_IMPORTANCE_ROWS], champion, said, score, random, several=bool(classes)
        ),
        classes=tuple(classes),
        spoken=spoken,
    )


def score_profile(score: np.ndarray, variation: Mapping[str, float] | None = None) -> FeatureProfile:
    """The summary of a model's scores, named `PREDICTION`."""
    return replace(numeric_profile(PREDICTION, score), variation=dict(variation or {}))


def named(predicted: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Positions as the names of the classes, object array of str."""
    return np.asarray(np.array(list(classes), dtype=object)[predicted])


def class_profile(
    predicted: np.ndarray, classes: Sequence[str], variation: Mapping[str, float] | None = None
) -> FeatureProfile:
    """The summary of predicted classes, named `PREDICTED_CLASS`; one that is never said is known all the same."""
    profile = categorical_profile(PREDICTED_CLASS, named(predicted, classes), classes)
    return replace(profile, variation=dict(variation or {}))


def _importance(
    frame: pd.DataFrame,
    champion: Champion,
    predicted: np.ndarray,
    score: np.ndarray,
    random: np.random.Generator,
    *,
    several: bool,
) -> dict[str, float]:
    """Permutation importance (Breiman, Random forests, Machine Learning 45, 2001), on the score: that needs no
    labels and sees a feature that moves scores although no prediction turns.

    Of several classes, where another one is said with probability t instead of the one with s, that of the first has
    fallen by s + t - 1 at least: so sure of either, the score alone would not have moved."""
    moved = {}
    order = random.permutation(len(frame))
    before, usual = predicted[: len(frame)], score[: len(frame)]
    for name in frame.columns:
        shuffled = frame.assign(**{name: frame[name].to_numpy()[order]})
        said, now = champion(shuffled)
        far = np.abs(now - usual)
        if several:
            far = np.where(said != before, np.maximum(far, usual + now - 1), far)
        moved[str(name)] = float(far.mean())
    total = sum(moved.values())
    return {name: value / total if total else 0.0 for name, value in moved.items()}


def batch_frame(sample: RowSample, like: Mapping[str, str]) -> pd.DataFrame:
    """A batch's sampled rows as the model takes them.

    Args:
        sample: rows with all features of the model.
        like: feature -> "float64" or "str", in the order of the model's columns.
    """
    import pandas as pd

    from detectors.columns import series_categories, series_numbers

    columns = {}
    for name, kind in like.items():
        values = sample.column(name)
        if kind == "str":
            columns[name] = pd.Series(series_categories(pd.Series(values)), dtype="str")
        else:
            columns[name] = pd.Series(series_numbers(pd.Series(values))[0])
    return pd.DataFrame(columns)
