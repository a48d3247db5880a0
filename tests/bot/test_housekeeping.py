"""What the running bot does every few seconds: old checks are rolled up where that is configured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.bootstrap import Bot, Secrets
from bot.monitoring import Monitoring
from detectors.report import DriftReport
from state.rollup import IN_FULL, ROLLED_UP
from tests.bot.conftest import Ran, Watched

LONG_AGO = datetime.now(UTC) - timedelta(days=40)


def housekeep(watched: Watched) -> None:
    """As the scheduler calls it; there is no Slack here that could be told."""
    bot = Bot(watched.app, Secrets("", "", ""))
    bot._wake = lambda: None  # type: ignore[method-assign]
    bot._housekeep()


def old_check(watched: Watched, traffic: Any) -> int:
    """A drifted batch that was checked long ago, and newer ones."""
    then = Monitoring(watched.app.config, watched.app.store, lambda: LONG_AGO)
    batch = then.check(watched.model, traffic.drifted).batch
    report = DriftReport("stable", "none", 0.01, 9, (), baseline_version="1")
    for number in range(IN_FULL):
        claim = watched.app.store.claim_batch("netflow", str(number), "/n.csv", "1", "p", LONG_AGO)
        watched.app.store.save_report(claim.batch.id, report, b"profile", LONG_AGO)
    return batch.id


def test_nothing_is_rolled_up_unless_somebody_asks_for_it(watched: Watched, traffic: Any) -> None:
    batch_id = old_check(watched, traffic)
    before = watched.app.store.batch(batch_id)
    housekeep(watched)
    assert watched.app.store.batch(batch_id) == before
    assert watched.app.store.profile(batch_id)


def test_a_rolled_up_check_still_says_what_was_found(
    watch: Callable[..., Watched], traffic: Any, run: Callable[..., Ran]
) -> None:
    watched = watch('[history]\nroll_up_after = "30d"\n')
    batch_id = old_check(watched, traffic)
    before = watched.app.store.batch(batch_id).report
    housekeep(watched)
    after = watched.app.store.batch(batch_id).report
    assert watched.app.store.profile(batch_id) is None
    assert (after.verdict, after.overall_psi, after.rows) == (before.verdict, before.overall_psi, before.rows)
    assert [(f.feature, f.effect) for f in after.drifted] == [(f.feature, f.effect) for f in before.drifted]
    again = run(watched.folder, "check", traffic.drifted)
    assert again.code == 1
    assert ROLLED_UP in again.out
    assert before.drifted[0].feature in again.out


@pytest.mark.parametrize("days", ["29d", "41d"])
def test_only_what_is_old_enough_is_rolled_up(watch: Callable[..., Watched], traffic: Any, days: str) -> None:
    watched = watch(f'[history]\nroll_up_after = "{days}"\n')
    batch_id = old_check(watched, traffic)
    housekeep(watched)
    assert (watched.app.store.profile(batch_id) is None) == (days == "29d")
