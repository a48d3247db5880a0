"""`Store`: everything the project remembers, as verbs: their index, each lives with its subject."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from state.batches import Batches
from state.database import Database
from state.expectations import Expectations
from state.feedback import Feedbacks
from state.inboxes import Inboxes
from state.incidents import Incidents
from state.journal import Journal
from state.loose_ends import LooseEnds
from state.notices import Notices
from state.outbox import Outbox
from state.posts import Posts
from state.promotions import Promotions
from state.retrains import Retrains
from state.rollup import RollUp
from state.samples import Samples
from state.shadows import Shadows
from state.tracking import Tracking
from state.versions import Versions


class Store:
    """The state file, opened (and made, and brought to the newest schema) at `path`.

    Every verb is one transaction and may be called from any thread; other processes may use the same
    file at the same time. Verbs return frozen records and raise `state.records.StateError` for what
    the state does not allow. A deciding verb (approve, snooze, dismiss, keep, promote, roll back) writes
    its own line in the audit log.
    """

    def __init__(self, path: Path | str) -> None:
        self._db = db = Database(path)
        self.path = db.path

        expectations = Expectations(db)
        self.keep_expectation = expectations.keep_expectation
        self.expectation = expectations.expectation

        batches = Batches(db)
        self.claim_batch = batches.claim_batch
        self.save_report = batches.save_report
        self.fail_batch = batches.fail_batch
        self.mark_reported = batches.mark_reported
        self.hold = batches.hold
        self.held = batches.held
        self.release = batches.release
        self.calm_since = batches.calm_since
        self.batch = batches.batch
        self.wait_for_batch = batches.wait_for_batch
        self.profile = batches.profile
        self.seen = batches.seen
        self.last_batch = batches.last_batch
        self.last_checked = batches.last_checked
        self.is_newest = batches.is_newest
        self.checks_before = batches.checks_before
        self.history = batches.history
        self.checked_batches = batches.checked_batches
        self.batches_named = batches.batches_named
        self.quarantine_batch = batches.quarantine_batch
        self.release_batch = batches.release_batch
        self.broken_feed = batches.broken_feed
        self.in_quarantine = batches.in_quarantine

        self.dealt_with = Inboxes(db).dealt_with
        self.roll_up = RollUp(db).roll_up

        incidents = Incidents(db)
        self.open_incident = incidents.open_incident
        self.add_to_incident = incidents.add_to_incident
        self.incident_spoke = incidents.incident_spoke
        self.set_incident_ts = incidents.set_incident_ts
        self.incident = incidents.incident
        self.batches_of = incidents.batches_of
        self.open_incident_of = incidents.open_incident_of
        self.unclosed_incidents = incidents.unclosed_incidents
        self.incidents = incidents.incidents
        self.dismiss_incident = incidents.dismiss_incident
        self.resolve_incident = incidents.resolve_incident
        self.last_alert_at = incidents.last_alert_at
        self.snooze = incidents.snooze
        self.end_snooze = incidents.end_snooze
        self.silence = incidents.silence
        self.silences_ended = incidents.silences_ended

        feedback = Feedbacks(db)
        self.give_feedback = feedback.give_feedback
        self.feedback = feedback.feedback
        self.feedback_on = feedback.feedback_on
        self.truths = feedback.truths

        notices = Notices(db)
        self.mark_said = notices.mark_said
        self.last_said = notices.last_said

        retrains = Retrains(db)
        self.approve = retrains.approve
        self.next_queued = retrains.next_queued
        self.start_retrain = retrains.start_retrain
        self.finish_retrain = retrains.finish_retrain
        self.fail_retrain = retrains.fail_retrain
        self.cancel_retrain = retrains.cancel_retrain
        self.interrupt_running = retrains.interrupt_running
        self.active_retrains = retrains.active_retrains
        self.retrain = retrains.retrain
        self.retrains = retrains.retrains
        self.last_retrain_at = retrains.last_retrain_at
        self.decide_retrain = retrains.decide_retrain

        shadows = Shadows(db)
        self.shadow_for = shadows.shadow_for
        self.keep_shadow = shadows.keep_shadow
        self.keep_labels = shadows.keep_labels
        self.shadow = shadows.shadow
        self.shadow_under_way = shadows.shadow_under_way
        self.last_shadow = shadows.last_shadow
        self.shadows_of = shadows.shadows_of

        versions = Versions(db)
        self.add_version = versions.add_version
        self.version = versions.version
        self.versions = versions.versions
        self.champion = versions.champion
        self.used_labelled_sha256s = versions.used_labelled_sha256s

        promotions = Promotions(db)
        self.begin_promotion = promotions.begin_promotion
        self.finish_promotion = promotions.finish_promotion
        self.abandon_promotion = promotions.abandon_promotion
        self.pending_promotions = promotions.pending_promotions
        self.previous_champion = promotions.previous_champion
        self.past_champions = promotions.past_champions
        self.promotions_of = promotions.promotions_of

        ends = LooseEnds(db)
        self.loose_ends = ends.loose_ends
        self.to_hand_over = ends.to_hand_over
        self.leave = ends.leave
        self.handed = ends.handed
        self.hand = ends.hand
        self.tie_later = ends.tie_later
        self.tied = ends.tied

        outbox = Outbox(db)
        self.enqueue = outbox.enqueue
        self.due = outbox.due
        self.mark_started = outbox.mark_started
        self.delivered = outbox.delivered
        self.retry_later = outbox.retry_later
        self.give_up = outbox.give_up

        posts = Posts(db)
        self.remember_post = posts.remember_post
        self.post_of = posts.post_of

        samples = Samples(db)
        self.keep_sample = samples.keep_sample
        self.sample = samples.sample
        self.sample_file = samples.sample_file
        self.samples = samples.samples

        journal = Journal(db)
        self.record_decision = journal.record_decision
        self.decisions = journal.decisions
        self.save_performance = journal.save_performance
        self.set_run_url = journal.set_run_url
        self.performance = journal.performance
        self.last_performance = journal.last_performance
        self.performances = journal.performances
        self.counters = journal.counters

        tracking = Tracking(db)
        self.queue_run = tracking.queue_run
        self.to_log = tracking.to_log
        self.logging_begins = tracking.logging_begins
        self.logged = tracking.logged
        self.log_later = tracking.log_later
        self.waiting_to_log = tracking.waiting_to_log
        self.remember_tracking_run = tracking.remember_tracking_run
        self.tracking_run = tracking.tracking_run

    def together(self) -> AbstractContextManager[None]:
        """Several verbs as one transaction: `with store.together(): ...` keeps all of them or none.

        For a step and what is to be said of it, so that a crash cannot come in between. Other writers wait
        meanwhile: no slow work inside.
        """
        return self._db.write()

    def close(self) -> None:
        """Close the file; no verb works afterwards."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
