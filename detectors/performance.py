"""How good predictions were once the labels have come: metrics, thresholds, and the file they are read from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from detectors.cells import category, number, some_names
from detectors.errors import DataError
from detectors.location import Location
from detectors.metrics import Metrics, Thresholds

if TYPE_CHECKING:
    import pandas as pd


def evaluate(y_true: np.ndarray, y_pred: np.ndarray, y_prob: np.ndarray | None = None) -> Metrics:
    """Metrics of predictions.

    Args:
        y_true / y_pred: 0 and 1, shape (rows,).
        y_prob: probability of class 1, shape (rows,); None leaves out the ROC AUC.

    Raises:
        ValueError: the shapes differ or a label is neither 0 nor 1.
    """
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    if truth.ndim != 1 or truth.shape != guess.shape:
        raise ValueError(f"y_true has shape {truth.shape}, y_pred {guess.shape}: both must be (rows,)")
    for name, labels in (("y_true", truth), ("y_pred", guess)):
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(f"{name} holds labels other than 0 and 1")
    hits, alarms = truth == 1, guess == 1
    tp, fp = int((hits & alarms).sum()), int((~hits & alarms).sum())
    fn, tn = int((hits & ~alarms).sum()), int((~hits & ~alarms).sum())
    return Metrics(
        rows=len(truth),
        accuracy=_ratio(tp + tn, len(truth)),
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, tp + fn),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        roc_auc=_roc_auc(truth, y_prob),
        fpr=_ratio(fp, fp + tn),
        fnr=_ratio(fn, fn + tp),
        tn=tn,
        fp=fp,
        fn=fn,
        tp=tp,
    )


def breaches(metrics: Metrics, thresholds: Thresholds) -> tuple[str, ...]:
    """Each threshold that is not met, as a sentence with both numbers; an undefined metric breaches nothing."""
    said = (
        below("accuracy", metrics.accuracy, thresholds.min_accuracy),
        below("precision", metrics.precision, thresholds.min_precision),
        below("recall", metrics.recall, thresholds.min_recall),
        above("false positive rate", metrics.fpr, thresholds.max_fpr),
        above("false negative rate", metrics.fnr, thresholds.max_fnr),
    )
    return tuple(sentence for sentence in said if sentence)


def below(name: str, value: float | None, limit: float | None) -> str:
    """The sentence that a metric is below its limit, empty where it is not or one of both is undefined."""
    if value is None or limit is None or value >= limit:
        return ""
    return f"{name} {_told(value, limit)} is below {limit:g}"


def above(name: str, value: float | None, limit: float | None) -> str:
    """The sentence that a metric is above its limit; see `below`."""
    if value is None or limit is None or value <= limit:
        return ""
    return f"{name} {_told(value, limit)} is above {limit:g}"


def read_predictions(
    path: Location | str, positive: Sequence[str] = (), negative: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Columns `y_true`, `y_pred` and, where it is there, `y_prob` of a CSV or Parquet file.

    A column holds 0 and 1 (or true and false), or the given names; with only one side named, every other
    label belongs to the other side.

    Returns:
        y_true and y_pred as int64 of 0 and 1, y_prob as float64 or None; shape (rows,).

    Raises:
        DataError: a column is missing ("columns"), or a cell is no label or no probability ("labels"); the
            message names the column and the first bad line.
    """
    from detectors.source import read_frame  # brings the readers of files along: only where a file is read

    frame = read_frame(path, categorical=("y_true", "y_pred"))  # a stray word stays what it is
    lacking = [name for name in ("y_true", "y_pred") if name not in frame.columns]
    if lacking:
        there = some_names([str(c) for c in frame.columns])
        raise DataError("columns", f"{path} lacks {some_names(lacking)}: it has {there}")
    y_true, y_pred = (binary_labels(path, frame[name], positive, negative) for name in ("y_true", "y_pred"))
    return y_true, y_pred, probabilities(path, frame["y_prob"]) if "y_prob" in frame.columns else None


