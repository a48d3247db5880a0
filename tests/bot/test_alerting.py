"""When a verdict becomes an alert: silences and cool-downs, each with its reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.alerting import Notify, decide, notice, speaks_again
from state.records import Incident, Silence

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
SIX_HOURS = timedelta(hours=6)


def decided(verdict: Any = "drift", **changed: Any) -> Notify:
    given_facts: dict[str, Any] = {
        "alert_on": "warning",
        "incident": None,
        "silence": None,
        "last_alert": None,
        "cooldown": SIX_HOURS,
        "checked_at": NOW,
        "newest": True,
        "now": NOW,
    }
    return decide(verdict, **{**given_facts, **changed})


def incident(spoke_at: datetime | None = NOW, spoke_verdict: str | None = "drift") -> Incident:
    opened = NOW - timedelta(hours=9)
    return Incident(3, "m", "open", opened, 1, 1, 1, "C1", spoke_at=spoke_at, spoke_verdict=spoke_verdict)


@pytest.mark.parametrize("verdict", ["stable", "insufficient_data", "broken_feed"])
def test_other_verdicts_stay_quiet(verdict: str) -> None:
    assert decided(verdict) == Notify("quiet", f"the verdict is {verdict.replace('_', ' ')}")


@pytest.mark.parametrize(("verdict", "alert_on", "action"), [
    ("drift", "warning", "open"), ("warning", "warning", "open"),
    ("drift", "drift", "open"), ("warning", "drift", "quiet"),
])  # fmt: skip
def test_a_drift_opens_an_incident_and_moderate_drift_only_where_asked(
    verdict: str, alert_on: str, action: str
) -> None:
    assert decided(verdict, alert_on=alert_on).action == action


def test_an_open_incident_is_updated_even_during_cooldown_and_silence() -> None:
    silence = Silence(1, "m", NOW + timedelta(hours=1), "U1")
    said = decided(incident=incident(), silence=silence, last_alert=NOW - timedelta(minutes=1))
    assert said == Notify("update", "incident 3 is open")


def test_a_silence_says_until_when_and_by_whom() -> None:
    silence = Silence(1, "m", NOW + timedelta(hours=24), "U1")
    assert decided(silence=silence) == Notify("quiet", "snoozed until 2026-11-24 07:00 UTC by U1", later=True)


@given(st.integers(0, 100_000))
def test_the_cooldown_holds_for_exactly_its_length(seconds: int) -> None:
    said = decided(last_alert=NOW - timedelta(seconds=seconds))
    assert said.action == ("quiet" if seconds < 6 * 3600 else "open")


@pytest.mark.parametrize(("newest", "later"), [(True, True), (False, False)])
def test_what_the_cooldown_alone_holds_back_is_decided_again_while_it_is_the_newest(
    newest: bool, later: bool
) -> None:
    assert decided(last_alert=NOW - timedelta(hours=1), newest=newest).later is later
    silence = Silence(1, "m", NOW + timedelta(hours=1), "U1")
    assert decided(silence=silence, newest=newest).later is later


def test_after_the_cooldown_an_older_batch_that_it_held_back_stays_quiet() -> None:
    alert = NOW - timedelta(hours=7)
    held = {"last_alert": alert, "checked_at": alert + timedelta(hours=5)}
    assert decided(**held, newest=True).action == "open"
    assert decided(**held, newest=False).action == "quiet"
    assert decided(last_alert=alert, checked_at=alert + SIX_HOURS, newest=False).action == "open"
    assert decided(last_alert=None, checked_at=alert, newest=False).action == "open", "nothing held it back"


@given(st.integers(0, 100_000))
def test_a_lasting_incident_speaks_once_a_cooldown(seconds: int) -> None:
    spoke = incident(NOW - timedelta(seconds=seconds))
    said = speaks_again("drift", spoke, silence=None, cooldown=SIX_HOURS, now=NOW)
    assert said is (seconds >= 6 * 3600)


@pytest.mark.parametrize(("before", "verdict", "says"), [
    ("warning", "drift", True), ("warning", "warning", False),
    ("drift", "drift", False), ("drift", "warning", False),
])  # fmt: skip
def test_an_incident_that_got_worse_speaks_at_once_unless_snoozed(
    before: str, verdict: Any, says: bool
) -> None:
    spoke, silence = incident(NOW, before), Silence(1, "m", NOW + SIX_HOURS, "U1")
    assert speaks_again(verdict, spoke, silence=None, cooldown=SIX_HOURS, now=NOW) is says
    assert not speaks_again(verdict, spoke, silence=silence, cooldown=SIX_HOURS, now=NOW + 2 * SIX_HOURS)


@given(st.integers(0, 100_000))
def test_notices_obey_a_cooldown_of_their_own(seconds: int) -> None:
    last = NOW - timedelta(seconds=seconds)
    said = notice("the feed is broken", last_said=last, cooldown=SIX_HOURS, now=NOW)
    assert said.action == ("quiet" if seconds < 6 * 3600 else "alert")
    assert "the feed is broken" in said.reason
