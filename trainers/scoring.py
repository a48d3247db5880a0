"""A registered version as the bot asks it: label and probability for rows of a batch, without the registry."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.digest import sha256_file
from detectors.track_record import Champion, batch_frame
from trainers.base import ModelVersion, TrainingError

if TYPE_CHECKING:
    from detectors.sample import RowSample

_LOADED = 8  # models kept in memory


def champion(version: ModelVersion) -> Champion | None:
    """The version's model, from the copy beside its baseline; None where it has none.

    Raises:
        TrainingError: the copy is gone, changed since training, or cannot be read.
    """
    if not version.model_path:
        return None
    who = f"version {version.version} of {version.model}"
    estimator = _estimator(version.model_path, version.model_sha256, who, version.trusted)
    return lambda rows: predicted(estimator, rows, who)


def sampled(version: ModelVersion, sample: RowSample) -> tuple[np.ndarray, np.ndarray]:
    """What the version says of a batch's sampled rows: label and probability of class 1, shape (rows,).

    Raises:
        TrainingError: it has no model that could be asked, or cannot predict them.
    """
    scoring = champion(version)
    if scoring is None:
        raise TrainingError(f"version {version.version} of {version.model} has no model file")
    schema = version.schema
    kinds = dict.fromkeys(schema.numeric + schema.coded, "float64") | dict.fromkeys(schema.text, "str")
    return scoring(batch_frame(sample, kinds))


@lru_cache(maxsize=_LOADED)
def _estimator(path: str, sha256: str, who: str, trusted: tuple[str, ...]) -> Any:
    from trainers.model_file import TRUSTED, load

    if not Path(path).is_file():
        raise TrainingError(f"{who} has no model file at {path} any more")
    if sha256_file(path) != sha256:
        raise TrainingError(f"the model file of {who} at {path} has changed since training")
    return load(Path(path), (*TRUSTED, *trusted))


def predicted(estimator: Any, features: Any, who: str) -> tuple[np.ndarray, np.ndarray]:
    """What a binary classifier says of some rows: label 0 or 1 and probability of class 1, shape (rows,).

    Raises:
        TrainingError: it raises, or answers in another shape; `who` names it.
    """
    try:
        labels = np.asarray(estimator.predict(features))
        chance = np.asarray(estimator.predict_proba(features))
    except Exception as error:  # a plug-in's error becomes one clear line; the cause is kept
        raise TrainingError(f"{who} cannot predict: {type(error).__name__}: {error}") from error
    rows = len(features)
    if labels.shape != (rows,) or chance.shape != (rows, 2) or not np.isin(labels, (0, 1)).all():
        raise TrainingError(
            f"{who} predicts arrays of shape {labels.shape} and {chance.shape} for {rows} rows: "
            f"labels 0 and 1 of shape ({rows},) and probabilities of shape ({rows}, 2) are needed"
        )
    return labels, chance[:, 1]
