"""Which process holds a piece of work, and whether it still lives."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process that can be told from a later one with the same id.

    `started` is the start time in clock ticks since boot (Linux), or empty where it cannot be read.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def of(cls, pid: int | None = None) -> Process:
        """The process with this id on this host; without an id, the calling one."""
        pid = os.getpid() if pid is None else pid
        return cls(socket.gethostname(), pid, (_stat(pid) or ("", ""))[1])

    @property
    def here(self) -> bool:
        """Whether it belongs to this host."""
        return self.host == socket.gethostname()

    def alive(self) -> bool:
        """Whether it still runs on this host; False for a process of another host."""
        if not self.here or not _exists(self.pid):
            return False
        stat = _stat(self.pid)
        if stat is None:  # no /proc (macOS): the id is all there is
            return True
        state, started = stat
        return state not in "ZX" and started == self.started


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process
        return True
    return True


def _stat(pid: int) -> tuple[str, str] | None:
    """State letter and start time of a process from /proc (proc(5), fields 3 and 22), None if unreadable."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the command in parentheses may itself hold spaces
    return fields[0], fields[19]
