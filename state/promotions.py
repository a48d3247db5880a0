"""Verbs on promotions: the champion moves in two steps, so that a crash between registry and state is seen.

`begin_promotion` writes the intent, the caller moves the registry alias, `finish_promotion` moves the
champion here. A promotion that is still pending at start-up was interrupted: finish it or abandon it.
"""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from typing import Literal

from state import incidents, loose_ends, retrains, versions
from state.codec import moment, stamp
from state.database import Database
from state.journal import note
from state.records import INCIDENT_TRANSITIONS, AlreadyDecided, Promotion, Retrain, StateError, Trained

Kind = Literal["train", "promote", "roll_back"]
_DONE = {"train": "trained", "promote": "promoted", "roll_back": "rolled back"}


class Promotions:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def begin_promotion(
        self,
        model: str,
        version: int,
        kind: Kind,
        by: str,
        now: datetime,
        retrain_id: int | None = None,
        why: str = "",
        *,
        only_first: bool = False,
    ) -> Promotion:
        """Write down that a version is about to become the champion.

        AlreadyDecided if somebody did so before. StateError for a promotion under way, an unknown version, a
        challenger that was compared with another champion, a roll-back to a version that was never in use or is newer
        than the champion, or with `only_first` where there is a champion. The retrain it belongs to is found by itself.
        """
        with self._db.write():
            versions.load(self._db, model, version)
            current = versions.champion_of(self._db, model)
            if retrain_id is None:
                judged = current if kind == "roll_back" else version
                retrain_id = None if judged is None else retrains.of_version(self._db, model, judged)
            retrain = None if retrain_id is None else retrains.load(self._db, retrain_id)
            self._require_none_pending(model, version)
            if only_first and current is not None:
                raise StateError(
                    f"{model} has got version {current} meanwhile; version {version} is kept in the registry"
                )
            if retrain is not None:
                _require_decidable(retrain, model, version, kind, current)
            if current == version:
                raise StateError(f"version {version} of {model} is the champion already")
            if kind == "roll_back":
                _require_earlier(self._db, model, version, current)
            row = {
                "model": model, "version": version, "previous": current, "kind": kind, "by": by,
                "at": stamp(now), "state": "pending", "retrain_id": retrain_id, "why": why,
            }  # fmt: skip
            return _load(self._db, self._db.insert("promotions", row))

    def finish_promotion(self, promotion_id: int, now: datetime) -> Promotion:
        """The registry is done: move the champion, decide the retrain and its incident, note it."""
        with self._db.write():
            promotion = self._close(promotion_id, "done", None, now)
            versions.crown(self._db, promotion.model, promotion.version)
            if promotion.retrain_id is not None and promotion.kind != "train":
                _settle(self._db, promotion, promotion.retrain_id, now)
            if promotion.kind == "roll_back":
                _in_use_again(self._db, promotion, now)
            subject = f"version {promotion.version}"
            replaces = "" if promotion.previous is None else f"replaces version {promotion.previous}"
            reason = self._db.value("SELECT why FROM promotions WHERE id = ?", promotion_id)
            why = ": ".join(filter(None, (replaces, reason)))
            note(self._db, promotion.by, promotion.kind, promotion.model, subject, why, now)
            return _load(self._db, promotion_id)

    def abandon_promotion(self, promotion_id: int, why: str, now: datetime | None = None) -> Promotion:
        """The registry could not be moved: the champion stays, and the challenger can be promoted again.

        An answer that got lost looks the same, so the alias is a loose end.
        """
        with self._db.write():
            promotion = self._close(promotion_id, "abandoned", why, now)
            loose_ends.leave(self._db, promotion.model, "alias", "", now or promotion.at)
            return _load(self._db, promotion_id)

    def pending_promotions(self) -> tuple[Promotion, ...]:
        """Promotions that were begun and neither finished nor abandoned, oldest first."""
        with self._db.read():
            rows = self._db.rows("SELECT * FROM promotions WHERE state = 'pending' ORDER BY id")
        return tuple(_promotion(row) for row in rows)

    def previous_champion(self, model: str) -> int | None:
        """The version that the champion replaced when it was promoted: where a roll-back leads."""
        with self._db.read():
            number: int | None = self._db.value(
                "SELECT previous FROM promotions WHERE model = ? AND version = ? AND state = 'done'"
                " AND kind <> 'roll_back' ORDER BY id DESC LIMIT 1",
                model,
                versions.champion_of(self._db, model),
            )
            return number

    def past_champions(self, model: str) -> tuple[Trained, ...]:
        """The versions that a roll-back may lead to, newest first: in use once, and older than the champion."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT version FROM promotions WHERE model = ? AND state = 'done' AND version < ?"
                " GROUP BY version ORDER BY version DESC",
                model,
                versions.champion_of(self._db, model),
            )
            return tuple(versions.load(self._db, model, row["version"]) for row in rows)

    def promotions_of(self, model: str, version: int) -> tuple[tuple[Promotion, str], ...]:
        """The finished moves to a version, and roll-backs from it, each with its reason; oldest first."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT * FROM promotions WHERE model = ? AND state = 'done'"
                " AND (version = ? OR (previous = ? AND kind = 'roll_back')) ORDER BY id",
                model,
                version,
                version,
            )
        return tuple((_promotion(row), row["why"] or "") for row in rows)

    def _require_none_pending(self, model: str, version: int) -> None:
        row = versions.pending_promotion(self._db, model)
        if row is None:
            return
        if row["version"] == version:
            raise AlreadyDecided(row["by"], moment(row["at"]), _DONE[row["kind"]])
        raise StateError(f"version {row['version']} of {model} is being promoted by {row['by']}: wait for it")

    def _close(self, promotion_id: int, state: str, why: str | None, now: datetime | None) -> Promotion:
        promotion = _load(self._db, promotion_id)
        changed = self._db.change(
            "UPDATE promotions SET state = ?, done_at = ?, why = coalesce(?, why) WHERE id = ? AND state = 'pending'",
            state,
            None if now is None else stamp(now),
            why,
            promotion_id,
        )
        if not changed:
            raise StateError(
                f"promotion {promotion_id} is {'done' if promotion.done else 'abandoned'} already"
            )
        return promotion


