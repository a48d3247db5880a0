"""A slow creep over many files, each of them below the threshold: real files, real checks, a real state file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bot.bootstrap import Application
from bot.config import FILE_NAME
from bot.creep import with_creep
from bot.inbox import Inbox
from bot.monitoring import Monitoring
from detectors.baseline import Baseline
from detectors.digest import sha256_file
from state.records import Batch
from trainers.base import DataFile, ModelVersion

COLUMNS = ("amount", "age", "delay", "ratio", "volume")
START = datetime(2026, 11, 14, 12, tzinfo=UTC)
CONFIGURATION = """\
home = "home"
settle_seconds = 0

[slack]
channel = "ml-alerts"

[[models]]
name = "m"
inbox = "inbox"
label = { column = "y", negative = ["0"] }
"""

ALONE = "\n[models.detectors.psi]\n"  # what looks at all features together would see such shifts at once


def frame(seed: int, rows: int = 900, **shifts: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    made = pd.DataFrame({name: rng.normal(0, 1, rows) for name in COLUMNS})
    for name, shift in shifts.items():
        made[name] += shift
    return made


@dataclass
class World:
    """A model that is watched, a day for each batch."""

    folder: Path
    app: Application
    day: int = 0

    def check(self, seed: int, **shifts: float) -> Batch:
        path = self.folder / "inbox" / f"day{self.day:02}-{seed}.csv"
        frame(seed, **shifts).to_csv(path, index=False)
        return self.again(path)

    def again(self, path: Path) -> Batch:
        now = START + timedelta(days=self.day)
        self.day += 1
        monitoring = Monitoring(self.app.config, self.app.store, lambda: now)
        return monitoring.check(self.app.config.model("m"), path).batch

    def reload(self, configuration: str) -> World:
        (self.folder / FILE_NAME).write_text(configuration, encoding="utf-8")
        return World(self.folder, Application.load(self.folder / FILE_NAME), self.day)


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines")
    data = frame(1, 8_000)
    data.assign(y=0).to_csv(folder / "base.csv", index=False)
    for version in (1, 2):
        Baseline.fit(data, version=str(version)).save(folder / f"{version}.npz")
    return folder


def crown(app: Application, baselines: Path, version: int) -> None:
    base, baseline = baselines / "base.csv", baselines / f"{version}.npz"
    record = ModelVersion(
        model="m", version=version, run_id="run", run_url="", model_uri="models:/none", artifact_sha256="",
        baseline_path=str(baseline), baseline_sha256=sha256_file(baseline),
        data=(DataFile(f"{base}{version}", f"{version}", 8_000),), evaluations=(), trainer="random_forest",
    )  # fmt: skip
    app.store.add_version(record, START)
    kind = "train" if version == 1 else "retrain"
    pending = app.store.begin_promotion("m", version, kind, "test", START)
    app.store.finish_promotion(pending.id, START)


@pytest.fixture
def world(tmp_path: Path, baselines: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(more: str = "") -> World:
        folder = tmp_path / f"w{len(made)}"
        (folder / "inbox").mkdir(parents=True)
        (folder / FILE_NAME).write_text(CONFIGURATION + more + ALONE, encoding="utf-8")
        made.append(World(folder, Application.load(folder / FILE_NAME)))
        crown(made[-1].app, baselines, 1)
        return made[-1]

    yield make
    for one in made:
        one.app.close()


def creep_on(world: World, days: int = 9) -> list[Batch]:
    """Five calm days, then `amount` is off by a quarter of a standard deviation."""
    for seed in range(100, 105):
        assert world.check(seed).verdict == "stable"
    return [world.check(200 + k, amount=0.25) for k in range(days)]


def test_what_no_batch_shows_alone_is_a_warning_together(world) -> None:
    batches = creep_on(world())
    verdicts = [b.verdict for b in batches]
    assert verdicts[:2] == ["stable", "stable"], "fewer than three batches are no creep"
    assert "warning" in verdicts[2:5]
    first = verdicts.index("warning")
    assert verdicts[first:] == ["warning"] * (len(verdicts) - first), "it lasts as long as the creep"
    report = batches[first].report
    assert (report.verdict, report.recommendation, report.creeping) == ("warning", "investigate", ("amount",))
    assert not report.drifted, "no feature drifted by itself"
    (note,) = report.notes
    assert note == (
        '"amount": creeping since the batch of 2026-11-19 (day05-200.csv): each batch alone was below the '
        "threshold, together they are not"
    )


def test_without_drift_there_is_no_creep(world) -> None:
    calm = world()
    assert [calm.check(seed).verdict for seed in range(300, 320)] == ["stable"] * 20


def test_what_is_over_is_stable_again(world) -> None:
    one = world()
    assert creep_on(one, 6)[-1].verdict == "warning"
    after = [one.check(400 + k).verdict for k in range(4)]
    assert after[-1] == "stable"


def test_a_second_look_says_the_same_and_later_batches_change_nothing(world) -> None:
    one = world()
    batches = creep_on(one)
    store, model = one.app.store, one.app.config.model("m")
    for batch in batches:
        assert one.again(Path(batch.path)) == batch
        plain = batch.report
        if plain.creeping:  # as it was judged by itself
            calm = type(plain).from_dict(
                {
                    **plain.to_dict(),
                    "verdict": "stable",
                    "recommendation": "none",
                    "notes": (),
                    "creeping": (),
                }
            )
            assert with_creep(calm, store.checks_before(batch.id), model) == plain
        assert all(past.batch_id < batch.id for past in store.checks_before(batch.id))


def test_a_batch_that_was_checked_late_is_judged_by_what_was_before_it(world) -> None:
    """Its check failed for a fault of ours and is repeated after all others: those are not looked at."""
    one = world()
    for seed in range(100, 105):
        one.check(seed)
    path = one.folder / "inbox" / "late.csv"
    frame(999, amount=0.25).to_csv(path, index=False)
    store, model = one.app.store, one.app.config.model("m")
    claim = store.claim_batch("m", sha256_file(path), str(path), "1", model.policy_sha, START)
    store.fail_batch(claim.batch.id, "internal", "power cut", START)
    assert [one.check(200 + k, amount=0.25) for k in range(6)][-1].verdict == "warning"
    late = one.again(path)
    assert (late.id, late.verdict) == (claim.batch.id, "stable")


def test_another_version_and_another_policy_start_anew(world, baselines) -> None:
    one = world()
    last = creep_on(one)[-1]
    crown(one.app, baselines, 2)
    fresh = one.check(500, amount=0.25)
    assert (fresh.baseline_version, fresh.verdict) == ("2", "stable")
    assert one.app.store.checks_before(fresh.id) == ()
    other = one.reload(CONFIGURATION + "alpha = 0.005\n" + ALONE)
    assert other.check(501, amount=0.25).verdict == "stable"
    other.app.close()
    assert last.verdict == "warning"


@pytest.mark.parametrize("line", ["creep = false\n", 'policy = "classic"\n'])
def test_it_can_be_switched_off_and_classic_has_none(world, line: str) -> None:
    assert {b.verdict for b in creep_on(world(line))} == {"stable"}


def test_the_switch_belongs_to_the_policy(world) -> None:
    on, off = (world(line).app.config.model("m") for line in ("", "creep = false\n"))
    assert on.creep and on.policy_sha != off.policy_sha


def test_drift_that_was_said_already_is_no_creep_afterwards(world) -> None:
    one = world()
    for k in range(4):
        assert one.check(600 + k, amount=1.0).verdict == "drift"
    after = [one.check(700 + k, amount=0.25).verdict for k in range(2)]
    assert after == ["stable", "stable"], "the batches that drifted by themselves do not count"


def test_two_features_are_named_with_the_batch_each_began_with(world) -> None:
    one = world()
    creep_on(one, 4)
    for k in range(6):
        last = one.check(820 + k, amount=0.22, age=-0.27)
    assert set(last.report.creeping) == {"amount", "age"}
    assert [note.split(" (")[0] for note in last.report.notes] == [
        '"amount": creeping since the batch of 2026-11-19',
        '"age": creeping since the batch of 2026-11-23',
    ]


def test_the_history_keeps_to_its_limit_and_its_order(world) -> None:
    one = world()
    ids = [one.check(900 + k).id for k in range(5)]
    before = one.app.store.checks_before(ids[-1], limit=3)
    assert [past.batch_id for past in before] == ids[1:4]
    stored = one.app.store.batch(ids[3]).report
    assert before[-1].scores == {(f.feature, f.detector): (f.p_value, f.effect) for f in stored.features}
    assert before[-1].checked_at == START + timedelta(days=3)


def test_a_creep_opens_an_incident(world) -> None:
    one = world()
    model = one.app.config.model("m")
    for k in range(8):
        frame(200 + k, amount=0.25).to_csv(model.inbox / f"{k}.csv", index=False)
        one.app.monitoring.scan(model, Inbox(model.inbox, settle=0))
    assert one.app.store.open_incident_of("m") is not None
    said = set()
    while due := one.app.store.due(datetime.now(UTC), 100):
        said |= {item.kind for item in due}
        for item in due:
            one.app.store.delivered(item.id, datetime.now(UTC))
    assert said == {"incident", "details"}
