"""What `/drift status`, the App Home and `driftcatcher status` show of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.config import ModelSection
from bot.estimates import EstimateRecord, comparable, estimates
from bot.labelling import unusable, waiting
from bot.shadow_text import as_dict as shadow_as_dict
from state.records import Batch, Decision, HistoryPoint, Incident, PerformanceRecord, Retrain, Shadow, Trained
from state.store import Store

COMPARED = 50  # batches whose estimates are held against their labels, the newest


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model as the state file knows it.

    Attributes:
        model: name in the configuration.
        champion_version / champion_since: the version in use, None before the first training.
        last_batch: the newest checked or failed batch.
        open_incident: the newest incident that is not closed.
        alert_cooldown_until / retrain_cooldown_until / silence_until: in the future, or None.
        counters: batches, alerts, retrains, promotions, rollbacks, failed, dismissed.
        history: the last checks.
        labelled_waiting: labelled files that no version has learned from yet.
        to_hand_over: what of the serving side does not have the champion yet, "folder" or "webhook".
        running: the retrain that is queued or running.
        shadow: the shadow period of the retrain that waits for its decision.
        last_performance: the newest evaluation of labelled predictions.
        decisions: the newest lines of the audit log.
        unusable: files in the labelled folder that nothing can be learned from, with the reason.
        estimates: how good the estimates without labels have been; None before labels came for one.
        waiting_for_mlflow: results that it has not got yet.
    """

    model: str
    champion_version: int | None = None
    champion_since: datetime | None = None
    last_batch: Batch | None = None
    open_incident: Incident | None = None
    alert_cooldown_until: datetime | None = None
    retrain_cooldown_until: datetime | None = None
    silence_until: datetime | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    history: tuple[HistoryPoint, ...] = ()
    labelled_waiting: int = 0
    to_hand_over: tuple[str, ...] = ()
    running: Retrain | None = None
    shadow: Shadow | None = None
    last_performance: PerformanceRecord | None = None
    decisions: tuple[Decision, ...] = ()
    unusable: tuple[str, ...] = ()
    estimates: EstimateRecord | None = None
    waiting_for_mlflow: int = 0


def read(
    model: ModelSection, store: Store, now: datetime, points: int = 12, *, look: bool = False
) -> ModelStatus:
    """The status of one model from the state file: neither MLflow nor a batch is touched.

    Labelled files are counted that this process has looked at before; `look` reads new ones too, which takes
    time: for the command line, not for an answer in Slack.
    """
    champion = store.champion(model.name)
    silence = store.silence(model.name, now)
    retrains = store.retrains(model.name, 5)
    return ModelStatus(
        model=model.name,
        champion_version=champion.record.version if champion else None,
        champion_since=_in_use_since(store, champion) if champion else None,
        last_batch=store.last_batch(model.name),
        open_incident=store.open_incident_of(model.name),
        alert_cooldown_until=_future(store.last_alert_at(model.name), model.alert_cooldown, now),
        retrain_cooldown_until=_future(store.last_retrain_at(model.name), model.retrain_cooldown, now),
        silence_until=silence.until if silence else None,
        counters=store.counters(model.name),
        history=store.history(model.name, points),
        labelled_waiting=len(waiting(model, store, read=look)),
        to_hand_over=tuple(end.kind for end in store.to_hand_over(model.name)),
        running=next((r for r in retrains if r.state in ("queued", "running")), None),
        shadow=store.shadow_under_way(model.name),
        last_performance=store.last_performance(model.name),
        decisions=tuple(store.decisions(model.name, 5)),
        unusable=tuple(f"{file.path.name}: {file.error}" for file in unusable(model)),
        estimates=_estimates(model.name, store),
        waiting_for_mlflow=store.waiting_to_log(model.name),
    )


def _estimates(model: str, store: Store) -> EstimateRecord | None:
    records = comparable(store.performances(model)).values()
    newest = list(records)[:COMPARED]
    return estimates(newest, {r.batch_id: store.batch(r.batch_id).report for r in newest if r.batch_id})


_COUNTED = {
    "batches": ("batch", "batches"),
    "failed": ("file that could not be checked", "files that could not be checked"),
    "alerts": ("alert", "alerts"),
    "dismissed": ("false alarm", "false alarms"),
    "retrains": ("retrain", "retrains"),
    "retrains_failed": ("failed retrain", "failed retrains"),
    "promotions": ("promotion", "promotions"),
    "rollbacks": ("rollback", "rollbacks"),
}


def counted(counters: Mapping[str, int]) -> str:
    """The counters in words, those that are not zero: "12 batches, 1 alert"; empty where all are."""
    happened = ((counters.get(name, 0), *words) for name, words in _COUNTED.items())
    return ", ".join(f"{times:,} {one if times == 1 else many}" for times, one, many in happened if times)


def _in_use_since(store: Store, champion: Trained) -> datetime:
    """When it came into use for the last time, by a promotion or a roll-back: not when it was trained."""
    record = champion.record
    moves = (
        m.at for m, _ in store.promotions_of(record.model, record.version) if m.version == record.version
    )
    return max(moves, default=champion.created_at)


def _future(since: datetime | None, cooldown: timedelta, now: datetime) -> datetime | None:
    return since + cooldown if since is not None and now < since + cooldown else None


def as_dict(status: ModelStatus) -> dict[str, Any]:
    """The status as JSON types: times in ISO 8601, UTC; the last batch without its long list of features."""
    batch, incident, running = status.last_batch, status.open_incident, status.running
    performance = status.last_performance
    return {
        "model": status.model,
        "champion_version": status.champion_version,
        "champion_since": _iso(status.champion_since),
        "last_check": None
        if batch is None
        else {
            "path": batch.path,
            "sha256": batch.sha256,
            "state": batch.state,
            "rows": batch.rows,
            "verdict": batch.verdict,
            "overall_psi": batch.overall_psi,
            "checked_at": _iso(batch.checked_at),
            "error": batch.error,
        },
        "open_incident": None
        if incident is None
        else {
            "id": incident.id,
            "state": incident.state,
            "batches": incident.batches,
            "opened_at": _iso(incident.opened_at),
        },
        "retrain": None
        if running is None
        else {"id": running.id, "state": running.state, "approved_by": running.approved_by},
        "shadow": None if status.shadow is None else shadow_as_dict(status.shadow),
        "alert_cooldown_until": _iso(status.alert_cooldown_until),
        "retrain_cooldown_until": _iso(status.retrain_cooldown_until),
        "snoozed_until": _iso(status.silence_until),
        "labelled_files_waiting": status.labelled_waiting,
        "to_hand_over": list(status.to_hand_over),
        "last_performance": None
        if performance is None
        else {
            "path": performance.path,
            "at": _iso(performance.at),
            "metrics": dict(performance.metrics),
            "breaches": list(performance.breaches),
            "case": performance.case,
            "batch_id": performance.batch_id,
        },
        "estimates": None if status.estimates is None else asdict(status.estimates),
        "waiting_for_mlflow": status.waiting_for_mlflow,
        "counters": dict(status.counters),
        "labelled_files_unusable": list(status.unusable),
        "decisions": [{**asdict(decision), "at": _iso(decision.at)} for decision in status.decisions],
        "history": [{**asdict(point), "at": _iso(point.at)} for point in status.history],
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
