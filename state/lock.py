"""One bot owns a state file: an exclusive lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from state.process import Process
from state.records import StateError


class LockedError(StateError):
    """Another process owns the state file: the message says who, where and since when."""


class OwnerLock:
    """Exclusive `flock` on `<state file>.lock`, with the holder's pid, host and start written in.

    The lock goes with the process, also after kill -9. The file stays: removing it would let two
    processes lock two different files of the same name. A forked child shares the lock; a child
    started with `subprocess` does not.
    """

    def __init__(self, state_path: Path | str) -> None:
        self._state = Path(state_path)
        self.path = Path(f"{state_path}.lock")
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock at once or raise `LockedError`; StateError if the lock file cannot be opened."""
        if self._fd is not None:
            raise StateError(f"{self._state} is already locked by this process")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StateError(f"cannot open the lock file {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(fd)
            os.close(fd)
            raise LockedError(
                f"{self._state} is in use by another bot ({holder}); "
                "stop that one first, or give this one its own state file"
            ) from error
        self._fd = fd
        me = Process.of()
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": me.pid, "host": me.host, "since": since}).encode(), 0)

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self._fd is None:
            return
        os.ftruncate(self._fd, 0)
        os.close(self._fd)  # closing drops the flock
        self._fd = None

    def __enter__(self) -> OwnerLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder(fd: int) -> str:
    try:
        holder = json.loads(os.pread(fd, 4096, 0))
        return f"pid {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):  # it has the lock but has not written its name yet
        return "which is just starting"
