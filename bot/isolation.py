"""Detectors that are not our own run in a process of their own, with limits of time and memory.

One that hangs, crashes or eats memory is reported by name, and the others go on.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from bot.config import ModelSection
from bot.plugins import load_detector
from detectors.base import AnyDetector, Detector, Score, TableDetector
from detectors.codes import CodedRows
from detectors.errors import DetectorFailed
from detectors.profile import FeatureProfile


@contextmanager
def contained(model: ModelSection) -> Iterator[tuple[AnyDetector, ...]]:
    """The configured detectors of a model for one check; the processes of foreign ones end with it."""
    made: list[AnyDetector] = []
    children: list[_Child] = []
    try:
        for use, params in model.detector_specs():
            detector = load_detector(use, params)
            if not is_ours(detector):
                seconds = model.detector_limit.total_seconds()
                detector = _stand_in(detector, _Child(use, params, seconds, model.detector_memory_mb))
                children.append(detector.child)
            made.append(detector)
        yield tuple(made)
    finally:
        for child in children:
            child.close()


def is_ours(detector: AnyDetector) -> bool:
    """Whether a detector is part of this project; those run in this process."""
    return type(detector).__module__.partition(".")[0] == "detectors"


class _Child:
    """The process of one detector: started at the first call, gone after the last or the first failure."""

    def __init__(self, use: str, params: Mapping[str, Any], seconds: float, memory_mb: int) -> None:
        self._order = {"use": use, "params": dict(params), "memory_mb": memory_mb, "path": list(sys.path)}
        self._seconds, self._left, self._memory_mb = seconds, seconds, memory_mb
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._over = ""

    def call(self, method: str, *arguments: Any) -> Any:
        """The answer of a method; DetectorFailed says why there is none."""
        if self._over:
            raise DetectorFailed(self._over)
        started, late = time.monotonic(), threading.Event()
        process = self._process or self._start()
        timer = threading.Timer(max(0.0, self._left), _end, (process, late))
        timer.start()
        line = b""
        try:
            # the pipes break when the process does, or is ended for being late
            with suppress(OSError):
                pickle.dump((method, arguments), process.stdin)  # type: ignore[arg-type]
                process.stdin.flush()  # type: ignore[union-attr]
                line = process.stdout.readline()  # type: ignore[union-attr]
        finally:
            timer.cancel()
            self._left -= time.monotonic() - started
        try:
            answer = json.loads(line)
        except ValueError:
            self._over = self._why(process, late.is_set())
            raise DetectorFailed(self._over) from None
        if "error" in answer:
            limit = f" (limit {self._memory_mb:,} MB: `detector_memory_mb`)" if answer.get("memory") else ""
            raise DetectorFailed(answer["error"] + limit)
        return answer["answer"]

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            _kill(self._process)
            self._process.communicate()
        self._complaints.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "bot.detector_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            start_new_session=True,
        )
        with suppress(OSError):
            pickle.dump(self._order, process.stdin)  # type: ignore[arg-type]
        return process

    def _why(self, process: subprocess.Popen[bytes], late: bool) -> str:
        """Why the process answers no more."""
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        if late:
            return f"it took longer than {self._seconds:g} s and was ended (`detector_limit`)"
        code = process.returncode
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            said = f"its process was killed by {name}"
        else:
            said = f"its process ended with status {code}"
        self._complaints.seek(0)
        last = self._complaints.read()[-2000:].decode(errors="replace").strip().splitlines()
        return f"{said}: {last[-1][:200]}" if last else said


def _end(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started: a fork of it would keep our pipe open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own, as start_new_session made it


class _StandIn:
    """Says of itself what the detector says, and asks its process for scores."""

    def __init__(self, made: AnyDetector, child: _Child) -> None:
        self._made, self.child = made, child

    @property
    def name(self) -> str:
        return self._made.name

    @property
    def moderate(self) -> float:
        return self._made.moderate

    @property
    def significant(self) -> float:
        return self._made.significant

    def __getattr__(self, name: str) -> Any:
        """`rows_needed` is optional: here where it is there."""
        if name == "rows_needed" and hasattr(self._made, name):
            return lambda *arguments: self.child.call(name, *arguments)
        raise AttributeError(name)


class _OfFeatures(_StandIn):
    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        return _score(self.child.call("score", reference, current))


class _OfTables(_StandIn):
    def score_table(self, reference: CodedRows, current: CodedRows) -> Score | None:
        return _score(self.child.call("score_table", reference, current))


class _OfBoth(_OfFeatures, _OfTables):
    pass


def _stand_in(made: AnyDetector, child: _Child) -> _OfFeatures | _OfTables:
    if isinstance(made, Detector) and isinstance(made, TableDetector):
        return _OfBoth(made, child)
    return _OfFeatures(made, child) if isinstance(made, Detector) else _OfTables(made, child)


def _score(answer: Any) -> Score | None:
    if answer is None:
        return None
    if not isinstance(answer, dict) or set(answer) != {"statistic", "p_value", "effect", "detail"}:
        raise DetectorFailed(f"it answered {answer!r:.80}, not a Score or None")
    return Score(**answer)
