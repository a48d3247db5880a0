"""Journey 2: a retrain is approved, runs, is judged by people, moves the champion, and can be taken back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from bot import labelling
from bot.config import Config, ModelSection, ServingSection
from bot.engine import on_cluster
from bot.lineage import origin_of
from bot.serving import NotHandedOver, hand_over, place
from bot.shadowing import tell_ended
from bot.times import utc_now
from bot.tracking import of_move
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.location import Location, location
from state.records import Batch, LooseEnd, Promotion, Retrain, StateError
from state.store import Store
from trainers.base import (
    DataFile,
    ModelRegistry,
    ModelVersion,
    Progress,
    RetrainOutcome,
    TrainingError,
    TrainOutcome,
    quiet,
)
from trainers.version_folder import forget

log = logging.getLogger(__name__)

IN_HAND = timedelta(seconds=60)  # a younger move may still be in the hands of the process that began it
PAUSE = timedelta(seconds=30)  # between two looks at a registry that is away


@dataclass(frozen=True, slots=True)
class Retraining:
    """Everything that changes which version is the champion. Permission is checked by the caller.

    `registry` is made on first use: it loads MLflow.
    """

    config: Config
    store: Store
    registry: Callable[[], ModelRegistry]
    now: Callable[[], datetime] = utc_now

    def approve(
        self,
        model: ModelSection,
        files: Sequence[DataFile],
        by: str,
        *,
        incident_id: int | None = None,
        why: str = "",
        force: bool = False,
    ) -> Retrain:
        """Queue a retrain. Raises TrainingError, AlreadyDecided, CoolingDown or StateError; each is a full sentence."""
        champion = self.store.champion(model.name)
        if champion is None:
            raise TrainingError(f'"{model.name}" has no trained version yet: train it first')
        if not files:
            raise TrainingError(
                f"there is no labelled data for {model.name}: put a file with the column "
                f'"{model.label.column}" into {model.labeled} and approve again'
            )
        with self.store.together():  # a step and what is said of it: a crash cannot come in between
            if reason := self.refusal(model, files, incident_id):
                raise StateError(reason)
            retrain = self.store.approve(
                incident_id,
                model.name,
                tuple(files),
                champion.record.version,
                by,
                self.now(),
                forced=force,
                cooldown=model.retrain_cooldown,
                why=why,
            )
            self._say("retrain_started", retrain)
        return retrain

    def refusal(
        self, model: ModelSection, files: Sequence[DataFile] = (), incident_id: int | None = None
    ) -> str:
        """Why no retrain may be approved now: a broken feed would be learned. Empty where it may."""
        for file in files:
            seen = self.store.seen(model.name, file.sha256)
            if seen is not None and seen.verdict == "broken_feed":
                return f"{Path(file.path).name} is a broken feed{_why(seen)} A retrain would learn the fault."
        broken = self.store.broken_feed(model.name) if incident_id is not None else None
        if broken is None:
            return ""
        return (
            f"the newest batch, {Path(broken.path).name}, is a broken feed{_why(broken)} Quarantine it "
            f"(`driftcatcher quarantine {broken.id}`) or wait for a sound one, then approve."
        )

    def chosen(self, model: ModelSection, digests: Sequence[str]) -> tuple[DataFile, ...]:
        """The waiting labelled files with these digests (or prefixes of them); StateError when one has gone.

        Nothing is read: the form that offered them has looked at them, and its answer may not wait.
        """
        waiting = labelling.waiting(model, self.store, read=False)
        files = [f.data_file() for d in digests for f in waiting if f.sha256.startswith(d)]
        if len(files) < len(digests):
            raise StateError(
                "since the form was opened a labelled file has changed or gone, or the bot was restarted: open it again"
            )
        return tuple(files)

    def finish(self, retrain: Retrain, outcome: RetrainOutcome) -> Retrain:
        """Keep the result of a retrain that ran and tell its thread."""
        with self.store.together():
            shadow = self.store.shadow_under_way(retrain.model)  # of an earlier one
            done = self.store.finish_retrain(
                retrain.id, outcome, self.now(), shadow_batches=self._shadow_batches(retrain.model)
            )
            self._say("retrain_finished", done)
            if outcome.matrix:
                self._say("retrain_matrix", done)
            tell_ended(self.store, shadow, self.now())
        return done

    def fail(self, retrain: Retrain, error: str) -> Retrain:
        """Keep the reason why a retrain ended without a result and tell its thread."""
        with self.store.together():
            failed = self.store.fail_retrain(retrain.id, error, self.now())
            self._say("retrain_failed", failed)
        return failed

    def cancel(self, retrain_id: int, by: str, why: str = "") -> Retrain:
        """End a queued or running retrain and tell its thread. StateError once it has ended."""
        with self.store.together():
            cancelled = self.store.cancel_retrain(retrain_id, by, self.now(), why)
            self._say("retrain_failed", cancelled)
        return cancelled

    def cancelled(self, retrain_id: int) -> bool:
        """Whether somebody has cancelled it; False while the state file cannot be asked."""
        try:
            return self.store.retrain(retrain_id).state == "cancelled"
        except StateError:
            return False

    def promote(self, retrain: Retrain, by: str, why: str = "") -> Promotion:
        """Make the challenger the champion: registry alias and baseline move together."""
        if retrain.outcome is None:
            raise StateError(f"retrain {retrain.id} has no result to promote (it is {retrain.state})")
        version = retrain.outcome.version.version
        return self._move(retrain.model, version, "promote", by, why)

    def keep(self, retrain: Retrain, by: str, why: str = "") -> Retrain:
        """Keep the current champion."""
        with self.store.together():
            shadow = self.store.shadow_under_way(retrain.model)
            if not self.store.decide_retrain(retrain.id, "kept", by, self.now(), why):
                raise StateError(f"retrain {retrain.id} has been decided already")
            kept = self.store.retrain(retrain.id)
            self._say("kept", kept)
            tell_ended(self.store, shadow, self.now())
        return kept

    def roll_back(
        self,
        model: ModelSection,
        by: str,
        why: str = "",
        retrain: Retrain | None = None,
        to: int | None = None,
    ) -> Promotion:
        """Make an earlier champion the champion again, with its baseline.

        Args:
            retrain: whose promotion is taken back; StateError where another version has come into use since.
            to: the version; the previous champion if None.
        """
        target = self.store.previous_champion(model.name) if to is None else to
        if target is None:
            raise StateError(f"{model.name} has no earlier version to go back to")
        champion = self.store.champion(model.name)
        if retrain is not None and (
            retrain.outcome is None
            or champion is None
            or champion.record.version != retrain.outcome.version.version
        ):
            raise StateError("another version has become champion since; roll back from its own thread")
        return self._move(model.name, target, "roll_back", by, why)

    def train(
        self,
        model: ModelSection,
        base: Sequence[Location],
        new: Sequence[Location],
        by: str,
        progress: Progress = quiet,
        *,
        force: bool = False,
    ) -> TrainOutcome:
        """Train a version from labelled files alone and make it the champion.

        StateError if there is a champion when it is done, unless `force`.
        """
        from trainers import pipeline

        made = pipeline.train(
            model.name,
            base,
            new,
            model.label_spec(),
            on_cluster(model.load_trainer(), self.config.cluster),
            self.registry(),
            self.config.home,
            gate=model.promotion_gate(),
            mix=model.mixing(),
            baselines=self.config.baselines,
            progress=progress,
            tags={"driftcatcher.trained_by": by},
            origin=origin_of(self.config, model, by, self.now()),
        )
        self.store.add_version(made.version, self.now())
        self._move(model.name, made.version.version, "train", by, "", only_first=not force)
        return made

    def _move(
        self,
        model: str,
        version: int,
        kind: Literal["train", "promote", "roll_back"],
        by: str,
        why: str,
        *,
        only_first: bool = False,
    ) -> Promotion:
        """Intent first, then the alias, then the state: whatever dies between, `recover` ends it one way."""
        target = self.store.version(model, version)
        _require_baseline(target.record)
        promotion = self.store.begin_promotion(
            model, version, kind, by, self.now(), why=why, only_first=only_first
        )
        try:
            self.registry().set_alias(model, "champion", version)
        except Exception as error:
            self.store.abandon_promotion(promotion.id, f"{type(error).__name__}: {error}", self.now())
            raise TrainingError(
                f"the registry did not take version {version}: {error}. The champion stays as it was."
            ) from error
        return self._finish_move(promotion)

    def _finish_move(self, promotion: Promotion) -> Promotion:
        """The alias has moved: move the champion with its baseline, and say so in the retrain's thread."""
        said = {"promote": "promoted", "roll_back": "rolled_back"}
        with self.store.together():
            if self._finished_by_another(promotion):
                return replace(promotion, done=True)
            shadow = self.store.shadow_under_way(promotion.model)
            done = self.store.finish_promotion(promotion.id, self.now())
            for kind in self._serving(promotion.model).kinds:
                self.store.leave(promotion.model, kind, self.now())
            if done.kind != "train":  # whose run says who asked for it
                why = next(
                    (w for m, w in self.store.promotions_of(done.model, done.version) if m.id == done.id), ""
                )
                self.store.queue_run("move", done.model, str(done.version), of_move(done, why), done.at)
            if done.retrain_id is not None and done.kind in said:
                self._say(said[done.kind], self.store.retrain(done.retrain_id))
            elif done.kind == "roll_back":  # no thread to say it in
                payload = {"promotion_id": done.id, "model": done.model, "version": done.version}
                self.store.enqueue("back_in_use", f"back_in_use:{done.id}", payload, None, self.now())
            tell_ended(self.store, shadow, self.now())
        for end in self.store.to_hand_over(promotion.model):
            self._tie(end)
        return done

    def _finished_by_another(self, promotion: Promotion) -> bool:
        """A registry that takes more than a minute over the alias: the bot has ended the move meanwhile."""
        moves = self.store.promotions_of(promotion.model, promotion.version)
        return any(move.id == promotion.id for move, _ in moves)

    def _shadow_batches(self, model: str) -> int:
        try:
            return self.config.model(model).shadow_batches
        except LookupError:  # of a model that is configured no more
            return 0

    def _serving(self, model: str) -> ServingSection:
        try:
            return self.config.model(model).serving
        except LookupError:  # of a model that is configured no more
            return ServingSection()

    def recover(self, *, here_only: bool = True) -> None:
        """Finish moves that were cut off, and mark retrains whose process is gone.

        `here_only` spares those of another host, which cannot be looked at; the bot that owns the state file
        takes them for gone when it starts.
        """
        self.finish_moves()
        with self.store.together():
            for retrain in self.store.interrupt_running(self.now(), here_only=here_only):
                log.warning("retrain %s of %s was interrupted", retrain.id, retrain.model)
                self._say("retrain_failed", retrain)

    def finish_moves(self) -> None:
        """End moves that were cut off between the alias and the state; one that fails stays for the next time."""
        for promotion in self.store.pending_promotions():
            if self.now() - promotion.at < IN_HAND:
                continue
            log.warning(
                "finishing the interrupted move of %s to version %s", promotion.model, promotion.version
            )
            try:
                self.registry().set_alias(promotion.model, "champion", promotion.version)
                self._finish_move(promotion)
            except Exception:
                log.exception("the move is not finished yet; it is tried again")

    def tie_loose_ends(self) -> None:
        """Bring the registry to what is known here: twice, since what was on its way to it may arrive late."""
        for end in self.store.loose_ends(self.now()):
            if not self._tie(end):
                return  # the others would wait for the registry as long; they are next

    def _tie(self, end: LooseEnd) -> bool:
        """See to one; False where the registry is away."""
        try:
            if end.kind in ("folder", "webhook"):
                agreed, late = self._hand_over(end), timedelta(0)
            else:
                agreed, late = self._agree(end.model) if end.kind == "alias" else self._clear(end), IN_HAND
        except NotHandedOver as error:
            log.warning("%s; it is tried again", error)
            self.store.tie_later(end.id, self.now() + PAUSE)
        except Exception as error:  # noqa: BLE001  the registry is away, and what it raises is its own affair
            log.warning("the registry is not brought up to date yet (%s); it is tried again", error)
            self.store.tie_later(end.id, self.now() + PAUSE)
            return False
        else:
            if agreed and self.now() - end.since >= late:
                self.store.tied(end.id)
            else:
                self.store.tie_later(end.id, max(self.now(), end.since + IN_HAND))
        return True

    def _hand_over(self, end: LooseEnd) -> bool:
        """Give the serving side the champion; False where a move is under way, which will."""
        before = self._settled_champion(end.model)
        if before is None or before[0] is None:
            return before is not None
        serving, kind = self._serving(end.model), end.kind
        hand_over(kind, serving, self.store.version(end.model, before[0]).record)
        self.store.hand(end.model, kind, place(kind, serving), before[0])
        if self._settled_champion(end.model) == before:
            return True
        # whoever moved it meanwhile may have handed over first, and ours came last
        self.store.leave(end.model, kind, self.now(), again=True)
        return False

    def hand_over_to_new(self) -> None:
        """Leave a loose end for each folder and webhook that was not handed the champion.

        One that was configured after the champion came into use would else wait for the next move.
        """
        for model in self.config.models:
            if (champion := self.store.champion(model.name)) is None:
                continue
            for kind in model.serving.kinds:
                has = self.store.handed(model.name, kind, place(kind, model.serving))
                if has != champion.record.version:
                    self.store.leave(model.name, kind, self.now())

    def _clear(self, end: LooseEnd) -> bool:
        known = {version.record.version for version in self.store.versions(end.model)}
        for version in self.registry().clear(end.model, end.job, known):
            log.warning("version %s of %s came of a training that died; it is deleted", version, end.model)
            forget(self.config.home, end.model, version, self.config.baselines)
        return True

    def _agree(self, model: str) -> bool:
        """Point the alias at the champion; False while a move is under way."""
        before = self._settled_champion(model)
        if before is None:
            return False
        (champion,) = before
        if self.registry().alias(model, "champion") != champion:
            log.warning("the registry's champion of %s is put back to version %s", model, champion)
            if champion is None:
                self.registry().drop_alias(model, "champion")
            else:
                self.registry().set_alias(model, "champion", champion)
        return self._settled_champion(model) == before  # else somebody has promoted meanwhile

    def _settled_champion(self, model: str) -> tuple[int | None] | None:
        """The champion (there may be none), unless a move is under way."""
        with self.store.together():
            if any(promotion.model == model for promotion in self.store.pending_promotions()):
                return None
            champion = self.store.champion(model)
        return (champion.record.version if champion else None,)

    def _say(self, kind: str, retrain: Retrain) -> None:
        """Put the news into the outbox: the thread's message and the edit of the incident."""
        now = self.now()
        decided = f":{retrain.decided_at.timestamp():.3f}" if retrain.decided_at else ""  # may come again
        key = f"{kind}:{retrain.id}:{retrain.state}{decided}"
        self.store.enqueue(kind, key, {"retrain_id": retrain.id}, retrain.incident_id, now)
        if retrain.incident_id is not None:
            self.store.enqueue(
                "incident", f"incident:{retrain.incident_id}:{key}", {}, retrain.incident_id, now
            )


def _require_baseline(version: ModelVersion) -> None:
    """A version comes into use with the baseline that was made with it, to the last bit, or not at all."""
    whose = f"the baseline of {version.model} version {version.version}"
    instead = f"nothing was moved. Download it from the MLflow run {version.run_id}."
    try:
        there = location(version.baseline_path)
        if not there.is_file():
            raise StateError(f"{whose} is missing at {there}: {instead}")
        if version.baseline_sha256 and sha256_file(there) != version.baseline_sha256:
            raise StateError(f"{whose} at {there} is not the file that was made with it: {instead}")
    except (DataError, OSError) as error:
        raise StateError(f"{whose}: {error}. Nothing was moved.") from error


def _why(batch: Batch) -> str:
    """The first fault of a broken feed, for the middle of a sentence."""
    faults = batch.report.faults if batch.report is not None else ()
    return f" ({faults[0].text})." if faults else "."