def binary_labels(
    path: Location | str,
    column: pd.Series,
    positive: Sequence[str],
    negative: Sequence[str],
    *,
    may_be_empty: bool = False,
) -> np.ndarray:
    """A column of labels as int64 of 0 and 1, shape (rows,); see `read_predictions`.

    Args:
        path: for messages.
        may_be_empty: a cell without a label becomes -1 and is no error.

    Raises:
        DataError: "labels".
    """
    from detectors.columns import series_categories

    written = series_categories(column)
    words = [None if word is None else word.casefold() for word in written]
    ones = {(category(word) or word).casefold() for word in positive}  # as trainers.labels reads them
    zeros = {(category(word) or word).casefold() for word in negative}
    if (not ones and not zeros) or _are_zero_and_one(set(words), ones | zeros):
        ones, zeros = {"1", "true"}, {"0", "false"}
    elif not (ones and zeros) and (stray := _stray_number(words, ones, zeros)) is not None:
        raise DataError(
            "labels",
            f'{path}: column {column.name} holds "{written[stray]}" in line {stray + 2}: labels are 0 and 1, or '
            f"{some_names(sorted(str(w) for w in ones | zeros))} and other names; probabilities belong into y_prob",
        )
    is_one = np.array([word in ones if ones else word not in zeros for word in words], dtype=bool)
    filled = np.array([word is not None for word in words], dtype=bool)
    known = np.array([word in ones or word in zeros for word in words]) if ones and zeros else filled
    bad = np.flatnonzero((~known & filled) if may_be_empty else ~(known & filled))
    if len(bad):
        first = written[bad[0]]
        said = "is empty" if first is None else f'holds "{first}"'
        expected = some_names(sorted(str(w) for w in ones | zeros))
        raise DataError(
            "labels",
            f"{path}: column {column.name} {said} in line {bad[0] + 2} ({len(bad):,} such rows): "
            f"labels are {expected}" + ("" if ones and zeros else ", and any other for the other side"),
        )
    return np.where(filled, is_one.astype(np.int64), -1)


def _are_zero_and_one(words: set[str | None], named: set[str]) -> bool:
    """Whether a column holds 0 and 1 although the classes have names ("everything but BENIGN" is no 0)."""
    plain = {"0", "1", "true", "false"}
    return words <= plain | {None} and not named & plain


def _stray_number(words: Sequence[str | None], ones: set[str], zeros: set[str]) -> int | None:
    """Where a column holds a number though the named classes are words: as "any other" it might be the wrong class.

    The first that is not 0 or 1 where the column is all numbers. Among words, 0 may stand for what is not one of
    the named `ones`, and 1 for what is not one of the `zeros`.
    """
    if any(number(word) is not None for word in ones | zeros):
        return None
    numbers = [i for i, word in enumerate(words) if word is not None and number(word) is not None]
    mixed = len(numbers) < sum(word is not None for word in words)
    plain = (("0",) if ones else ("1",)) if mixed else ("0", "1")
    return next((i for i in numbers if words[i] not in plain), None)


def probabilities(path: Location | str, column: pd.Series) -> np.ndarray:
    """The probabilities of class 1, float64, shape (rows,); DataError "labels" for a cell that is none."""
    from detectors.columns import series_numbers

    values, _ = series_numbers(column)
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if len(bad):
        raise DataError(
            "labels",
            f'{path}: column y_prob holds "{column.iloc[bad[0]]}" in line {bad[0] + 2} ({len(bad):,} such rows): '
            "it must be the probability of the positive class, between 0 and 1",
        )
    return values


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _roc_auc(truth: np.ndarray, y_prob: np.ndarray | None) -> float | None:
    if y_prob is None or len(np.unique(truth)) < 2:
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, y_prob))


def _told(value: float, limit: float) -> str:
    """The value with as many digits as it takes to tell it from the limit."""
    digits = 3
    while digits < 9 and math.isclose(round(value, digits), limit, abs_tol=1e-12):
        digits += 1
    return f"{value:.{digits}f}"
