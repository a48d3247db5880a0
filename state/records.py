"""What the state file remembers, as frozen types, and the transitions that are allowed.

Times are UTC, timezone-aware. Ids are SQLite row ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from detectors.disagreement import Disagreement, together
from detectors.metrics import Interval
from detectors.report import DriftReport
from trainers.base import DataFile, ModelVersion, RetrainOutcome

BatchState = Literal["checking", "checked", "failed"]
IncidentState = Literal["open", "retraining", "decision", "resolved", "dismissed"]
RetrainState = Literal[
    "queued", "running", "succeeded", "failed", "interrupted", "cancelled", "promoted", "kept", "rolled_back"
]

Truth = Literal["true_drift", "false_alarm"]

# From each state, the states that may follow. Everything else is refused by the store.
INCIDENT_TRANSITIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "open": frozenset({"retraining", "dismissed", "resolved"}),
        "retraining": frozenset({"decision", "open"}),  # back to open when the retrain fails
        "decision": frozenset(
            {"resolved", "open"}
        ),  # promoted; or kept current, and the drift is still there
        "resolved": frozenset({"open"}),  # rolled back
        "dismissed": frozenset(),
    }
)
RETRAIN_TRANSITIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "queued": frozenset({"running", "interrupted", "failed", "cancelled"}),
        "running": frozenset({"succeeded", "failed", "interrupted", "cancelled"}),
        "succeeded": frozenset({"promoted", "kept"}),
        "promoted": frozenset({"rolled_back", "promoted"}),  # once more, when a roll-back has led past it
        "kept": frozenset({"promoted"}),
        "failed": frozenset(),
        "interrupted": frozenset(),
        "cancelled": frozenset(),
        "rolled_back": frozenset({"promoted"}),  # second thoughts
    }
)


# Kinds of a batch's error that are no fault of its file: it is tried again.
OURS = ("baseline", "state", "internal", "changed", "released", "away", "denied", "engine")
BOT = "DriftCatcher"  # who decided, where nobody did


class StateError(Exception):
    """A request that the state does not allow (unknown id, forbidden transition): the message says why."""


class AlreadyDecided(StateError):
    """Somebody was first.

    Attributes:
        who: the user that decided;  when: UTC.
        what: approved, cancelled, dismissed, resolved, trained, promoted, kept or rolled back.
    """

    def __init__(self, who: str, when: datetime, what: str) -> None:
        super().__init__(f"already {what} by {who} at {when:%Y-%m-%d %H:%M} UTC")
        self.who = who
        self.when = when
        self.what = what


class CoolingDown(StateError):
    """The last retrain of the model is too recent; from `until` on it may be approved again."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"the model was retrained recently: not again before {until:%Y-%m-%d %H:%M} UTC")
        self.until = until


@dataclass(frozen=True, slots=True)
class Batch:
    """One file checked once against one baseline under one policy.

    `report` is set when state is checked, `error` when failed (the file could not be read or measured).
    `reported`: it was decided what Slack is told of it (perhaps nothing), and that is in the outbox.
    `quarantine`: where its file lies while it is set aside.
    """

    id: int
    model: str
    sha256: str
    path: str
    baseline_version: str
    policy_sha: str
    state: BatchState
    claimed_at: datetime
    checked_at: datetime | None = None
    rows: int | None = None
    verdict: str | None = None
    overall_psi: float | None = None
    report: DriftReport | None = None
    error: str | None = None
    error_kind: str | None = None
    reported: bool = False
    quarantine: str | None = None


@dataclass(frozen=True, slots=True)
class PastCheck:
    """What an earlier check measured, without what it said about it.

    `scores`: (feature, detector) -> (p, effect), None where there is none; `drifted`: those that were drift.
    `baseline_version` is that of the report: a batch may have been found to fit an earlier version's data.
    """

    batch_id: int
    path: str
    checked_at: datetime
    verdict: str
    baseline_version: str
    scores: Mapping[tuple[str, str], tuple[float | None, float | None]]
    drifted: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Claim:
    """Answer to `claim_batch`: mine = do the check; running = another does; done = look at the batch."""

    kind: Literal["mine", "running", "done"]
    batch: Batch