def _require_decidable(retrain: Retrain, model: str, version: int, kind: Kind, current: int | None) -> None:
    """The retrain must wait for this decision, and be about this version and this champion."""
    made = retrain.outcome.version.version if retrain.outcome else None
    allowed = {"promote": ("succeeded", "kept", "rolled_back"), "roll_back": ("promoted",), "train": ()}[kind]
    if kind == "promote" and current != made:
        allowed = (*allowed, "promoted")  # a roll-back of a later version has led past it
    if retrain.state not in allowed:
        if retrain.decided_by and retrain.decided_at:
            raise AlreadyDecided(retrain.decided_by, retrain.decided_at, retrain.state.replace("_", " "))
        raise StateError(f"retrain {retrain.id} is {retrain.state}: nothing to decide")
    asked = version if kind == "promote" else current
    if (retrain.model, made) != (model, asked):
        raise StateError(f"retrain {retrain.id} made version {made} of {retrain.model}, not version {asked}")
    if kind == "promote" and retrain.champion_version != current:
        raise StateError(
            f"version {version} was compared with version {retrain.champion_version}, but the champion "
            f"of {model} is now version {current}: retrain again"
        )


def _require_earlier(db: Database, model: str, version: int, current: int | None) -> None:
    """A roll-back leads to what was in use before; forward it goes by a promotion, which is judged."""
    used = "SELECT 1 FROM promotions WHERE model = ? AND version = ? AND state = 'done'"
    if db.value(used, model, version) is None:
        raise StateError(f"version {version} of {model} was never in use: promote it instead")
    if current is not None and version > current:
        raise StateError(f"version {version} of {model} is newer than version {current}: promote it instead")


def _settle(db: Database, promotion: Promotion, retrain_id: int, now: datetime) -> None:
    state = "promoted" if promotion.kind == "promote" else "rolled_back"
    incident_id = retrains.decide(db, retrain_id, state, promotion.by, now).incident_id
    back_to = promotion.version if promotion.kind == "roll_back" else None
    db.change("UPDATE retrains SET back_to = ? WHERE id = ?", back_to, retrain_id)
    if incident_id is None:
        return
    if promotion.kind == "roll_back":
        incidents.reopen(db, incident_id, now)
    elif "resolved" in INCIDENT_TRANSITIONS[incidents.load(db, incident_id).state]:
        # else it is closed, or a newer retrain of it is under way
        incidents.move(db, incident_id, "resolved", promotion.by, now)


def _in_use_again(db: Database, promotion: Promotion, now: datetime) -> None:
    """A version that was rolled back itself and is returned to is promoted again: it can be rolled back once more."""
    retrain_id = retrains.of_version(db, promotion.model, promotion.version)
    if retrain_id is not None and retrains.load(db, retrain_id).state == "rolled_back":
        retrains.decide(db, retrain_id, "promoted", promotion.by, now)
        db.change("UPDATE retrains SET back_to = NULL WHERE id = ?", retrain_id)


def _load(db: Database, promotion_id: int) -> Promotion:
    row = db.row("SELECT * FROM promotions WHERE id = ?", promotion_id)
    if row is None:
        raise StateError(f"there is no promotion {promotion_id}")
    return _promotion(row)


def _promotion(row: Row) -> Promotion:
    return Promotion(
        id=row["id"],
        model=row["model"],
        version=row["version"],
        previous=row["previous"],
        kind=row["kind"],
        by=row["by"],
        at=moment(row["at"]),
        done=row["state"] == "done",
        retrain_id=row["retrain_id"],
    )
