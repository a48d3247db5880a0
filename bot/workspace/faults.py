"""Faults on demand: the next calls of a method fail as a real Slack sometimes does."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure to come.

    Attributes:
        method: Web API method, or ``upload`` (the upload URL) or ``response_url``.
        status: HTTP status, e.g. 429 or 500; with 200 the answer is ``{"ok": false, "error": error}``.
        retry_after: seconds in the Retry-After header of a 429.
        error: Slack's error name; empty for the usual one of the status.
        applied: the call takes effect and only its answer is lost.
    """

    method: str
    status: int
    retry_after: int
    error: str
    applied: bool


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call that the app made: what it asked (without tokens) and what it was told."""

    method: str
    params: dict[str, Any]
    error: str | None
    at: float


class Faults:
    """Failures that wait for their method to be called. Appending and popping are thread-safe."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = {}

    def add(self, fault: Fault, times: int) -> None:
        self._waiting.setdefault(fault.method, deque()).extend([fault] * times)

    def take(self, method: str) -> Fault | None:
        waiting = self._waiting.get(method)
        return waiting.popleft() if waiting else None
