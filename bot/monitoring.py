"""Journey 1: a batch is claimed, checked, remembered, and perhaps said in Slack."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import alerting, tracking
from bot.config import Config, ModelSection
from bot.creep import with_creep
from bot.identity import Identity
from bot.inbox import Inbox, InboxFile, Unreadable
from bot.isolation import contained
from bot.labelling import waiting
from bot.listing import Stamp, stamp_of
from bot.times import utc_now
from detectors.baseline import Baseline
from detectors.batch_profile import profile_batch
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.findings import only_joint
from detectors.location import Location, location
from detectors.objects import UNREACHED
from detectors.parts import Engine, here
from detectors.profile import Profile
from detectors.recommendation import recommend
from detectors.report import DriftReport
from detectors.source import Advance
from detectors.verdict import Scored, judge
from state.records import BOT, OURS, Batch, Claim, Incident, StateError, Trained
from state.store import Store
from trainers.base import TrainingError

if TYPE_CHECKING:
    from bot.shadowing import Beside

log = logging.getLogger(__name__)

REGIMES = 3  # versions of either kind that a drifted batch is compared with; each costs a reading of the file

CLEARLY = 4  # times less PSI: another regime fits clearly better
BASELINES = 8  # kept in memory
REPORTS = 20  # of one scan that are kept in memory
CALM = 3  # batches in a row that fit again close an open incident


class NotTrained(Exception):
    """A model without a champion has nothing to compare with."""


class BeingChecked(Exception):
    """Another process is checking the same file at this moment and did not finish in time."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch after its check: `fresh` is False when the same bytes had been checked before."""

    batch: Batch
    fresh: bool


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Checks batches of all models; safe in several threads and processes at once."""

    config: Config
    store: Store
    now: Callable[[], datetime] = utc_now
    engine: Engine = here

    def check(
        self,
        model: ModelSection,
        path: Location,
        *,
        progress: Advance | None = None,
        patience: float = 600,
        identity: Identity | None = None,
    ) -> Checked:
        """Check one file against the champion's baseline, once for the same bytes, baseline and policy.

        `patience` is how many seconds to wait for another process that is checking the same file; `identity` is that
        of the file, where it is being found out already.
        Raises NotTrained, BeingChecked, or DataError when the file cannot be used (which is remembered too).
        """
        champion = self.champion(model)
        digest, stamp = ("", None) if identity is None else (identity.digest(), identity.stamp)
        if identity is None or stamp_of(path) != stamp:  # it was written to since
            stamp = stamp_of(path)
            digest = sha256_file(path)
        claim = self._claim_or_wait(model, path, champion, digest, patience)
        if claim.kind != "mine":
            return Checked(self._up_to_date(model, _finished(claim.batch)), fresh=False)
        return Checked(self._measure(model, champion, claim.batch, progress, stamp), fresh=True)

    def failed(self, model: ModelSection, path: Location) -> Batch | None:
        """What is remembered of a file that could not be checked; None of one that is not there."""
        try:
            digest = sha256_file(path)
        except DataError as error:
            stamp = stamp_of(path)
            if stamp is None:
                return None
            return self._unreadable(model, Unreadable(path, stamp, error.message, error.kind))
        batch = self.store.seen(model.name, digest)
        return batch if batch is not None and batch.state == "failed" else None

    def champion(self, model: ModelSection) -> Trained:
        """The version that batches are compared with."""
        champion = self.store.champion(model.name)
        if champion is None:
            raise NotTrained(
                f'"{model.name}" has no trained version yet: run `driftcatcher train --model {model.name} '
                "--base-data FILE` first"
            )
        return champion

    def _claim(
        self, model: ModelSection, digest: str, path: Location, champion: Trained, *, retry_failed: bool
    ) -> Claim:
        return self.store.claim_batch(
            model.name,
            digest,
            str(path),
            str(champion.record.version),
            model.policy_sha,
            self.now(),
            pid=os.getpid(),
            retry_failed=retry_failed,
        )

    def _claim_or_wait(
        self, model: ModelSection, path: Location, champion: Trained, digest: str, patience: float
    ) -> Claim:
        """The claim, or what the process that has it finds; if that dies, the claim is taken over."""
        deadline = time.monotonic() + patience
        claim = self._claim(model, digest, path, champion, retry_failed=True)
        while claim.kind == "running" and (left := deadline - time.monotonic()) > 0:
            self.store.wait_for_batch(claim.batch.id, timeout=min(left, 2.0))
            claim = self._claim(model, digest, path, champion, retry_failed=False)
        return claim

    def _up_to_date(self, model: ModelSection, batch: Batch) -> Batch:
        """A stored check recommends by the labelled rows there are now, not by those there were then."""
        report = batch.report
        if report is None or report.verdict != "drift":
            return batch
        advice = recommend(
            report.verdict,
            model.judging(),
            self._labelled_rows(model),
            report.estimate,
            joint_only=only_joint(report.features),
        )
        return replace(batch, report=replace(report, recommendation=advice))

    def _labelled_rows(self, model: ModelSection) -> int:
        return sum(f.rows for f in waiting(model, self.store))

    def _measure(
        self,
        model: ModelSection,
        champion: Trained,
        batch: Batch,
        progress: Advance | None,
        stamp: Stamp | None,
    ) -> Batch:
        path = location(batch.path)
        try:
            report, profile = self._judged(model, champion, path, progress)
            if stamp_of(path) != stamp and path.exists() and sha256_file(path) != batch.sha256:
                raise DataError("changed", f"{path} was written to while it was read: check it again")
            if report.verdict == "stable":
                report = with_creep(report, self.store.checks_before(batch.id), model)
            return self._keep(batch, report, profile, self._beside(champion, batch, report, profile))
        except DataError as error:
            self.store.fail_batch(batch.id, error.kind, error.message, self.now())
            raise
        except BaseException as error:
            # Whatever happens, the claim must not stay open: the file would look as if it were being checked.
            kind = "state" if isinstance(error, StateError) else "internal"
            with suppress(StateError):  # another process took the claim over; our own error matters more
                self.store.fail_batch(batch.id, kind, f"{type(error).__name__}: {error}", self.now())
            raise

    def _beside(
        self, champion: Trained, batch: Batch, report: DriftReport, profile: Profile
    ) -> Beside | None:
        """What a challenger in its shadow period says of the batch too; nothing is loaded where there is none."""
        if report.verdict in ("broken_feed", "insufficient_data"):
            return None  # such a batch tells too little to use up one of the few
        if (shadow := self.store.shadow_for(batch)) is None:
            return None
        from bot.shadowing import score_beside

        return score_beside(self.store, shadow, champion, load_baseline(champion), profile)

    def _keep(self, batch: Batch, report: DriftReport, profile: Profile, beside: Beside | None) -> Batch:
        """The result and what MLflow is to be told of it, in one step; telling it is not this process's work."""
        logging_as = self.config.mlflow.log_checks
        with self.store.together():
            now = self.now()
            done = self.store.save_report(batch.id, report, profile.to_bytes(), now)
            more: Mapping[str, float] = {}
            if beside is not None:
                from bot.shadowing import keep_beside

                more = keep_beside(self.store, done, beside, now)
            if logging_as != "off":
                payload = tracking.of_check(done, report, own_run=logging_as == "runs", more=more)
                self.store.queue_run("check", done.model, done.baseline_version, payload, now)
        return done

    def _judged(
        self, model: ModelSection, champion: Trained, path: Location, progress: Advance | None
    ) -> tuple[DriftReport, Profile]:
        """The verdict against the champion's baseline; what fits an older regime it learned from is no drift.

        A retrain on old + new data mixes both in its baseline, and then traffic of the old kind alone would look
        drifted, although the model has learned from it. A version that the champion has not learned from may
        know such traffic better: then the report names it.
        """
        report, profile = self._against(model, champion, path, progress)
        if report.verdict not in ("warning", "drift") or model.policy == "classic":
            return report, profile
        for other, learned in self._others(champion):
            try:
                theirs, seen = self._against(model, other, path, None)
            except DataError as error:
                if error.kind == "engine":
                    raise  # the verdict must not depend on whether the workers are there
                log.warning("not compared with version %s: %s", other.record.version, error.message)
                continue
            if learned and theirs.verdict == "stable":
                mixed = f"version {champion.record.version}"
                note = (
                    f"fits the data of version {other.record.version}, which {mixed} has learned from too; "
                    f"compared with the mixed data of {mixed} alone it would be {report.verdict}"
                )
                return replace(theirs, notes=(*theirs.notes, note)), seen
            if not learned and (note := _fits_better(report, theirs, other)):
                return replace(report, notes=(*report.notes, note)), profile
        return report, profile

    def _against(
        self, model: ModelSection, version: Trained, path: Location, progress: Advance | None
    ) -> tuple[DriftReport, Profile]:
        baseline = load_baseline(version)
        profile = profile_batch(baseline, path, progress=progress, engine=self.engine)
        scored, trouble = score_batch(model, version, baseline, profile)
        with contained(model) as detectors:
            report = judge(
                baseline,
                profile,
                detectors=detectors,
                policy=model.judging(),
                labelled_rows=self._labelled_rows(model),
                scored=scored,
            )
        return replace(report, errors=(*report.errors, *trouble)), profile

    def _others(self, champion: Trained) -> list[tuple[Trained, bool]]:
        """Other versions, and whether the champion was trained on all of their data: those first, newest first."""
        record = champion.record
        known = {file.sha256 for file in record.data}
        others = [
            (v, v.record.version < record.version and {file.sha256 for file in v.record.data} <= known)
            for v in self.store.versions(record.model)
            if v.record.version != record.version
        ]
        return [v for v in others if v[1]][:REGIMES] + [v for v in others if not v[1]][:REGIMES]

    def notify(self, model: ModelSection, batch: Batch) -> alerting.Notify:
        """Decide once what Slack is told of a checked batch and put it into the outbox, all in one step."""
        report = batch.report
        if report is None:
            raise ValueError(f"batch {batch.id} has no report")
        now = self.now()
        with self.store.together():  # read, decide and write as one: several processes may notify at once
            if self.store.batch(batch.id).reported:
                return alerting.Notify("quiet", "this batch has been reported already")
            was_broken = self.store.broken_feed(model.name) is not None
            if self.store.post_of(f"broken_feed:{batch.id}") is not None:  # released, and checked again
                key = f"broken_feed:{batch.id}:again:{now.timestamp():.3f}"
                self.store.enqueue("broken_feed", key, {"batch_id": batch.id}, None, now)
            if report.verdict == "broken_feed":
                decision = self._announce_batch("broken_feed", "the feed is broken", model, batch, now)
            elif report.unmeasured and report.verdict == "insufficient_data":
                reason = f"{len(report.unmeasured)} feature(s) could not be measured"
                decision = self._announce_batch("unmeasured", reason, model, batch, now)
            else:
                decision = self._notify_drift(model, batch, report, now)
            if decision.later:
                self.store.hold(batch.id)
            else:
                self.store.mark_reported(batch.id, now)
            if was_broken != (self.store.broken_feed(model.name) is not None):
                self._edit_incident(model, batch, now)  # it may be approved now, or no longer
        return decision

    def _edit_incident(self, model: ModelSection, batch: Batch, now: datetime) -> None:
        incident = self.store.open_incident_of(model.name)
        if incident is not None:
            self.store.enqueue("incident", f"incident:{incident.id}:feed:{batch.id}", {}, incident.id, now)

    def _announce_batch(
        self, kind: str, reason: str, model: ModelSection, batch: Batch, now: datetime
    ) -> alerting.Notify:
        payload = {"batch_id": batch.id}
        decision = announce(self.store, model, kind, reason, f"{kind}:{batch.id}", payload, now)
        return replace(decision, later=False)  # the history has those that are not said

    def _notify_drift(
        self, model: ModelSection, batch: Batch, report: DriftReport, now: datetime
    ) -> alerting.Notify:
        incident = self.store.open_incident_of(model.name)
        silence = self.store.silence(model.name, now)
        decision = alerting.decide(
            report.verdict,
            alert_on=model.alert_on,
            incident=incident,
            silence=silence,
            last_alert=self.store.last_alert_at(model.name),
            cooldown=model.alert_cooldown,
            checked_at=batch.checked_at or now,
            newest=self.store.is_newest(batch.id),
            now=now,
        )
        if decision.action == "quiet":
            if report.verdict == "stable" and incident is not None and incident.state == "open":
                self._perhaps_over(batch, incident, now)
            return decision
        if incident is None:
            incident = self.store.open_incident(model.name, batch.id, self.config.channel(model), now)
            aloud = True
        else:
            self.store.add_to_incident(incident.id, batch.id, now)
            aloud = alerting.speaks_again(
                report.verdict, incident, silence=silence, cooldown=model.alert_cooldown, now=now
            )
        checked = f"{batch.checked_at:%Y%m%d%H%M%S%f}" if batch.checked_at else ""  # again after a release
        self.store.enqueue("incident", f"incident:{incident.id}:{batch.id}:{checked}", {}, incident.id, now)
        if aloud:
            self.store.enqueue("details", f"details:{batch.id}", {"batch_id": batch.id}, incident.id, now)
            self.store.incident_spoke(incident.id, report.verdict, now)
        return decision

    def _perhaps_over(self, batch: Batch, incident: Incident, now: datetime) -> None:
        """Close an incident once the newest batches fit again, so that a later drift is said anew."""
        if self.store.calm_since(incident.id, batch.id, batch.baseline_version) < CALM:
            return
        if self.store.resolve_incident(incident.id, BOT, f"the last {CALM} batches were stable", now):
            self.store.enqueue(
                "incident", f"incident:{incident.id}:calm:{now.timestamp():.3f}", {}, incident.id, now
            )

    def scan(
        self, model: ModelSection, inbox: Inbox, stop: Callable[[], bool] = lambda: False
    ) -> list[Batch]:
        """Check every new finished file of an inbox and report what was not reported yet.

        One bad file never stops the next; `stop` is asked before each. Returns the batches that are new or news, of
        a long backlog only the newest with their reports.
        """
        if self.store.champion(model.name) is None:
            log.info("%s has no trained version yet: its inbox waits", model.name)
            return []
        checked: list[Batch] = []
        failed: list[tuple[InboxFile | Unreadable, Batch]] = []
        for found in inbox.finished():
            if stop():
                break
            try:
                batch = self._look(model, inbox, found)
            except StateError as error:
                log.warning("%s: %s; the next scan looks again", found.path.name, error)
                inbox.again(found)
                continue
            if batch is not None and batch.state == "failed":
                failed.append((found, batch))
            elif batch is not None:
                checked.append(batch)
                if len(checked) > REPORTS:
                    checked[-REPORTS - 1] = replace(checked[-REPORTS - 1], report=None)
        self._report_failed(model, inbox, failed)
        checked += self._decide_again(model, inbox, {batch.id for batch in checked})
        return checked + list({batch.id: batch for _, batch in failed}.values())

    def _decide_again(self, model: ModelSection, inbox: Inbox, done: set[int]) -> list[Batch]:
        """What a cool-down or a snooze has kept back, also where the file is gone; those that are said now.

        What was compared with an earlier version, or judged by another policy, is measured again if it is there.
        """
        now_used = (str(self.champion(model).record.version), model.policy_sha)
        held, said = [batch for batch in self.store.held(model.name) if batch.id not in done], []
        for batch in held:
            if (batch.baseline_version, batch.policy_sha) != now_used:
                # first: what is released is known from the inbox alone
                inbox.forget(batch.path, batch.sha256)
                self.store.release(batch.id)
            elif batch.state == "checked":
                decision = self.notify(model, self._up_to_date(model, batch))
                said += [batch] if decision.action != "quiet" else []
        failed = [b for b in held if b.state == "failed" and (b.baseline_version, b.policy_sha) == now_used]
        if failed:
            self.notify_failed(model, failed)
        return said

    def _look(self, model: ModelSection, inbox: Inbox, found: InboxFile | Unreadable) -> Batch | None:
        """What has to be said of a file: a batch that was just reported, a failed one that waits for it, or None."""
        if isinstance(found, Unreadable):
            return self._unreadable(model, found)
        seen = self.store.seen(model.name, found.sha256)
        again = _may_succeed_now(seen, found)
        if seen is not None and seen.reported and not again:
            inbox.done(found)
            return None
        champion = self.champion(model)
        claim = self._claim(model, found.sha256, found.path, champion, retry_failed=again)
        if claim.kind == "running":
            return None
        fresh = claim.kind == "mine"
        batch = self._measure_or_fail(model, champion, claim.batch, found.stamp) if fresh else claim.batch
        if batch.state == "failed" and batch.error_kind == "changed":
            inbox.again(found)  # somebody writes to it: the next scan looks again
            return None
        if batch.state == "failed":
            return None if batch.reported else batch
        decision = self.notify(model, self._up_to_date(model, batch))
        log.info("%s: %s; %s (%s)", found.path.name, batch.verdict, decision.action, decision.reason)
        inbox.done(found, held=decision.later)
        return batch if fresh or decision.action != "quiet" else None

    def _measure_or_fail(self, model: ModelSection, champion: Trained, batch: Batch, stamp: Stamp) -> Batch:
        """The checked batch, or the failed one that remembers why."""
        name = Path(batch.path).name
        try:
            return self._measure(model, champion, batch, None, stamp)
        except StateError:
            raise
        except DataError as error:
            log.warning("%s: %s", name, error.message)
        except Exception:
            log.exception("%s could not be checked", name)
        return self.store.batch(batch.id)

    def _report_failed(
        self, model: ModelSection, inbox: Inbox, failed: Sequence[tuple[InboxFile | Unreadable, Batch]]
    ) -> None:
        """One message for the files that could not be checked; those of a cool-down come in one after it."""
        try:
            later = self.notify_failed(model, [batch for _, batch in failed]).later
        except StateError as error:
            log.warning("the files that could not be checked are reported by the next scan: %s", error)
            later = True
        for found, batch in failed:
            if later:
                inbox.again(found)
            elif batch.error_kind not in OURS:
                inbox.done(found)

    def notify_failed(self, model: ModelSection, failed: Sequence[Batch]) -> alerting.Notify:
        """Decide what Slack is told of files that could not be checked: one message for all of them."""
        now = self.now()
        with self.store.together():  # another process may have reported some of them meanwhile
            batches = {b.id: b for b in failed if not self.store.batch(b.id).reported}
            if not batches:
                return alerting.Notify("quiet", "this was reported already")
            which = sha256("\n".join(f"{b.id} {b.path}" for b in batches.values()).encode()).hexdigest()
            payload = {"batch_ids": list(batches)}
            key, reason = f"failed:{which}", f"{len(batches)} file(s) could not be checked"
            decision = announce(self.store, model, "failed_batches", reason, key, payload, now)
            for batch_id in batches:
                if decision.later:
                    self.store.hold(batch_id)
                else:
                    self.store.mark_reported(batch_id, now)
        return decision

    def _unreadable(self, model: ModelSection, found: Unreadable) -> Batch | None:
        """A file whose bytes cannot be read is remembered under its name and time; None if that was reported."""
        mark = sha256(f"unreadable:{found.path}:{found.stamp}".encode()).hexdigest()
        claim = self._claim(model, mark, found.path, self.champion(model), retry_failed=False)
        if claim.kind != "mine":
            return claim.batch if claim.kind == "done" and not claim.batch.reported else None
        text = f"{found.reason}: make it readable for the bot's user"
        return self.store.fail_batch(claim.batch.id, found.kind, text, self.now())


