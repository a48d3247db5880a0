"""What MLflow is told of checks and evaluations: kept with the result, logged afterwards, never waited for.

A check puts what is to be logged into the state file, in the transaction of its result. Somebody else takes it from
there: the running bot, or `driftcatcher mlflow --sync`. A store that is away delays it; the newest 10,000
entries of a model wait.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bot.config import Config
from bot.times import utc_now
from detectors.report import DriftReport
from state.lock import LockedError, OwnerLock
from state.records import Batch, PerformanceRecord, Promotion, ToLog, TrackingRun
from state.store import Store
from trainers.base import DataFile, ModelRegistry, TrainingError

if TYPE_CHECKING:
    from trainers.tracking import Entry, Logged, Tracking

log = logging.getLogger(__name__)

VERDICTS = {"stable": 0, "warning": 1, "drift": 2, "insufficient_data": -1, "broken_feed": -2}
FEATURES = 50  # lines of single features in the chart of a version; of more features, the worst 20
WORST = 20
AT_ONCE = 100  # entries of one flush
PROBE = 3.0  # seconds for a server to take a connection
FAILURES = 3  # in a row: the store is taken to be away
PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=6)
_CREDENTIALS = re.compile(r"//[^/@]*@")


def of_check(
    batch: Batch, report: DriftReport, *, own_run: bool, more: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """What is logged of a check, in JSON types; `more` are further values of the same step."""
    psi = {f.feature: f.statistic for f in report.features if f.detector == "psi"}
    shown = psi if len(psi) <= FEATURES else dict(sorted(psi.items(), key=lambda kv: -kv[1])[:WORST])
    p_values = [f.p_value for f in report.features if f.p_value is not None]
    estimate = report.estimate
    steps: dict[str, float | None] = {
        "rows": report.rows,
        "verdict": VERDICTS[report.verdict],
        "batch": batch.id,
        "psi.mean": report.overall_psi,
        "psi.max": max(psi.values(), default=None),
        "p.min": min(p_values, default=None),
        "features.drifted": len({f.feature for f in report.drifted}),
        "estimated.accuracy": estimate.accuracy if estimate else None,
        **{f"psi/{feature}": value for feature, value in shown.items()},
        **(more or {}),
    }
    payload: dict[str, Any] = {
        "key": f"check {batch.id} {batch.checked_at:%Y%m%d%H%M%S%f}",
        "steps": _numbers(steps),
    }
    if own_run:
        every = {f"{f.detector}/{f.feature}": f.statistic for f in report.features}
        payload |= {
            "name": f"check {Path(batch.path).name}",
            "metrics": _numbers(every),
            "params": {
                "file": Path(batch.path).name,
                "path": batch.path,
                "sha256": batch.sha256,
                "version": batch.baseline_version,
                "policy": report.policy,
                "policy_sha256": batch.policy_sha,
            },
            "tags": {
                "driftcatcher.verdict": report.verdict,
                "driftcatcher.recommendation": report.recommendation,
                "driftcatcher.batch": str(batch.id),
            },
            "data": {"path": batch.path, "sha256": batch.sha256, "rows": report.rows},
            "batch": batch.id,
        }
    return payload


def of_performance(
    record: PerformanceRecord, version: str, *, own_run: bool, steps: bool = True
) -> dict[str, Any]:
    """What is logged of an evaluation; with `own_run`, the run of its own that could not be logged at once."""
    numbers = _numbers(dict(record.metrics))
    payload: dict[str, Any] = {
        "key": f"performance {record.id}",
        "steps": {f"performance/{name}": value for name, value in numbers.items()} if steps else {},
        "performance": record.id,
    }
    if own_run:
        payload |= {
            "name": f"performance {Path(record.path).name}",
            "metrics": numbers,
            "params": {
                "file": Path(record.path).name,
                "sha256": record.sha256,
                "champion_version": version,
            },
            "tags": {"driftcatcher.case": record.case},
        }
    return payload


def of_move(move: Promotion, why: str) -> dict[str, Any]:
    """Who moved the champion, when and why: tags of the versions it is about."""
    said = f"by {move.by} at {move.at:%Y-%m-%d %H:%M} UTC" + (f": {why}" if why else "")
    if move.kind != "roll_back":
        return {"key": f"move {move.id}", "tags": {str(move.version): {"driftcatcher.promoted": said}}}
    tags = {str(move.version): {"driftcatcher.restored": said}}
    if move.previous is not None:
        tags[str(move.previous)] = {"driftcatcher.rolled_back": said}
    return {"key": f"move {move.id}", "tags": tags}


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are numbers: JSON has no NaN."""
    return {
        name: float(value)
        for name, value in values.items()
        if value is not None and abs(value) < float("inf")  # NaN is not
    }


def place_of(config: Config) -> str:
    """Which tracking store it is, for the runs that are remembered; without credentials."""
    return _CREDENTIALS.sub("//", config.mlflow.tracking_uri)


