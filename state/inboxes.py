"""Verbs on inboxes: which files were dealt with, so that after a restart a listing alone tells what is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from state.database import Database


@dataclass(frozen=True, slots=True)
class DealtWith:
    """The files of one model's inbox that were dealt with: path as text -> stamp, both opaque here.

    A stamp tells one state of a file from another. There are as many rows as files that still lie there: whoever
    lists the inbox drops those that have gone.
    """

    db: Database
    model: str

    def load(self) -> dict[str, str]:
        """All of them."""
        with self.db.read():
            rows = self.db.rows("SELECT path, stamp FROM inbox_files WHERE model = ?", self.model)
        return {row["path"]: row["stamp"] for row in rows}

    def keep(self, stamps: Mapping[str, str]) -> None:
        """These were dealt with under these stamps; an older stamp of the same path is replaced."""
        with self.db.write():
            self.db.change_all(
                "INSERT INTO inbox_files (model, path, stamp) VALUES (?, ?, ?)"
                " ON CONFLICT (model, path) DO UPDATE SET stamp = excluded.stamp",
                ((self.model, path, stamp) for path, stamp in stamps.items()),
            )

    def drop(self, paths: Iterable[str]) -> None:
        """These have gone, or are to be offered again."""
        with self.db.write():
            self.db.change_all(
                "DELETE FROM inbox_files WHERE model = ? AND path = ?", ((self.model, path) for path in paths)
            )


class Inboxes:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def dealt_with(self, model: str) -> DealtWith:
        """The memory of a model's inbox."""
        return DealtWith(self._db, model)