def announce(
    store: Store,
    model: ModelSection,
    kind: str,
    reason: str,
    key: str,
    payload: Mapping[str, Any],
    now: datetime,
) -> alerting.Notify:
    """Say something that is no incident, unless the model has said its like a short while ago."""
    with store.together():
        decision = alerting.notice(
            reason,
            last_said=store.last_said(model.name, kind),
            cooldown=model.alert_cooldown,
            now=now,
        )
        if decision.action == "quiet":
            return decision
        if store.enqueue(kind, key, payload, None, now) is None:
            return alerting.Notify("quiet", f"{reason}, and this was said already")
        store.mark_said(model.name, kind, now)
    return decision


def _finished(batch: Batch) -> Batch:
    """A batch that another process has checked; its failure is raised again."""
    if batch.state == "checking":
        raise BeingChecked(f"{Path(batch.path).name} is being checked by another process; ask again later")
    if batch.state == "failed":
        raise DataError(batch.error_kind or "unreadable", batch.error or "the batch could not be read")
    return batch


def _may_succeed_now(seen: Batch | None, found: InboxFile) -> bool:
    """Whether a failed check is worth another try.

    It is when the fault was ours, and when the same bytes have come under another name since: a wrong ending was
    mended, or today's export is empty too and somebody should know.
    """
    if seen is None or seen.state != "failed":
        return False
    renamed = seen.path != str(found.path) and found.came > seen.claimed_at
    return seen.error_kind in OURS or renamed