@dataclass(frozen=True, slots=True)
class Incident:
    """One lasting drift of one model: one Slack message and its thread."""

    id: int
    model: str
    state: IncidentState
    opened_at: datetime
    batch_id: int  # the batch that opened it
    last_batch_id: int  # the newest batch that belongs to it
    batches: int  # how many batches belong to it
    channel: str
    ts: str | None = None  # of the Slack message, once posted
    closed_at: datetime | None = None
    closed_by: str | None = None
    spoke_at: datetime | None = None  # when it last said something new: an edit notifies nobody
    spoke_verdict: str | None = None  # and of which verdict


@dataclass(frozen=True, slots=True)
class Retrain:
    """A retrain that somebody approved; the row is its job."""

    id: int
    model: str
    state: RetrainState
    incident_id: int | None
    files: tuple[DataFile, ...]  # the new labelled files
    champion_version: int  # champion when it was approved
    approved_by: str
    approved_at: datetime
    forced: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: RetrainOutcome | None = None
    error: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    why: str = ""  # the approver's reason
    back_to: int | None = None  # rolled back: the version in use since
    job: str = ""  # its name in the registry; empty in older records
    shadow_batches: int = 0  # that its version scores beside the champion before somebody decides


@dataclass(frozen=True, slots=True)
class ByLabels:
    """Who was right on labelled rows of a batch.

    Attributes:
        rows: that have a label;  champion / challenger: on how many of them only this one is right. These are counts
            of rows as they were drawn, which may have been by the champion's doubts: they show no winner.
        gain: on how much more of the whole batch the challenger is right, from -1 to 1, by the rows' weights.
        interval: 95 % of that; both its ends are the gain where the whole batch has labels.
        neither: on how many the two differ and neither is right, which takes more than two classes.
    """

    rows: int
    champion: int
    challenger: int
    gain: float
    interval: Interval
    neither: int = 0


@dataclass(frozen=True, slots=True)
class ShadowedBatch:
    """A batch that both versions were to score: `found`, or `trouble` says why one of them could not."""

    batch_id: int
    path: str
    at: datetime
    found: Disagreement | None = None
    trouble: str = ""
    labels: ByLabels | None = None


