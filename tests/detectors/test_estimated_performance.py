"""Estimated accuracy without labels, against accuracies that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.codes import ABOVE, CodedRows
from detectors.estimated_performance import estimate
from detectors.report import Estimate
from detectors.track_record import PREDICTION, TrackRecord, score_profile

EASY, HARD = 0.95, 0.65  # chance of being right in the two halves of the world


def world(rows: int, hard: float, seed: int, *, confidence: float = 1.0) -> tuple[TrackRecord, float]:
    """Rows of which a share is hard; the model says class 1 or 0 by a coin and knows how sure it may be.

    `confidence` above 1 is a model whose logits are too large: it is over-confident everywhere.
    """
    rng = np.random.default_rng(seed)
    is_hard = rng.random(rows) < hard
    chance = np.where(is_hard, HARD, EASY)
    predicted = (rng.random(rows) < 0.5).astype(np.uint8)
    right = rng.random(rows) < chance
    label = np.where(right, predicted, 1 - predicted).astype(np.uint8)
    logit = confidence * np.log(chance / (1 - chance)) * np.where(predicted == 1, 1, -1)
    score = 1 / (1 + np.exp(-logit))
    codes = np.stack([np.where(is_hard, 30, 3), rng.integers(1, 33, rows)], axis=1).astype(np.uint8)
    rows_ = CodedRows(("kind", "noise"), ("numeric", "numeric"), codes)
    return TrackRecord(rows_, score, predicted, label, score_profile(score)), EASY + hard * (HARD - EASY)


def estimated(record: TrackRecord, batch: TrackRecord) -> Estimate:
    found = estimate(record, batch.rows, batch.predicted, batch.score)
    assert found is not None
    return found


@pytest.mark.parametrize("confidence", [1.0, 2.5])
@pytest.mark.parametrize("hard", [0.1, 0.3, 0.6])
def test_under_covariate_shift_the_estimate_is_the_true_accuracy(hard, confidence):
    record, usual = world(8000, 0.2, 1, confidence=confidence)
    batch, truth = world(2000, hard, 2, confidence=confidence)
    found = estimated(record, batch)
    assert found.accuracy == pytest.approx(truth, abs=0.015)
    assert found.reference == pytest.approx(usual, abs=0.01)
    assert found.harm is (truth < usual - 0.02)


def test_the_interval_covers_the_accuracy_that_labels_show():
    covered, trials = 0, 30
    for seed in range(trials):
        record, _ = world(3000, 0.2, 1000 + seed)
        batch, _ = world(800, 0.35, 2000 + seed)
        found = estimated(record, batch)
        covered += found.low <= batch.accuracy <= found.high
    assert covered >= 0.9 * trials


def test_without_any_change_nothing_is_lost():
    record, _ = world(8000, 0.2, 7)
    found = estimated(record, world(4000, 0.2, 8)[0])
    assert found.accuracy == pytest.approx(record.accuracy, abs=0.01)
    assert found.outside == 0 and found.valid and not found.harm and found.harmless


def test_precision_and_recall_move_with_it():
    record, _ = world(8000, 0.2, 1)
    batch, _ = world(4000, 0.6, 2)
    found = estimated(record, batch)
    hits = (batch.predicted == 1) & (batch.label == 1)
    assert found.precision == pytest.approx(hits.sum() / (batch.predicted == 1).sum(), abs=0.03)
    assert found.recall == pytest.approx(hits.sum() / (batch.label == 1).sum(), abs=0.03)


def test_labels_that_change_their_meaning_are_not_seen_and_the_docs_say_so():
    record, usual = world(8000, 0.2, 1)
    batch, _ = world(2000, 0.2, 2)
    turned = TrackRecord(batch.rows, batch.score, batch.predicted, 1 - batch.label, batch.profile)
    assert estimated(record, turned).accuracy == pytest.approx(usual, abs=0.02)
    assert "concept drift cannot be seen" in " ".join((Estimate.__doc__ or "").split())


def test_far_from_the_training_nothing_is_estimated():
    record, _ = world(3000, 0.2, 1)
    batch, _ = world(1000, 0.2, 2)
    codes = batch.rows.codes.copy()
    codes[:250, 1] = ABOVE
    away = CodedRows(batch.rows.features, batch.rows.kinds, codes)
    found = estimate(record, away, batch.predicted, batch.score)
    assert found is not None and found.outside == pytest.approx(0.25) and not found.valid
    strange = np.arange(1000) < 400
    wide = estimate(record, batch.rows, batch.predicted, batch.score, strange)
    assert wide is not None and wide.outside == pytest.approx(0.40, abs=0.01) and not wide.valid


def test_a_short_track_record_is_no_ground_for_an_estimate():
    record, _ = world(299, 0.2, 1)
    batch, _ = world(500, 0.2, 2)
    assert estimate(record, batch.rows, batch.predicted, batch.score) is None


def test_a_record_without_mistakes_is_no_proof_of_perfection():
    record, _ = world(500, 0.0, 2)
    sure = np.where(record.predicted == 1, 0.999, 0.001)
    perfect = TrackRecord(record.rows, sure, record.predicted, record.predicted, record.profile)
    same = estimate(perfect, record.rows, record.predicted, sure)
    assert same is not None and same.reference == 1.0 and same.harmless
    assert same.low < 0.997  # 500 rows without a mistake leave 0.6 % possible (rule of three)
    torn = np.where(np.arange(500) < 200, 0.5, sure)
    unsure = estimate(perfect, record.rows, record.predicted, torn)
    assert unsure is not None and not unsure.harmless


def test_the_profile_of_the_scores_has_a_name_that_no_feature_has():
    assert world(300, 0.2, 1)[0].profile.name == PREDICTION
