"""What a retrain would bring, before it is approved: a cross-fitted estimate on the training side of the new rows.

The new rows are cut into folds; a model fitted on old rows and the other folds is compared with the champion on the
fold it has not seen (cross-fitting: each row is judged by a model that was not fitted on it; Stone, "Cross-validatory
choice and assessment of statistical predictions", J. R. Stat. Soc. B 36, 1974). Hold-outs are not touched: they stay
fresh for the judgement. Fewer rows are used than the retrain will have, so the estimate is rather too low.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from detectors.location import Location
from detectors.track_record import Champion
from trainers.base import DataFile, LabelSpec, ModelVersion, Progress, Trainer, TrainingError, quiet
from trainers.dataset import TrainingData, build
from trainers.fitting import fit_on
from trainers.judgement import Expectation, compare
from trainers.labels import known_positions
from trainers.mixing import ALL, Mix, draw
from trainers.scoring import predicted

FOLDS = 3
MOST_NEW, MOST_OLD = 3_000, 9_000  # rows of a quick fit
SECONDS = 60.0  # after which no further fold is begun
FEWEST = 20  # new rows on the training side
_REGISTERING = 15.0  # seconds: measuring what the model relies on, and MLflow


def expect(
    champion: ModelVersion,
    current: Champion,
    new_files: Sequence[Location | DataFile],
    spec: LabelSpec,
    trainer: Trainer,
    *,
    mix: Mix = ALL,
    progress: Progress = quiet,
) -> Expectation:
    """Estimate the gain on new rows; nothing is registered or kept.

    Args:
        champion: the version in use;  current: asks it, see `trainers.scoring.champion`.
        new_files, spec, trainer, mix: as in `trainers.pipeline.retrain`.

    Raises:
        TrainingError, DataError: the files cannot be trained on, or there are too few new rows.
    """
    begun = time.monotonic()
    owner = f"{champion.model} version {champion.version}"
    known = known_positions(champion, spec)
    schema = champion.schema if champion.schema.features else None
    data = build(champion.data, new_files, spec, schema=schema, owner=owner, progress=progress)
    read = time.monotonic() - begun
    old, new = _chosen(data)
    if len(new) < FEWEST:
        raise TrainingError(
            f"only {len(new)} new rows are on the training side: {FEWEST} are needed to say what they would bring"
        )
    fold_of = data.train_keys[new] % np.uint64(FOLDS)  # the same row, or group, is in one fold
    before = current(data.train_x.iloc[new])[0]
    before = before if known is None else known[before]
    after = np.full(len(new), -1)
    fitted, spent, done = 0, 0.0, 0
    for fold in range(FOLDS):
        mine = fold_of == fold
        if not mine.any() or time.monotonic() - begun - read > SECONDS:
            continue
        progress(f"trying {trainer.name} on part of the rows, {fold + 1} of {FOLDS}")
        rows = np.sort(np.r_[old, new[~mine]])
        rows = rows[draw(mix, data.train_eras[rows], data.train_y[rows])]
        started = time.monotonic()
        quick = fit_on(trainer, data, rows)
        spent, fitted, done = time.monotonic() - started, len(rows), done + 1
        who = f"the new {trainer.name}"
        after[mine] = predicted(quick, data.train_x.iloc[new[mine]], who, len(data.classes))[0]
    judged = after >= 0
    groups = data.train_keys[new[judged]] if data.holdout_groups else None
    truth = data.train_y[new[judged]]
    cell = compare("new", truth, before[judged], after[judged], groups=groups, classes=data.classes)
    whole = len(draw(mix, data.train_eras, data.train_y))
    seconds = read + spent * max(1.0, whole / max(fitted, 1)) + _REGISTERING
    return Expectation(cell, done, fitted, whole, seconds)


def _chosen(data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    """Places of old and new training rows for the quick fits: of many a seeded part."""
    rng = np.random.default_rng(0)
    is_new = data.train_eras == data.train_eras.max()
    parts = []
    for rows, most in ((np.flatnonzero(~is_new), MOST_OLD), (np.flatnonzero(is_new), MOST_NEW)):
        parts.append(rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False)))
    return parts[0], parts[1]
