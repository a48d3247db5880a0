"""APScheduler: each model's scan on its schedule and at start-up, housekeeping, and what MLflow is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bot.config import Config
from bot.times import interval_or_cron

log = logging.getLogger(__name__)


def build(
    config: Config,
    scan: Callable[[str], None],
    housekeep: Callable[[], None],
    track: Callable[[], None] = lambda: None,
) -> BackgroundScheduler:
    """A scheduler that is not started yet. Jobs live in memory: the state file is the only truth.

    `misfire_grace_time=None`: after a busy moment a scan runs late instead of being dropped.
    """
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(4)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for model in config.models:
        when = interval_or_cron(model.schedule)
        if isinstance(when, timedelta):
            trigger = IntervalTrigger(seconds=int(when.total_seconds()), timezone=UTC)
        else:
            trigger = CronTrigger.from_crontab(when, timezone=UTC)
        scheduler.add_job(
            scan, trigger, args=[model.name], id=f"scan:{model.name}", next_run_time=datetime.now(UTC)
        )
    scheduler.add_job(housekeep, IntervalTrigger(seconds=5, timezone=UTC), id="housekeeping")
    scheduler.add_job(track, IntervalTrigger(seconds=30, timezone=UTC), id="tracking")
    scheduler.add_listener(_report, EVENT_JOB_ERROR)
    return scheduler


def _report(event: JobExecutionEvent) -> None:
    log.error("%s failed; it runs again on schedule: %s", event.job_id, event.exception)
