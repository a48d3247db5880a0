"""From a batch to the verdict: calibrated, classic, broken feeds, small batches, and detectors that fail."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from detectors import Baseline, DataError, DriftReport, FeaturePolicy, Policy, Score, check, profile_batch
from detectors.findings import TOGETHER
from detectors.ks import KS
from detectors.psi import PSI
from detectors.verdict import Scored, judge

BOTH = (PSI(), KS())


@pytest.fixture
def baseline(draw) -> Baseline:
    return Baseline.fit(draw(10_000, 100), version="3")


@pytest.fixture
def drifted(draw) -> pd.DataFrame:
    return draw(1000, 1).assign(n0=lambda f: f["n0"] + 2, n1=lambda f: f["n1"] + 1.0)


def test_the_same_rows_are_stable(baseline, draw):
    report = check(baseline, draw(10_000, 100), detectors=BOTH)
    assert (report.verdict, report.recommendation, report.overall_psi) == ("stable", "none", 0.0)
    assert report.rows == 10_000 and report.baseline_version == "3" and report.policy == "calibrated"
    assert len(report.features) == 12 + 10 and not report.drifted and not report.errors


def test_drift_is_named_worst_first(baseline, drifted):
    report = check(baseline, drifted, detectors=BOTH)
    assert (report.verdict, report.recommendation) == ("drift", "label")
    assert {f.feature for f in report.drifted} == {"n0", "n1"}
    assert report.features[0].feature == "n0" and report.features[0].severity == "significant"
    assert report.features[0].detail.startswith("median ")
    assert [f.drifted for f in report.features] == sorted((f.drifted for f in report.features), reverse=True)
    assert check(baseline, drifted, labelled_rows=10).recommendation == "retrain"


def test_moderate_drift_is_a_warning(baseline, draw):
    batch = draw(5000, 2)
    batch["n0"] += 0.4  # PSI 0.16
    report = check(baseline, batch)
    assert (report.verdict, report.recommendation) == ("warning", "investigate")
    assert [(f.feature, f.severity) for f in report.drifted] == [("n0", "moderate")]


def test_an_immaterial_shift_is_not_drift_however_significant(baseline, draw):
    batch = draw(50_000, 3)
    batch["n0"] += 0.1
    report = check(baseline, batch, detectors=BOTH)
    assert report.verdict == "stable"
    assert min(f.p_value for f in report.features if f.feature == "n0") < 1e-6


@pytest.mark.parametrize("rows", [50, 200, 1000, 10_000])
def test_batches_without_drift_raise_no_alarm(baseline, draw, rows):
    verdicts = [check(baseline, draw(rows, 1000 + k), detectors=BOTH).verdict for k in range(30)]
    assert verdicts.count("stable") + verdicts.count("insufficient_data") >= 29


def test_a_batch_too_small_to_tell_says_how_many_rows_would_do(baseline, draw):
    report = check(baseline, draw(40, 4))
    assert report.verdict == "insufficient_data" and report.recommendation == "none"
    assert 60 < report.rows_needed < 400
    assert check(baseline, draw(report.rows_needed, 5)).verdict == "stable"


def test_with_the_rows_needed_a_significant_shift_is_seen(baseline, draw):
    needed = check(baseline, draw(40, 4)).rows_needed
    seen = 0
    for seed in range(20):
        batch = draw(2 * needed, 50 + seed)
        batch["n0"] += 0.7
        seen += check(baseline, batch).verdict != "stable"
    assert seen >= 18


def test_large_drift_is_seen_in_a_tiny_batch(baseline, draw):
    batch = draw(30, 6)
    batch["n0"] += 100
    assert check(baseline, batch).verdict == "drift"


def test_a_reference_too_small_for_any_verdict(draw):
    report = check(Baseline.fit(draw(60)), draw(5000, 1))
    assert report.verdict == "insufficient_data" and report.rows_needed is None
    assert any("the reference has only 60 rows" in note for note in report.notes)


def test_one_row(baseline, draw):
    assert check(baseline, draw(1, 7), detectors=BOTH).verdict == "insufficient_data"


@pytest.mark.parametrize(
    ("spoil", "feature"),
    [
        (lambda f: f.assign(gaps=np.where(np.arange(len(f)) % 2, np.nan, f["gaps"])), "gaps"),
        (lambda f: f.assign(n2=np.where(np.arange(len(f)) % 5, f["n2"], np.inf)), "n2"),
        (lambda f: f.assign(zeros=f["zeros"] * (np.arange(len(f)) % 5 == 0)), "zeros"),
        (lambda f: f.assign(protocol=np.where(np.arange(len(f)) % 5, f["protocol"], "quic")), "protocol"),
        (lambda f: f.assign(constant=8), "constant"),
        (lambda f: f.assign(flag=np.where(np.arange(len(f)) % 10, True, f["flag"])), "flag"),
        (lambda f: f.assign(count=f["count"] * 3), "count"),
    ],
)
def test_each_kind_of_drift_is_found_in_its_feature(baseline, draw, spoil, feature):
    report = check(baseline, spoil(draw(1000, 8)))
    assert report.verdict == "drift"
    assert [f.feature for f in report.drifted] == [feature]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: f.assign(zeros=0.0), '"zeros": every row holds 0, which varied before: stuck?'),
        (lambda f: f.assign(flag=True), '"flag": every row holds "True", which varied before: stuck?'),
        (
            lambda f: f.assign(count=f["count"] * 1000),
            '"count": values are 1,000 times what they were: seconds → milliseconds?',
        ),
    ],
)
def test_what_a_repair_would_undo_is_a_broken_feed(baseline, draw, spoil, says):
    report = check(baseline, spoil(draw(1000, 8)))
    assert (report.verdict, report.recommendation, report.errors) == ("broken_feed", "investigate", (says,))


def test_a_missing_column_is_a_broken_feed_and_the_rest_is_measured(baseline, drifted):
    report = check(baseline, drifted.drop(columns="heavy"))
    assert (report.verdict, report.recommendation) == ("broken_feed", "investigate")
    assert report.errors == ('1 feature column is missing: "heavy"',)
    assert {f.feature for f in report.drifted} == {"n0", "n1"}


def test_an_extra_column_is_ignored_and_noted(baseline, draw):
    report = check(baseline, draw(1000, 9).assign(new=1, other="x"))
    assert report.verdict == "stable"
    assert report.notes == ('2 columns that the baseline does not know were ignored: "new", "other"',)


def test_label_and_ignored_columns_may_be_there_or_not(draw):
    frame = draw(3000).assign(Label="x", id=range(3000))
    fitted = Baseline.fit(frame, label="Label", ignore=["id"])
    with_them = draw(1000, 1).assign(Label=["\ufffd"] * 1000, id=5)
    assert check(fitted, with_them) == check(fitted, draw(1000, 1))
    assert check(fitted, with_them).notes == ()


def test_a_column_without_values_is_a_broken_feed(baseline, draw):
    report = check(baseline, draw(500, 1).assign(n1=np.nan))
    assert report.verdict == "broken_feed"
    assert report.errors == ('"n1": no values at all (missing in 0 % before)',)


def test_a_few_missing_cells_by_chance_are_no_broken_feed(draw):
    frame = draw(3000)
    frame["rare"] = np.where(np.arange(3000) % 10, np.nan, 1.0)
    report = check(Baseline.fit(frame), draw(3, 1).assign(rare=np.nan))
    assert report.verdict == "insufficient_data"


def test_cells_of_the_wrong_type_are_a_broken_feed_or_drift(baseline, draw, tmp_path):
    batch = draw(500, 1).astype({"n1": object})
    batch.loc[:299, "n1"] = "error"
    batch.to_csv(tmp_path / "b.csv", index=False)
    for source in (batch, tmp_path / "b.csv"):
        report = check(baseline, source)
        assert report.verdict == "broken_feed"
        assert report.errors == ('"n1": 60 % of the cells are not numbers ("error")',)
    for wrong, verdict in ((249, "drift"), (250, "broken_feed")):
        half = draw(500, 1).astype({"n1": object})
        half.loc[: wrong - 1, "n1"] = "error"
        assert check(baseline, half).verdict == verdict
    few = draw(500, 1).astype({"n1": object})
    few.loc[:99, "n1"] = "error"
    report = check(baseline, few)
    assert report.verdict == "drift"
    assert report.drifted[0].detail == "not a number 0 % → 20 %"


def test_another_table_altogether_is_an_error(baseline):
    with pytest.raises(DataError, match="none of the 12 features") as caught:
        check(baseline, pd.DataFrame({"x": [1, 2]}))
    assert caught.value.kind == "columns"


def test_files_and_frames_give_the_same_report(baseline, drifted, tmp_path):
    drifted.to_csv(tmp_path / "b.csv", index=False)
    drifted.to_parquet(tmp_path / "b.parquet")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress((tmp_path / "b.csv").read_bytes()))
    expected = check(baseline, drifted, detectors=BOTH)
    for name in ("b.csv", "b.csv.gz", "b.parquet"):
        assert check(baseline, tmp_path / name, detectors=BOTH) == expected


def test_the_order_of_rows_and_columns_changes_nothing(baseline, drifted):
    shuffled = drifted.sample(frac=1, random_state=1)[list(drifted.columns)[::-1]]
    assert check(baseline, shuffled) == check(baseline, drifted)


def test_classic_judges_the_mean_psi(baseline, draw):
    classic = Policy(kind="classic")
    calm = check(baseline, draw(2000, 1), policy=classic)
    assert (calm.verdict, calm.recommendation, calm.policy) == ("stable", "none", "classic")
    batch = draw(2000, 1)
    batch[[f"n{i}" for i in range(5)]] += [2, 4, 6, 8, 10]
    report = check(baseline, batch, policy=classic)
    mean = np.mean([f.statistic for f in report.features])
    assert report.overall_psi == pytest.approx(mean)
    assert mean > 0.2 and (report.verdict, report.recommendation) == ("drift", "retrain")
    between = Policy(kind="classic", classic_warning=mean - 0.01, classic_retrain=mean + 0.01)
    assert check(baseline, batch, policy=between).verdict == "warning"
    assert check(baseline, batch, policy=between).recommendation == "investigate"


def test_overall_psi_is_there_without_the_psi_detector(baseline, drifted):
    assert check(baseline, drifted, detectors=(KS(),)).overall_psi == check(baseline, drifted).overall_psi


def test_a_policy_for_one_feature(baseline, drifted):
    def of(**options) -> DriftReport:
        return check(baseline, drifted, policy=Policy(features={"n0": FeaturePolicy(**options)}))

    assert {f.feature for f in of().drifted} == {"n0", "n1"}
    assert {f.feature for f in of(ignore=True).features}.isdisjoint({"n0"})
    assert {f.feature for f in of(moderate=50, significant=60).drifted} == {"n1"}
    missing = check(
        baseline, drifted.drop(columns="n0"), policy=Policy(features={"n0": FeaturePolicy(ignore=True)})
    )
    assert missing.verdict == "drift"


@dataclass(frozen=True, slots=True)
class Fixed:
    """A detector that gives the p-values and effects it is told."""

    p_values: dict[str, float | None]
    effect: float = 1.0
    name: str = "fixed"
    moderate: float = 0.1
    significant: float = 0.2

    def score(self, reference, current) -> Score | None:
        if reference.name not in self.p_values:
            return None
        return Score(self.effect, self.p_values[reference.name])


def test_holm_over_all_features(baseline, draw):
    # Holm at 0.05 over 0.01, 0.02, 0.03, 0.04: 0.01 <= 0.05/4 passes, 0.02 > 0.05/3 stops the rest
    detector = Fixed({"n0": 0.01, "n1": 0.02, "n2": 0.03, "n3": 0.04})
    profile = profile_batch(baseline, draw(100, 1))

    def hit(**options) -> set[str]:
        report = judge(baseline, profile, detectors=[detector], policy=Policy(alpha=0.05, **options))
        return {f.feature for f in report.drifted}

    assert hit() == {"n0"}
    assert hit(correction="none") == {"n0", "n1", "n2", "n3"}
    # Holm's step-down: 0.01 <= 0.05/3, 0.024 <= 0.05/2, 0.04 <= 0.05
    detector = Fixed({"n0": 0.01, "n1": 0.024, "n2": 0.04})
    assert hit() == {"n0", "n1", "n2"}


def test_a_stricter_level_for_one_feature(baseline, draw):
    detector = Fixed({"n0": 1e-4, "n1": 1e-4})
    policy = Policy(alpha=0.01, features={"n0": FeaturePolicy(alpha=1e-5)})
    report = check(baseline, draw(100, 1), detectors=[detector], policy=policy)
    assert {f.feature for f in report.drifted} == {"n1"}


def test_a_detector_without_p_value_is_judged_by_its_effect(baseline, draw):
    small, large = (Fixed({"n0": None}, effect) for effect in (0.05, 0.15))
    assert check(baseline, draw(1000, 1), detectors=[small]).verdict == "stable"
    assert check(baseline, draw(1000, 1), detectors=[large]).verdict == "warning"


@dataclass(frozen=True, slots=True)
class Broken:
    """A detector that fails on some features."""

    answer: float | None = None
    name: str = "broken"
    moderate: float = 0.1
    significant: float = 0.2

    def score(self, reference, current) -> Score | None:
        if self.answer is None:
            raise RuntimeError("out of order")
        return Score(self.answer)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Broken(), "RuntimeError: out of order"),
        (Broken(math.nan), "not a finite number"),
        (Broken(math.inf), "inf"),
    ],
)
def test_a_failing_detector_is_reported_and_the_others_judge(baseline, drifted, broken, message):
    report = check(baseline, drifted, detectors=[broken, PSI()])
    assert report.verdict == "drift"
    assert report.drifted == check(baseline, drifted).drifted
    assert len(report.errors) == 1 and message in report.errors[0]
    assert "detector broken failed on 12 features" in report.errors[0]


def test_without_any_measurement_the_verdict_is_never_stable(baseline, drifted):
    report = check(baseline, drifted, detectors=[Broken()])
    assert (report.verdict, report.recommendation) == ("insufficient_data", "investigate")
    assert report.features == () and report.rows_needed is None
    assert any("no detector could measure" in error for error in report.errors)


def test_the_report_survives_json(baseline, drifted):
    report = check(baseline, drifted.drop(columns="heavy"), detectors=BOTH)
    assert DriftReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    table = report.to_frame()
    assert len(table) == len(report.features) and table["feature"].iloc[0] == report.features[0].feature


def test_scores_that_are_no_probabilities_are_refused():
    for wrong in (np.nan, np.inf, 1.2, -0.1):
        with pytest.raises(ValueError, match="probabilities, finite and within 0 and 1"):
            Scored(np.zeros(2, int), np.array([0.5, wrong]))


def test_features_with_thresholds_of_their_own_are_not_judged_among_all_together(baseline, draw):
    batch = draw(2000, 5).assign(n0=lambda f: f["n0"] + 0.8)
    assert check(baseline, batch).verdict == "drift"
    wobbles = Policy(features={"n0": FeaturePolicy(moderate=5.0, significant=9.0)})
    report = check(baseline, batch, policy=wobbles)
    assert report.verdict == "stable" and not report.drifted


def test_two_features_that_no_longer_go_together_are_drift_although_each_is_as_it_was():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=9000)
    frame = pd.DataFrame({f"x{i}": shared + 0.5 * rng.normal(size=9000) for i in range(3)})
    frame["alone"] = rng.normal(size=9000)
    batch = frame[8000:].assign(x0=lambda f: rng.permutation(f["x0"]))
    report = check(Baseline.fit(frame[:8000]), batch, labelled_rows=0)
    assert (report.verdict, report.recommendation) == ("drift", "label")
    assert {f.feature for f in report.drifted} == {TOGETHER}
    assert any("rank correlation of x0" in f.detail or "and x0" in f.detail for f in report.drifted)
