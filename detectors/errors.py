"""Errors about data: each says what is wrong, where, and what to do."""

from __future__ import annotations


class DataError(ValueError):
    """A file or table that cannot be used as it is.

    Attributes:
        kind: a short stable word for machines (empty_file, no_rows, truncated, unreadable, columns, ...).
        message: what, where and what to do, in one sentence.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str]]:
        return type(self), (self.kind, self.message)  # it may come from another process


class DetectorFailed(Exception):
    """A detector gave no answer; the text says why, in words for people."""
