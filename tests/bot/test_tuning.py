"""Back-tests on a real store with real batches: a feature wobbles, people say so, a threshold is proposed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bot import backtest, tuning
from bot.bootstrap import Application
from bot.config import FILE_NAME, load
from bot.tuning_text import as_dict, tuning_text
from detectors.baseline import Baseline
from detectors.report import DriftReport, FeatureDrift
from detectors.verdict import judge
from state.records import Feedback
from tests.bot.conftest import crown, version_record

NOW = datetime(2026, 11, 2, tzinfo=UTC)
CONFIGURATION = """\
home = "home"
[[models]]
name = "netflow"
label = { column = "y", negative = ["0"] }
"""
PSI_ALONE = "detectors = { psi = {} }\n"
# Shares of the batches' values that are pushed up by one unit: the PSI* of each is told by the test that uses it.
CALM, WOBBLE, WILD = 0.0, 0.17, 0.5


def rows(number: int, seed: int, wobble: float = CALM, shift: float = 0.0) -> pd.DataFrame:
    """Two independent standard normal features; `wobble` of the first is moved by 2, the second by `shift`."""
    rng = np.random.default_rng(seed)
    moved = rng.random(number) < wobble
    return pd.DataFrame(
        {"wobbly": rng.normal(0, 1, number) + 2 * moved, "steady": rng.normal(shift, 1, number)}
    )


@dataclass(frozen=True)
class Site:
    """A watched model whose batches are checked one by one."""

    app: Application
    folder: Path

    @property
    def model(self) -> Any:
        return self.app.config.model(None)

    def check(self, seed: int, verdict: str = "", said: str = "", **drift: float) -> int:
        """Check a batch of 1,000 rows; what its verdict must be, and what somebody says of it."""
        path = self.folder / f"batch{seed}.csv"
        rows(1000, seed, **drift).to_csv(path, index=False)
        batch = self.app.monitoring.check(self.model, path).batch
        assert batch.verdict == (verdict or batch.verdict), (batch.verdict, batch.report)
        if said:
            self.app.store.give_feedback(said, "U1", "", NOW, batch_id=batch.id)  # type: ignore[arg-type]
        return batch.id

    def season(self, said: str = "false_alarm", alarms: int = 4, calm: int = 6) -> None:
        """Quiet batches, and some in which a feature wobbles."""
        for seed in range(100, 100 + calm):
            self.check(seed, "stable")
        for seed in range(200, 200 + alarms):
            self.check(seed, "warning", said, wobble=WOBBLE)

    def tune(self, last: int = 50) -> tuning.Tuning:
        return tuning.tune(self.app.store, self.model, last)


@pytest.fixture
def site_of(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    opened: list[Application] = []
    base, fitted = tmp_path / "base.csv", tmp_path / "baseline.npz"
    rows(5000, 1).assign(y=0).to_csv(base, index=False)
    Baseline.fit(base, label="y", version="1").save(fitted)

    def make(more: str = "", detectors: str = PSI_ALONE) -> Site:
        (tmp_path / FILE_NAME).write_text(CONFIGURATION + detectors + more)
        opened.append(Application.load(tmp_path / FILE_NAME))
        if opened[-1].store.champion("netflow") is None:
            crown(opened[-1], version_record(fitted, base))
        return Site(opened[-1], tmp_path)

    yield make
    for app in opened:
        app.close()


@pytest.fixture
def site(site_of: Callable[..., Site]) -> Site:
    return site_of()


def test_a_wobbling_feature_gets_a_threshold_that_keeps_the_confirmed_alert(
    site: Site, site_of: Callable[..., Site]
) -> None:
    site.season()
    site.check(300, "drift", "true_drift", shift=1.0)
    found = site.tune()
    assert found.change is not None and found.effect is not None, found.reason
    assert found.change.width == 0
    assert 'for the feature "wobbly"' in found.change.what
    assert len(found.effect.alerts) == 5
    assert len(found.effect.removed) == 4
    assert found.effect.count(found.effect.removed, "true_drift") == 0

    # What is printed can be pasted, and does what was said.
    lines = tuning_text(found)
    assert "removes 4 of your last 5 alerts and no confirmed one; 1 confirmed one keeps alerting" in lines
    assert tomllib.loads(found.change.toml)["models"]["features"]["wobbly"]["moderate"] > 0.1
    changed = site_of(found.change.toml)
    after = changed.tune()
    assert [(j.case.truth, j.report.verdict) for j in after.alerts] == [("true_drift", "drift")]


def test_judging_again_by_the_present_settings_gives_what_the_check_gave(
    site_of: Callable[..., Site],
) -> None:
    site = site_of(detectors="")  # all that are on by default
    site.season(calm=3)
    site.check(300, shift=1.0)
    cases, left_out = tuning.past(site.app.store, "netflow", 50)
    assert (len(cases), left_out) == (8, [])
    for judged in backtest.Bench(cases).judged(site.model):
        assert judged.report.verdict == judged.case.report.verdict
        assert {f.feature: f.statistic for f in judged.report.features} == pytest.approx(
            {f.feature: f.statistic for f in judged.case.report.features}
        )


def test_a_confirmed_alert_of_the_same_kind_forbids_the_change(site: Site) -> None:
    """The true drift is weaker than the false alarms in the same feature: no threshold tells them apart."""
    site.season(said="", alarms=4)
    weakest, *others = sorted(site.tune().alerts, key=lambda j: j.report.drifted[0].effect)
    give = site.app.store.give_feedback
    give("true_drift", "U1", "", NOW, batch_id=weakest.case.batch.id)
    for judged in others:
        give("false_alarm", "U1", "", NOW, batch_id=judged.case.batch.id)
    found = site.tune()
    assert found.change is None
    assert found.reason.startswith(
        "no single change removes a false alarm without removing a confirmed alert"
    )
    assert "Nothing to propose: no single change" in tuning_text(found)


@pytest.mark.parametrize("seed", range(4))
def test_no_change_ever_removes_what_is_confirmed(site: Site, seed: int) -> None:
    """Whatever people say of whichever alerts."""
    rng = np.random.default_rng(seed)
    for number in range(14):
        said = rng.choice(["true_drift", "false_alarm", "false_alarm", ""])
        site.check(
            1000 * seed + number, said=str(said), wobble=rng.uniform(0, 0.4), shift=rng.choice([0, 0, 0.5])
        )
    found = site.tune()
    if found.change is None or found.effect is None:
        return
    confirmed = {j.case.batch.id for j in found.judged if j.alerts and j.case.truth == "true_drift"}
    cases = [judged.case for judged in found.judged]
    after = backtest.Bench(cases).judged(found.change.model, anew=True)
    assert confirmed <= {j.case.batch.id for j in after if j.alerts}
    assert sum(j.alerts for j in after) == len(found.effect.alerts) - len(found.effect.removed)


def test_without_feedback_few_batches_or_false_alarms_nothing_is_proposed(site: Site) -> None:
    site.season(said="", alarms=2, calm=2)
    few = site.tune()
    assert (few.change, few.reason) == (
        None,
        "only 4 past batches can be judged again; from 10 on a change can be tried",
    )
    for seed in range(400, 407):
        site.check(seed, "stable")
    unsaid = site.tune()
    assert unsaid.reason.startswith("nobody has said yet what the alerts were")
    assert "2 alerts: 0 confirmed, 0 false, 2 of unknown truth" in tuning_text(unsaid)
    quiet = tuning.tune(site.app.store, site.model.model_copy(update={"alert_on": "drift"}))
    assert quiet.reason == "none of the past batches alerts under the present settings"
    for batch in (3, 4):
        site.app.store.give_feedback("true_drift", "U1", "", NOW, batch_id=batch)
    assert site.tune().reason.startswith("every alert is confirmed as true drift")


def test_alerts_of_unknown_truth_are_called_so_and_weighed(site: Site) -> None:
    """One word against three silent alerts is not enough to give those up; with more words it is."""
    site.season(said="", alarms=7, calm=4)
    alarms = [j.case.batch.id for j in site.tune().alerts]
    site.app.store.give_feedback("false_alarm", "U1", "", NOW, batch_id=alarms[0])
    one = site.tune()
    removed = len(one.effect.removed) if one.effect else 0
    assert removed <= 1
    for batch in alarms[:6]:
        site.app.store.give_feedback("false_alarm", "U1", "", NOW, batch_id=batch)
    found = site.tune()
    assert found.effect is not None
    assert found.effect.count(found.effect.removed, "false_alarm") == 6
    text = tuning_text(found)
    assert "No true drift is known among these batches" in text
    if found.effect.count(found.effect.removed, None):
        assert "1 of the removed alerts is of unknown truth" in text


def test_drift_called_true_that_does_not_alert_is_named(site: Site) -> None:
    site.season(calm=6)
    site.check(500, "stable", "true_drift")
    found = site.tune()
    assert [j.case.name for j in found.missed] == ["batch500.csv"]
    assert "Called true drift, and not alerting under the present settings: batch500.csv." in tuning_text(
        found
    )


def test_the_classic_policy_is_tuned_by_its_own_thresholds(site_of: Callable[..., Site]) -> None:
    site = site_of('policy = "classic"\nclassic_warning = 0.03\n')
    for seed in range(100, 107):
        site.check(seed, "stable")
    for seed in range(200, 204):
        site.check(seed, "warning", "false_alarm", wobble=WOBBLE)
    site.check(300, "drift", "true_drift", shift=1.0)
    found = site.tune()
    assert found.change is not None, found.reason
    assert found.change.what.startswith("classic_warning 0.03 -> ")
    assert list(found.change.settings) == ["classic_warning"]
    assert len(found.effect.removed) == 4 if found.effect else False


def test_what_a_profile_cannot_give_again_is_taken_from_the_stored_report(site: Site) -> None:
    """The joint finding of the check alerts again, and only as far as its detector is still asked."""
    from detectors.domain_classifier import DomainClassifier
    from detectors.findings import TOGETHER
    from detectors.psi import PSI

    batch = site.app.store.batch(site.check(600, "stable"))
    (case,), _ = tuning.past(site.app.store, "netflow", 1)
    assert batch.report is not None
    joint = FeatureDrift(TOGETHER, "domain_classifier", 0.2, 0.2, 1e-9, "significant", True, "AUC 0.70")
    stored = replace(batch.report, features=(joint, *batch.report.features))

    def verdict(*detectors: Any) -> DriftReport:
        return judge(case.baseline, case.profile, detectors=detectors, stored=stored)

    both = verdict(PSI(), DomainClassifier())
    assert (both.verdict, both.drifted[0].feature) == ("drift", TOGETHER)
    assert verdict(PSI(), DomainClassifier(significant=0.3)).verdict == "warning"
    assert verdict(PSI(), DomainClassifier(moderate=0.25, significant=0.3)).verdict == "stable"
    assert verdict(PSI()).verdict == "stable"


def test_a_batch_whose_baseline_or_profile_is_gone_is_left_out_and_named(site: Site) -> None:
    site.season()
    claim = site.app.store.claim_batch("netflow", "e" * 64, "/in/old.csv", "7", "p", NOW)
    report = replace(
        site.app.store.batch(1).report or DriftReport("stable", "none", 0, 1, ()), baseline_version="7"
    )
    site.app.store.save_report(claim.batch.id, report, b"damaged", NOW)
    found = site.tune()
    assert found.left_out == ("old.csv: version 7 of the model is not known any more",)
    assert found.change is not None
    assert "Left out: 1 batch. old.csv: version 7" in tuning_text(found)
    Path(site.app.store.version("netflow", 1).record.baseline_path).unlink()
    gone = site.tune()
    assert len(gone.left_out) == 11
    assert "only 0 past batches" in gone.reason


def test_one_who_says_true_outweighs_the_others_and_a_promotion_counts_where_nobody_spoke() -> None:
    def said(verdict: Any) -> Feedback:
        return Feedback(1, "m", verdict, "U1", NOW, batch_id=1)

    assert tuning.truth_of([said("false_alarm"), said("true_drift")]) == "true_drift"
    assert tuning.truth_of([said("false_alarm")], acted_on=True) == "false_alarm"
    assert tuning.truth_of([], acted_on=True) == "true_drift"
    assert tuning.truth_of([]) is None


@pytest.mark.parametrize("name", ["a b", 'say "x"', "Länge", "a.b", "plain-1", "back\\slash", "del\x7f"])
def test_keys_are_valid_toml(name: str) -> None:
    assert tomllib.loads(f"[models.features.{tuning._key(name)}]\nmoderate = 1")["models"]["features"] == {
        name: {"moderate": 1}
    }


def test_the_command_prints_text_or_one_json_object(site: Site, run: Callable[..., Any]) -> None:
    site.season()
    ran = run(site.folder, "tune")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("netflow: the last 10 batches judged again by the present settings, 4 alerts: ")
    assert "\n    [models.features.wobbly]\n    moderate = 0." in ran.out
    told = run(site.folder, "tune", "--json", "--last", 10).json
    assert told["proposal"]["removed"] == 4
    assert told == as_dict(site.tune(10)) | {"alerts": told["alerts"]}
    assert load(site.folder / FILE_NAME) == site.app.config, "nothing is changed"
    assert run(site.folder, "tune", "--last", 5).out.count("Nothing to propose: only 5 past batches") == 1
