"""Durations and schedules: what fires when, against the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger

from bot.times import interval_or_cron, parse_duration

SUNDAY = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), (" 6h ", 21600), ("7d", 604800)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "6", "6 parsecs", "-1h", "1.5h", 6, None])
def test_anything_else_is_told_what_would_be_right(text: object) -> None:
    with pytest.raises(ValueError, match='such as "30m", "6h" or "7d"'):
        parse_duration(text)


@pytest.mark.parametrize(("field", "days"), [
    ("1-5", "Mon Tue Wed Thu Fri"), ("0", "Sun"), ("7", "Sun"), ("6,0", "Sun Sat"), ("5-7", "Sun Fri Sat"),
    ("*/2", "Sun Tue Thu Sat"), ("mon-fri", "Mon Tue Wed Thu Fri"), ("*", "Sun Mon Tue Wed Thu Fri Sat"),
])  # fmt: skip
def test_cron_counts_weekdays_from_sunday(field: str, days: str) -> None:
    schedule = interval_or_cron(f"0 7 * * {field}")
    assert isinstance(schedule, str)
    trigger = CronTrigger.from_crontab(schedule, timezone=UTC)
    fired, moment = [], SUNDAY
    while (next_time := trigger.get_next_fire_time(None, moment)) and next_time < SUNDAY + timedelta(days=7):
        fired.append(f"{next_time:%a}")
        moment = next_time + timedelta(minutes=1)
    assert fired == days.split()


@pytest.mark.parametrize("text", ["0 7 * * 8", "0 7 * * 6-2", "61 * * * *", "often", "0s", "* * *"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        interval_or_cron(text)
