"""The quality benchmark itself, on a handful of batches: that it runs, knows its truths, and cannot rot."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from tests.benchmarks.quality import unseen
from tests.benchmarks.quality.harm import SCENARIOS, estimates_chunk
from tests.benchmarks.quality.judges import Classic, Estimated, Judgement, Ours, Trial
from tests.benchmarks.quality.population import frame_of, make_pool
from tests.benchmarks.quality.runner import LONG, SHORT, SHORT_SECTIONS, TINY, draw, run, tasks
from tests.benchmarks.quality.scenarios import DRIFT, IMMATERIAL, NO_DRIFT, seasons
from tests.benchmarks.quality.table import markdown, promises, rows_of, upper


@pytest.fixture(scope="module")
def rows():
    plan = replace(TINY, sections=tuple(s for s in SHORT_SECTIONS if s != "real data"))
    with threadpool_limits(1):
        return rows_of(list(run(tasks(plan, Ours()))), "ours")


def test_every_piece_can_be_sent_to_another_process():
    sent = [pickle.loads(pickle.dumps(task)) for task in tasks(LONG, Ours())]
    assert len(sent) > 1_000 and all(callable(task) for task in sent)


def test_every_scenario_has_a_row(rows):
    named = {(row["section"], row["name"]) for row in rows}
    assert {("false alarms", "no drift"), ("seasons", "overall, season only")} <= named
    assert {("immaterial", s.name) for s in IMMATERIAL} | {("detection", s.name) for s in DRIFT} <= named
    assert {("harm", "covariate shift"), ("harm", "more hard rows")} <= named
    shares = [row["share"] for row in rows if "share" in row]
    assert all(0 <= share <= 1 for share in shares)
    text = markdown(rows, ["some peer: could not be installed"])
    assert text.count("| ours |") >= 6 and "some peer: could not be installed" in text


def test_small_clear_drifts_are_seen_and_calm_batches_are_not_accused(rows):
    at = {(row["section"], row["name"]): row for row in rows if row["section"] != "harm"}
    assert at["detection", "× 1000 in 10 % of the rows"]["share"] == 1
    assert at["detection", "one normal shifts by 1 sd"]["precision_at_k"] == 1
    assert at["detection", "overall"]["share"] > 0.5
    assert at["immaterial", "overall"]["share"] < 0.5


def test_what_a_drift_costs_is_known(rows):
    harm = {row["name"]: row for row in rows if row["section"] == "harm"}
    assert abs(harm["nothing"]["mean_loss"]) < 0.05
    assert harm["labels turn where one feature is high"]["mean_loss"] > 0.02
    # the labels have turned and the features have not: only labels can tell, and it is not held against anyone
    assert harm["overall, but for what only labels can show"]["batches"] == 3
    assert harm["covariate shift"]["batches"] == 2


@pytest.mark.parametrize("scenario", [*IMMATERIAL, *DRIFT], ids=lambda s: s.name)
def test_a_scenario_moves_the_features_it_names_and_no_others(scenario):
    pool = make_pool(40, 4_000, 3)
    fresh = np.arange(2_000, 4_000)
    calm, _ = draw(replace(NO_DRIFT, weight=scenario.weight), pool, fresh, 500, np.random.default_rng(5))
    moved, drifted = draw(scenario, pool, fresh, 500, np.random.default_rng(5))
    changed = {name for name in calm.columns if not calm[name].equals(moved[name])}
    assert changed == set(drifted)
    assert set(drifted) or scenario.weight is not None


def test_there_is_a_season_for_every_kind_that_the_plans_name():
    kinds = seasons(make_pool(40, 1_000, 1), np.random.default_rng(0))
    assert SHORT.season_kinds == LONG.season_kinds == tuple(range(len(kinds)))


def test_without_drift_reference_and_batch_share_no_row():
    pool = make_pool(10, 3_000, 1)
    order = np.random.default_rng(0).permutation(3_000)
    batch, drifted = draw(NO_DRIFT, pool, order[1_000:], 500, np.random.default_rng(1))
    reference = frame_of(pool.take(order[:1_000]))
    assert not set(reference["normal_0"]) & set(batch["normal_0"]) and drifted == ()


def test_precision_counts_the_culprits_among_the_first():
    trial = Trial("detection", "x", 40, 200, True, Judgement(True, ("a", "c", "b")), drifted=("a", "b"))
    assert trial.precision == 0.5


def test_the_classic_rule_is_the_textbook_psi():
    random = np.random.default_rng(2)
    reference = frame_of({"x": random.normal(size=20_000)})
    [same, shifted] = Classic().judge(
        reference, [frame_of({"x": random.normal(size=20_000)}), frame_of({"x": random.normal(1, 1, 20_000)})]
    )
    assert (same.alarm, shifted.alarm) == (False, True)
    # deciles of a unit normal against a shift of one standard deviation, in closed form
    assert float(shifted.why.removeprefix("PSI ")) == pytest.approx(0.918, abs=0.05)


def test_the_upper_bound_is_that_of_clopper_and_pearson():
    assert upper(0, 1_000) == pytest.approx(1 - 0.05 ** (1 / 1_000))  # closed form without a hit
    assert upper(5, 5) == 1.0


def test_a_real_table_is_judged_on_what_it_knows_and_what_it_does_not(monkeypatch):
    random = np.random.default_rng(0)
    known = pd.DataFrame({"a": random.normal(size=23_000), "b": random.integers(0, 9, 23_000)})
    other = pd.DataFrame({"a": random.normal(3, 1, 300), "b": random.integers(0, 9, 300)})
    table = unseen.Table("small", known, other, "odd", (0.5, 1.0))
    assert table.moved() == ("a",)
    monkeypatch.setattr(unseen, "TABLES", {"small": lambda: table})
    trials = unseen.unseen_chunk(Ours(), "small", 400, 5, 1)
    assert [t.name for t in trials] == ["small, held-out rows"] * 5 + [
        "small, 50% odd"
    ]  # 400 odd ones are none
    assert [t.expected for t in trials] == [t.judgement.alarm for t in trials] == [False] * 5 + [True]
    assert [t.precision for t in trials] == [None] * 5 + [1.0]
    rows = rows_of(trials, "ours")
    assert ["false alarms, small, held-out rows", "≤ 2 %", "0.0 % (0 of 5)", "yes"] in promises(rows)


def test_precision_looks_at_the_first_ones_where_so_many_are_named():
    said = Judgement(True, ("a", "x", "b"))
    trial = Trial("unseen data", "t", 9, 10, True, said, ("a", "b", "c", "d"))
    assert (trial.precision, replace(trial, first=1).precision, replace(trial, first=2).precision) == (
        0.5,
        1.0,
        0.5,
    )


class Confidence:
    """A plain estimator: the mean chance that the model is right, as it says itself; without an answer to the last."""

    def estimate(self, record, batches):
        assert set(record["label"]) == set(record["said"]) == {0, 1}
        chances = [np.maximum(b["probability"], 1 - b["probability"]).mean() for b in batches]
        known = (record["label"] == record["said"]).mean()
        return [Estimated(c, c - 0.05, c + 0.05, c < known - 0.03, 0.0) for c in chances[:-1]] + [None]


def test_who_only_estimates_is_held_against_the_truth_too():
    scenarios = (SCENARIOS[0], SCENARIOS[2], SCENARIOS[-1])
    with threadpool_limits(1):
        trials = estimates_chunk(Confidence(), 800, 2, 3, 3_000, scenarios)
    assert [t.name for t in trials] == [s.name for s in scenarios for _ in range(2)]
    for calm in trials[:2]:
        assert abs(calm.facts["accuracy"] - calm.facts["expected_accuracy"]) < 0.1
    assert [t.facts["estimated"] for t in trials] == [True] * 5 + [False]
    said = {row["name"]: row for row in rows_of(trials, "some")}
    assert said["nothing"]["error"] < 0.1 and said["labels turn where one feature is high"]["error"] > 0.02
    assert said["covariate shift"]["batches"] == 4
    told = [measure for measure, *_ in promises(list(said.values()))]
    assert "error of the estimate, covariate shift" in told and "retrain where < 1 is lost" not in told
