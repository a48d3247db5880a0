"""Durations and schedules as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def utc_now() -> datetime:
    """The present, timezone-aware."""
    return datetime.now(UTC)


def parse_duration(value: object) -> timedelta:
    """'90s', '30m', '6h' or '7d' as a timedelta; ValueError says what would be right."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"\s*(\d+)\s*([smhd])\s*", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a duration such as "30m", "6h" or "7d"')
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError("is longer than any calendar") from None


def interval_or_cron(text: str) -> timedelta | str:
    """A schedule: a duration ("1h") or five cron fields ("0 7 * * 1-5", UTC); ValueError says what is wrong.

    A cron line comes back with its days of the week as names.
    """
    fields = text.split()
    if len(fields) == 5:
        from apscheduler.triggers.cron import CronTrigger

        named = " ".join([*fields[:4], _weekdays(fields[4])])
        CronTrigger.from_crontab(named)
        return named
    try:
        interval = parse_duration(text)
    except ValueError:
        raise ValueError('must be a duration such as "1h" or five cron fields such as "0 7 * * *"') from None
    if interval < timedelta(seconds=1):
        raise ValueError("must be at least one second")
    return interval


def _weekdays(field: str) -> str:
    """Numbers as names: cron counts days from Sunday (0 or 7), APScheduler counts its numbers from Monday."""
    days: list[str] = []
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0-6" if span == "*" and step else span).partition("-")
        if not ((last or first).isdecimal() and first.isdecimal() and (step or "1").isdecimal()):
            days.append(part)  # *, mon, mon-fri; what is none of these the library refuses
            continue
        chosen = range(int(first), int(last or (7 if step else first)) + 1, max(int(step or 1), 1))
        if not chosen or chosen[-1] > 7:
            raise ValueError(f'"{part}" is no day of the week: 0 to 7 (0 and 7 are Sunday), or sun to sat')
        days += [_DAYS[number] for number in chosen]
    return ",".join(dict.fromkeys(days))