@dataclass(frozen=True, slots=True)
class Shadow:
    """The shadow period of a retrain: its version scores the next batches beside the champion.

    Attributes:
        champion / challenger: the two versions.
        wanted: how many batches it is asked for;  batches: those that were scored, oldest first.
        waits: nobody has decided, and no other version or newer retrain has come in between.
    """

    retrain_id: int
    model: str
    incident_id: int | None
    champion: int
    challenger: int
    wanted: int
    waits: bool
    batches: tuple[ShadowedBatch, ...] = ()

    @property
    def complete(self) -> bool:
        return len(self.batches) >= self.wanted

    @property
    def running(self) -> bool:
        """Whether the next batch is scored too."""
        return self.waits and not self.complete

    @property
    def found(self) -> Disagreement | None:
        """All batches together; None where none could be scored."""
        return together(batch.found for batch in self.batches if batch.found is not None)

    @property
    def labelled(self) -> tuple[tuple[ShadowedBatch, ByLabels], ...]:
        """The batches of which rows have labels, with who was right on them."""
        return tuple((batch, batch.labels) for batch in self.batches if batch.labels is not None)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why batches could not be scored, one for each."""
        return tuple(batch.trouble for batch in self.batches if batch.trouble)


@dataclass(frozen=True, slots=True)
class Silence:
    """No new alert for the model until the time has passed."""

    id: int
    model: str
    until: datetime
    by: str
    incident_id: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the audit log: who did or was refused what, when, and why."""

    id: int
    at: datetime
    who: str
    what: str  # approve, refuse, snooze, dismiss, true_drift, promote, keep, roll_back, train, force ...
    model: str
    subject: str  # "incident 3", "retrain 2", "version 4"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one person said of an incident, or of a single batch: exactly one of the two is set."""

    id: int
    model: str
    verdict: Truth
    who: str
    at: datetime
    why: str = ""
    incident_id: int | None = None
    batch_id: int | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """A move of the champion that is under way or done: registry alias and baseline go together."""

    id: int
    model: str
    version: int
    previous: int | None
    kind: Literal["train", "promote", "roll_back"]
    by: str
    at: datetime
    done: bool = False
    retrain_id: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of a batch that were drawn to be labelled. The file as it was given out is kept with it.

    Attributes:
        name: as in the column dc_sample of the file; the same draw has the same name.
        batch_path / batch_sha256 / batch_rows: what it was drawn from.
        rows: drawn;  asked: how many were wanted;  pool: rows of the batch that were considered.
        strategy / seed: how;  arms: rows that each arm of the strategy has drawn.
        version: of the model that said where it is unsure.
        label: name of the empty column.
        by / at: who asked for it, and when.
        notes: what was done otherwise than asked, one sentence each.
    """

    name: str
    model: str
    batch_path: str
    batch_sha256: str
    batch_rows: int
    rows: int
    asked: int
    pool: int
    strategy: str
    seed: int
    arms: Mapping[str, int]
    version: int
    label: str
    by: str
    at: datetime
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LooseEnd:
    """What the registry must still be brought to; see `state.loose_ends`."""

    id: int
    model: str
    kind: Literal["leftovers", "alias", "folder", "webhook"]
    job: str  # of leftovers: the training's name in the registry
    since: datetime


@dataclass(frozen=True, slots=True)
class PerformanceRecord:
    """One evaluation of labelled predictions.

    Attributes:
        path: of the (first) predictions;  sha256: of what was evaluated.
        rows: predictions that have a label.
        metrics: all of them together, by name;  intervals: 95 %, of some of them.
        breaches: limits that are broken, one sentence each.
        batch_id: the checked batch of features that the predictions belong to.
        case: which of drift and harm there is (`detectors.diagnosis.Case`); empty in older records.
        details: what else was found, in JSON types; the keys are those of `bot.evaluating`.
    """

    id: int
    model: str
    path: str
    sha256: str
    at: datetime
    rows: int
    metrics: Mapping[str, float | None]
    breaches: tuple[str, ...]
    run_url: str = ""
    batch_id: int | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    case: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """Something to be said in Slack, delivered at least once and in order within its thread."""

    id: int
    kind: str  # incident, reply, plots, notice ...
    key: str  # the same key is stored once
    payload: Mapping[str, Any] = field(default_factory=dict)
    incident_id: int | None = None
    attempts: int = 0
    not_before: datetime | None = None
    last_error: str = ""
    started: bool = False  # an earlier delivery may or may not have reached Slack
    started_at: datetime | None = None  # when the first one began


@dataclass(frozen=True, slots=True)
class ToLog:
    """A result that MLflow has not got yet."""

    id: int
    kind: str  # check, performance, move (of the champion), shadow (a period that is complete)
    model: str
    version: str  # of the model, that it is about
    step: int  # the how-manieth of its kind and model
    at: datetime  # when the result came
    payload: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0  # earlier ones may or may not have reached the store
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class TrackingRun:
    """The long-lived MLflow run of a model's version; `url` is empty where no server is known."""

    run_id: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One checked batch in the drift history of a model."""

    at: datetime
    path: str
    rows: int
    verdict: str
    overall_psi: float | None
    worst: str  # "Flow Duration (PSI 0.83)" or empty


@dataclass(frozen=True, slots=True)
class Trained:
    """A version as the state file knows it."""

    record: ModelVersion
    created_at: datetime
    is_champion: bool