def _fits_better(ours: DriftReport, theirs: DriftReport, other: Trained) -> str:
    """A sentence where another version's data are clearly more like the batch, else nothing."""
    if ours.overall_psi is None or theirs.overall_psi is None or theirs.verdict == "broken_feed":
        return ""
    if theirs.verdict != "stable" and theirs.overall_psi > ours.overall_psi / CLEARLY:
        return ""
    number = other.record.version
    return (
        f"the data of version {number} fit this batch clearly better (overall PSI {theirs.overall_psi:.3f} instead "
        f"of {ours.overall_psi:.3f}, {theirs.verdict.replace('_', ' ')}): its model may know such data, and "
        f"`driftcatcher promote {number}` brings it back"
    )


def score_batch(
    model: ModelSection, version: Trained, baseline: Baseline, profile: Profile
) -> tuple[Scored | None, tuple[str, ...]]:
    """What a version says of the sampled rows of a batch, and why it could not: the check goes on without it."""
    record, sample = version.record, profile.sample
    if (
        not model.scoring
        or model.policy == "classic"
        or baseline.record is None
        or sample is None
        or profile.missing_columns
        or not record.model_path
    ):
        return None, ()
    from trainers.scoring import sampled

    try:
        return Scored(*sampled(record, sample)), ()
    except Exception as error:  # noqa: BLE001  a model of a third party's parts may raise anything
        said = error if isinstance(error, TrainingError) else f"{type(error).__name__}: {error}"
        return None, (f"the batch was not scored, so its prediction drift and cost are not known: {said}",)


def load_baseline(champion: Trained) -> Baseline:
    """The champion's baseline; DataError says how to get it back when it is gone or damaged.

    A few are kept in memory: a backlog of small batches would spend its time on reading the same file.
    """
    path, digest = location(champion.record.baseline_path), champion.record.baseline_sha256
    try:
        return _baseline(path, digest, stamp_of(path))
    except _Changed as changed:
        reason = str(changed)
    raise DataError(
        "baseline",
        f"the baseline of {champion.record.model} version {champion.record.version} cannot be used: {reason}. "
        f"Download baseline from the MLflow run {champion.record.run_id} to {path}, or train again.",
    )


class _Changed(Exception):
    """A baseline file is not the one that its training has left, and why."""


@lru_cache(maxsize=BASELINES)
def _baseline(path: Location, sha256: str, stamp: Stamp | None) -> Baseline:
    """Read again as soon as the file's stamp is another."""
    try:
        matches = sha256_file(path) == sha256
    except DataError as error:
        if error.kind in UNREACHED:  # it is where it belongs
            raise
        raise _Changed(error.message) from error
    if not matches:
        raise _Changed("its content has changed since training")
    return Baseline.load(path)
