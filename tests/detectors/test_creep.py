"""Creep: rarely found where nothing moves, soon where something does, and only from honest evidence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.creep import RUN_LENGTH, Creeping, creeping, decision_limit
from detectors.profile import numeric_profile
from detectors.psi import PSI

MODERATE = {"x": 0.1}
pairs = st.tuples(
    st.one_of(st.none(), st.floats(0, 1), st.just(math.nan)), st.one_of(st.none(), st.floats(0, 1))
)


def history(
    *batches: tuple[float | None, float | None],
) -> list[dict[str, tuple[float | None, float | None]]]:
    return [{"x": pair} for pair in batches]


def run_length(limit: float, random: np.random.Generator, runs: int = 2_000) -> float:
    """Mean time until a plain CUSUM with k = 1/2 reaches the limit."""
    total, time, ended = np.zeros(runs), np.zeros(runs), np.zeros(runs, bool)
    while not ended.all():
        total = np.maximum(0, total + random.standard_normal(runs) - 0.5)
        time += ~ended
        ended |= total >= limit
    return float(time.mean())


@pytest.mark.parametrize("wanted", [100, 300, 1_000])
def test_the_limit_gives_the_run_length(wanted):
    assert run_length(decision_limit(wanted), np.random.default_rng(0)) == pytest.approx(wanted, rel=0.12)


@pytest.mark.parametrize(("features", "histories"), [(40, 150), (500, 16)])
def test_false_alarms_are_rare_with_few_and_many_features(features, histories):
    """Effects always above the floor: p alone has to hold back. 50 batches of 1,000 are expected to alarm 1 in 20."""
    rng, alarmed, moderate = np.random.default_rng(1), 0, dict.fromkeys(range(features), 0.1)
    for _ in range(histories):
        p = rng.random((50, features))
        past = [{f: (float(p[b, f]), 0.09) for f in range(features)} for b in range(50)]
        alarmed += bool(creeping(past, moderate))
    # 0.05 on average; more than this is a chance of 1 in 10,000
    assert alarmed <= {150: 19, 16: 5}[histories]
    assert RUN_LENGTH == 1_000


def test_batches_that_share_a_reference_do_not_alarm():
    rng, alarmed = np.random.default_rng(2), 0
    for _ in range(8):
        references = [numeric_profile("x", rng.standard_normal(2_000)) for _ in range(20)]
        past = []
        for _ in range(25):
            scores = [PSI().score(r, r.summarize(rng.standard_normal(400))) for r in references]
            past.append({f: (s.p_value, s.effect) for f, s in enumerate(scores)})
        alarmed += bool(creeping(past, dict.fromkeys(range(20), 0.1)))
    assert alarmed <= 1


def test_a_creep_under_the_threshold_is_found_within_a_few_batches():
    rng = np.random.default_rng(3)
    reference = numeric_profile("x", rng.standard_normal(5_000))
    for run in range(10):
        past: list[dict[str, tuple[float | None, float | None]]] = []
        for _ in range(10):  # nothing yet
            score = PSI().score(reference, reference.summarize(rng.standard_normal(800)))
            past.append({"x": (score.p_value, score.effect)})
        assert not creeping(past, MODERATE)
        while len(past) < 19:
            score = PSI().score(reference, reference.summarize(rng.normal(0.29, 1, 800)))
            past.append({"x": (score.p_value, min(score.effect, 0.099))})
            if found := creeping(past, MODERATE):
                break
        assert found and 13 <= len(past) <= 16, run
        assert 8 <= found[0].since <= 10


def test_three_batches_are_the_fewest_and_one_strange_batch_is_none():
    assert not creeping(history((0.0, 9.0)), MODERATE)
    assert not creeping(history((0.0, 9.0), (0.0, 9.0)), MODERATE)
    (found,) = creeping(history((0.0, 0.09), (0.0, 0.09), (0.0, 0.06)), MODERATE)
    assert found == Creeping("x", 0, pytest.approx(decision_limit(1_000)), pytest.approx(0.08))
    assert not creeping(history((0.0, 9.0), *[(0.4, 0.09)] * 9), MODERATE)


def test_a_small_effect_is_no_creep_however_significant():
    assert not creeping(history(*[(1e-9, 0.0499)] * 40), MODERATE)
    assert creeping(history(*[(1e-9, 0.0501)] * 40), MODERATE)


def test_the_alarm_lasts_as_long_as_the_effect_and_starts_anew_after_it():
    away, back = [(1e-4, 0.08)] * 6, [(0.6, 0.0)] * 4
    assert creeping(history(*back, *away), MODERATE)[0].since == 4
    assert creeping(history(*back, *away, *away), MODERATE)[0].since == 4
    assert not creeping(history(*back, *away, *back), MODERATE)
    assert creeping(history(*back, *away, *back, *away), MODERATE)[0].since == 14


def test_the_order_of_the_batches_matters():
    calm, creep = [(0.7, 0.0)] * 6, [(0.005, 0.08)] * 6
    assert creeping(history(*calm, *creep), MODERATE)
    assert not creeping(history(*creep, *calm), MODERATE)
    mixed = [pair for two in zip(creep, calm, strict=True) for pair in two]
    assert not creeping(history(*mixed), MODERATE)


@settings(deadline=None, max_examples=150)
@given(st.lists(pairs, max_size=20), st.data())
def test_what_was_not_measured_is_as_if_it_had_not_been(batches, data):
    gap = st.sampled_from(
        [{"x": (None, 0.3)}, {"x": (math.nan, 0.3)}, {"x": (0.001, math.nan)}, {}, {"y": (0.0, 9)}]
    )
    full = history(*batches, (0.01, 0.09))
    holes = [hole for batch in full for hole in (data.draw(st.lists(gap, max_size=2)), [batch])]
    assert [(c.statistic, c.effect) for c in creeping([b for part in holes for b in part], MODERATE)] == [
        (c.statistic, c.effect) for c in creeping(full, MODERATE)
    ]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=25))
def test_more_features_make_it_no_easier(batches):
    few = creeping(history(*batches), MODERATE)
    many = [{**batch, **dict.fromkeys(range(50), (0.9, 0.0))} for batch in history(*batches)]
    found = creeping(many, {**MODERATE, **dict.fromkeys(range(50), 0.1)})
    assert all(c.statistic >= decision_limit(51_000) * 0.999 for c in found)
    assert all(c.key == "x" and 0 <= c.since <= len(batches) - 3 for c in (*few, *found))


def test_nothing_is_found_in_nothing():
    assert creeping([], MODERATE) == []
    assert creeping([{}], MODERATE) == []
    assert creeping(history((0.0, 1.0)), {}) == []
    assert creeping([*history(*[(0.0, 9.0)] * 5), {}], MODERATE) == [], (
        "what the newest batch lacks is not said"
    )