def unreachable(uri: str) -> str:
    """Why a tracking server takes no connection; empty where it does, or where that cannot be told from here.

    It cannot of a store that is no server, and of one that is reached by a proxy.
    """
    from urllib.request import getproxies, proxy_bypass  # late: brings half of the network along

    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    if parts.scheme in getproxies() and not proxy_bypass(parts.hostname):
        return ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=PROBE).close()
    except OSError as error:
        what = error.strerror or str(error) or type(error).__name__
        return f"MLflow ({_CREDENTIALS.sub('//', uri)}) refused or failed: {what}"
    return ""


@dataclass(frozen=True, slots=True)
class Flushed:
    """What became of a flush: entries that were logged, those that still wait, and why they do."""

    logged: int = 0
    waiting: int = 0
    error: str = ""


@dataclass(slots=True)
class Flusher:
    """Takes what waits to MLflow, oldest first; one at a time for a state file.

    `registry` is made when there is something to log: it loads MLflow. `pictures` draws those of a batch.
    """

    config: Config
    store: Store
    registry: Callable[[], ModelRegistry]
    pictures: Callable[[Batch], Mapping[str, bytes]] | None = None
    now: Callable[[], datetime] = utc_now
    _tracking: Tracking | None = field(default=None, init=False)

    def flush(
        self, *, stop: Callable[[], bool] = lambda: False, limit: int = AT_ONCE, all_now: bool = False
    ) -> Flushed:
        """Log up to `limit` entries; `all_now` also tries those that were to wait after a failure."""
        entries = self.store.to_log(None if all_now else self.now(), limit)
        if not entries:
            return Flushed(waiting=self.store.waiting_to_log())
        lock = OwnerLock(self.config.state_path.with_suffix(".tracking"))
        try:
            lock.acquire()
        except LockedError:
            return Flushed(
                waiting=self.store.waiting_to_log(), error="another process logs them at this moment"
            )
        try:
            logged, error = self._flush(self.store.to_log(None if all_now else self.now(), limit), stop)
        finally:
            lock.release()
        return Flushed(logged, self.store.waiting_to_log(), error)

    def _flush(self, entries: tuple[ToLog, ...], stop: Callable[[], bool]) -> tuple[int, str]:
        if reason := unreachable(self.config.mlflow.tracking_uri):
            return 0, reason
        logged, failed, error = 0, 0, ""
        for entry in entries:
            if stop() or failed == FAILURES:
                break
            self.store.logging_begins(entry.id)
            try:
                self._log(entry)
                logged, failed = logged + 1, 0
            except Exception as failure:
                if not isinstance(failure, TrainingError):
                    log.exception("%s %s of %s is not logged", entry.kind, entry.step, entry.model)
                error, failed = str(failure) or type(failure).__name__, failed + 1
                pause = min(PAUSE * 2 ** min(entry.attempts, 20), LONGEST_PAUSE)
                self.store.log_later(entry.id, self.now() + pause, error)
        return logged, error

    def _log(self, entry: ToLog) -> None:
        if entry.kind in ("move", "shadow"):  # tags of versions
            self._to_store().tag_versions(entry.model, entry.payload["tags"])
            self.store.logged(entry.id)
            return
        place = place_of(self.config)
        known = self.store.tracking_run(place, entry.model, entry.version)
        told = self._to_mlflow(entry, known)
        run = TrackingRun(told.run_id, told.run_url)
        with self.store.together():
            if run != known:
                self.store.remember_tracking_run(place, entry.model, entry.version, run, self.now())
            if told.own_url and "performance" in entry.payload:
                self.store.set_run_url(int(entry.payload["performance"]), told.own_url)
            self.store.logged(entry.id)

    def _to_mlflow(self, entry: ToLog, known: TrackingRun | None) -> Logged:
        made = self._entry(entry)
        return self._to_store().log(made, None if known is None else known.run_id, again=entry.attempts > 0)

    def _to_store(self) -> Tracking:
        from trainers.mlflow_registry import MlflowRegistry
        from trainers.tracking import Tracking

        if self._tracking is None:
            registry = self.registry()
            if not isinstance(registry, MlflowRegistry):
                raise TrainingError(f"{type(registry).__name__} keeps no checks")
            self._tracking = Tracking(registry)
        return self._tracking

    def _entry(self, entry: ToLog) -> Entry:
        from trainers.tracking import Entry

        payload = entry.payload
        data = payload.get("data")
        shared = (
            payload.get("steps", {}) if entry.kind == "check" else {}
        )  # an evaluation names them otherwise
        return Entry(
            key=str(payload["key"]),
            kind=entry.kind,
            model=entry.model,
            version=entry.version,
            name=str(payload.get("name", "")),
            at=entry.at,
            step=entry.step,
            steps=payload.get("steps", {}),
            metrics={**shared, **payload.get("metrics", {})},
            params=payload.get("params", {}),
            tags=payload.get("tags", {}),
            data=None if data is None else DataFile(**data),
            pictures=self._pictures(payload),
        )

    def _pictures(self, payload: Mapping[str, Any]) -> Mapping[str, bytes]:
        """Of a batch that drifted; what cannot be drawn is left out."""
        if self.pictures is None or "batch" not in payload:
            return {}
        try:
            return self.pictures(self.store.batch(int(payload["batch"])))
        except Exception:
            log.exception("batch %s is logged without pictures", payload["batch"])
            return {}
