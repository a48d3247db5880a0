"""A detector of somebody else that hangs, crashes or eats memory is named, and the check goes on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.isolation import contained, is_ours
from detectors.psi import PSI

PLUGINS = """
import ctypes, os, sys, time
from dataclasses import dataclass
from detectors.base import Score

@dataclass(frozen=True)
class Sound:
    moderate: float = 0.1
    significant: float = 0.2
    deed: str = ""
    name = "foreign"

    def score(self, reference, current):
        print("to standard output, where the answers are")
        if self.deed == "hang":
            time.sleep(600)
        if self.deed == "exit":
            os._exit(7)
        if self.deed == "segfault":
            ctypes.string_at(0)
        if self.deed == "memory":
            return Score(float(len(bytearray(3 << 30))))
        if self.deed == "late" and current.name == "Flow Duration":
            os._exit(7)
        if self.deed == "wrong":
            return 5
        return Score(0.0, None, 0.0, str(os.getpid()))

    def rows_needed(self, reference, alpha):
        return 10.0

@dataclass(frozen=True)
class Table:
    moderate: float = 0.1
    significant: float = 0.2
    name = "foreign_table"

    def score_table(self, reference, current):
        return Score(0.0, 0.9, 0.0, f"{reference.rows} and {current.rows} rows by {os.getpid()}")
"""


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    package = tmp_path / "site" / "foreign_detectors"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PLUGINS)
    monkeypatch.syspath_prepend(package.parent)
    yield package.name
    sys.modules.pop(package.name, None)


def configured(foreign: str, deed: str, limits: str = "") -> str:
    return (
        f'{limits}\n[models.detectors.psi]\n[models.detectors.f]\nuse = "{foreign}:Sound"\ndeed = "{deed}"\n'
    )


BAD = {
    "hang": "it took longer than 2 s and was ended (`detector_limit`)",
    "exit": "its process ended with status 7",
    "segfault": "its process was killed by SIGSEGV",
    "memory": "it needs more memory than it may have (limit 300 MB: `detector_memory_mb`)",
    "wrong": "it answered 5, not a Score or None",
}


@pytest.mark.parametrize("deed", BAD)
def test_what_a_detector_does_to_its_process_is_reported_and_the_rest_goes_on(
    watch, traffic, foreign, deed
) -> None:
    limits = "detector_memory_mb = 300\n" + ('detector_limit = "2s"' if deed == "hang" else "")
    watched = watch(configured(foreign, deed, limits))
    batch = watched.app.monitoring.check(watched.model, traffic.drifted).batch
    (error,) = batch.report.errors
    assert error.startswith("detector foreign failed on 27 features (")
    assert BAD[deed] in error
    assert (batch.verdict, {f.detector for f in batch.report.features}) == ("drift", {"psi"})


def test_one_process_answers_for_all_features_of_a_check_and_then_ends(watch, traffic, foreign) -> None:
    watched = watch(configured(foreign, ""))
    report = watched.app.monitoring.check(watched.model, traffic.stable).batch.report
    assert report.errors == ()
    (worker,) = {int(f.detail) for f in report.features if f.detector == "foreign"}
    assert worker != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_what_was_measured_before_a_crash_stands(watch, traffic, foreign) -> None:
    watched = watch(configured(foreign, "late"))
    report = watched.app.monitoring.check(watched.model, traffic.stable).batch.report
    asked = {f.feature for f in report.features if f.detector == "psi"}
    measured = {f.feature for f in report.features if f.detector == "foreign"}
    assert "Flow Duration" in asked - measured
    assert measured


def test_a_whole_table_detector_of_somebody_else(watch, traffic, foreign) -> None:
    watched = watch(f'[models.detectors.psi]\n[models.detectors.t]\nuse = "{foreign}:Table"\n')
    report = watched.app.monitoring.check(watched.model, traffic.stable).batch.report
    (found,) = [f for f in report.features if f.detector == "foreign_table"]
    assert found.detail.startswith("3000 and 1200 rows by ")
    assert not found.detail.endswith(f" {os.getpid()}")


def test_our_own_run_in_this_process(watched) -> None:
    with contained(watched.model) as detectors:
        assert detectors == (PSI(),)
        assert is_ours(detectors[0])


FORKING = """
import os, time
from detectors.base import Score


class Forks:
    name, moderate, significant = "forks", 0.1, 0.2

    def score(self, reference, current):
        if os.fork() == 0:
            time.sleep(120)
            os._exit(0)
        time.sleep(120)
        return Score(0.0)
"""


def test_a_detector_that_starts_processes_is_ended_with_all_of_them(
    watch, traffic, tmp_path, monkeypatch
) -> None:
    (tmp_path / "forking_plugin.py").write_text(FORKING)
    monkeypatch.syspath_prepend(tmp_path)
    table = '[models.detectors.forks]\nuse = "forking_plugin:Forks"\n'
    watched = watch(f'detector_limit = "2s"\n[models.detectors.psi]\n{table}')
    started = time.monotonic()
    report = watched.app.monitoring.check(watched.model, traffic.drifted).batch.report
    assert time.monotonic() - started < 60
    assert report is not None and any("took longer than 2 s" in error for error in report.errors)
