"""The shadow period: a challenger scores the next batches beside the champion, and the thread is told.

It starts when a retrain has finished and ends with the decision on it; see `state.shadows`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bot.shadow_text import tag_text
from detectors.disagreement import Disagreement, disagreement
from state.records import Batch, ByLabels, Sample, Shadow, Trained
from state.store import Store
from trainers.base import LabelSpec, ModelVersion, TrainingError

if TYPE_CHECKING:
    import numpy as np

    from detectors.baseline import Baseline
    from detectors.labelled_predictions import LabelledPredictions
    from detectors.profile import Profile
    from detectors.sample import RowSample

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beside:
    """What both versions say of a batch, or why one of them could not be asked."""

    shadow: Shadow
    found: Disagreement | None = None
    trouble: str = ""


def score_beside(
    store: Store, shadow: Shadow, champion: Trained, baseline: Baseline, profile: Profile
) -> Beside:
    """Let both versions score the sampled rows of a batch; whatever goes wrong is told and stops nothing."""
    from detectors.codes import coded
    from trainers.labels import positions

    sample = profile.sample
    try:
        if sample is None:
            raise TrainingError("no rows of the batch were kept")
        challenger = store.version(shadow.model, shadow.challenger)
        ours, theirs = (_asked(version.record, sample) for version in (champion, challenger))
        classes = challenger.record.classes
        if classes:  # of the two, the challenger may know more
            ours = positions(champion.record.classes, classes)[ours[0]], ours[1]
        parts = list(baseline.features.values())
        rows = coded(parts, sample.column, sample.rows)
        return Beside(shadow, disagreement(ours, theirs, parts, rows, classes))
    except Exception as error:  # noqa: BLE001  a model of a third party's parts may raise anything
        log.warning("not scored beside version %s: %s", shadow.champion, _reason(error))
        return Beside(shadow, trouble=_reason(error))


def _asked(version: ModelVersion, sample: RowSample) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    from trainers.scoring import sampled

    labels, chance = sampled(version, sample)
    if not np.isfinite(chance).all():
        raise TrainingError(f"version {version.version} gives probabilities that are no numbers")
    return labels, chance


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, TrainingError) else f"{type(error).__name__}: {error}"


def keep_beside(store: Store, batch: Batch, beside: Beside, now: datetime) -> dict[str, float]:
    """Count the batch and tell the thread; call it in one transaction with the result of the check.

    Returns what MLflow is told of it, beside the check; nothing where it was not counted.
    """
    shadow = store.keep_shadow(beside.shadow.retrain_id, batch.id, beside.found, beside.trouble, now)
    if shadow is None:
        return {}
    if not shadow.complete or not _complete(store, shadow, now):
        tell(store, shadow, f"batch:{batch.id}", now)
    found, name = beside.found, f"shadow/v{shadow.challenger}"
    if found is None:
        return {}
    told = {f"{name}.differs": found.share}
    if not found.several:
        told[f"{name}.only_challenger"] = found.positive(champion=False, challenger=True) / found.rows
        told[f"{name}.only_champion"] = found.positive(champion=True, challenger=False) / found.rows
    return told


def _complete(store: Store, shadow: Shadow, now: datetime) -> bool:
    """Say so; False for the second time, when a batch of it was set aside meanwhile."""
    if not _say(store, shadow, "shadow_complete", f"shadow_complete:{shadow.retrain_id}", now):
        return False
    tags = {str(shadow.challenger): {"driftcatcher.shadow": tag_text(shadow)}}
    logged = {"key": f"shadow {shadow.retrain_id}", "tags": tags}
    store.queue_run("shadow", shadow.model, str(shadow.challenger), logged, now)
    return True


def tell(store: Store, shadow: Shadow, why: str, now: datetime) -> None:
    """Edit what the thread says of the period; `why` is a key of this news."""
    _say(store, shadow, "shadow", f"shadow:{shadow.retrain_id}:{why}", now)


def _say(store: Store, shadow: Shadow, kind: str, key: str, now: datetime) -> bool:
    """Put it into the outbox, with the edit of the incident; False where it was said already."""
    payload, incident = {"retrain_id": shadow.retrain_id}, shadow.incident_id
    if store.enqueue(kind, key, payload, incident, now) is None:
        return False
    if incident is not None:
        store.enqueue("incident", f"incident:{incident}:{key}", {}, incident, now)
    return True


def tell_ended(store: Store, before: Shadow | None, now: datetime) -> None:
    """The period that was under way before this step may have ended by it, before its time."""
    if before is None or not before.batches:
        return
    after = store.shadow(before.retrain_id)
    if after is not None and not after.waits:
        tell(store, after, f"ended:{now.timestamp():.3f}", now)


@dataclass(frozen=True, slots=True)
class Settled:
    """Who was right on the labelled rows of a shadowed batch; `trouble` says why it is not known."""

    shadow: Shadow
    labels: ByLabels | None = None
    trouble: str = ""


def settle(
    store: Store, sample: Sample, rows: LabelledPredictions, weight: np.ndarray, spec: LabelSpec
) -> Settled | None:
    """Let the challenger predict a labelled sample of a batch that it has scored in a shadow period.

    Args:
        sample: what was given out;  rows: as the version it was drawn for has predicted them.
        weight: how many rows of the batch each stands for, shape (rows,).
        spec: what their labels are.

    Returns:
        None where the batch was in no such period of that version.
    """
    from trainers.labels import known_positions
    from trainers.schema import typed_features
    from trainers.scoring import champion

    periods = store.shadows_of(sample.model, sample.batch_sha256)
    shadow = next((one for one in periods if one.champion == sample.version), None)
    if shadow is None:
        return None
    challenger = store.version(shadow.model, shadow.challenger).record
    try:
        scoring = champion(challenger)
        if scoring is None:
            raise TrainingError(f"version {challenger.version} has no model file")
        theirs, _ = scoring(typed_features(rows.columns, challenger.schema, "the sample", []))
        known = known_positions(challenger, spec)
    except Exception as error:  # noqa: BLE001  as above
        return Settled(shadow, trouble=_reason(error))
    theirs = theirs if known is None else known[theirs]
    return Settled(shadow, _by_labels(rows, theirs, weight))


def _by_labels(rows: LabelledPredictions, theirs: np.ndarray, weight: np.ndarray) -> ByLabels:
    from detectors.weighted import gain

    champion, challenger = rows.predicted == rows.truth, theirs == rows.truth
    more, interval = gain(challenger, champion, weight)
    return ByLabels(
        rows=len(rows.truth),
        champion=int((champion & ~challenger).sum()),
        challenger=int((challenger & ~champion).sum()),
        gain=more,
        interval=interval,
        neither=int(((rows.predicted != theirs) & ~champion & ~challenger).sum()),
    )


def keep_settled(store: Store, sample: Sample, settled: Settled, evaluation: int, now: datetime) -> None:
    """Keep who was right, and tell the thread; call it in one transaction with the evaluation."""
    if settled.labels is None:
        return
    shadow = store.keep_labels(settled.shadow.retrain_id, sample.batch_sha256, settled.labels)
    if shadow is not None:
        tell(store, shadow, f"labels:{evaluation}", now)
