"""Verbs on posts: where a message is in Slack, so that it can be edited and answered later."""

from __future__ import annotations

from state.database import Database


class Posts:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def remember_post(self, key: str, channel: str, ts: str) -> None:
        """The message known under `key` ("retrain_finished:3") is there; the newest place counts."""
        with self._db.write():
            self._db.change(
                "INSERT INTO posts (key, channel, ts) VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET channel = excluded.channel, ts = excluded.ts",
                key,
                channel,
                ts,
            )

    def post_of(self, key: str) -> tuple[str, str] | None:
        """Channel and ts of a message, None if it was never posted."""
        with self._db.read():
            row = self._db.row("SELECT channel, ts FROM posts WHERE key = ?", key)
        return None if row is None else (row["channel"], row["ts"])
