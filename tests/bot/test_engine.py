"""Beyond one machine: two Dask workers count to the last bit what one process counts, also when one of them dies."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from bot import engine as engines
from bot.bootstrap import Application
from bot.config import FILE_NAME, ConfigError, load
from bot.engine import DaskEngine, on_cluster
from detectors.batch_profile import profile_batch
from detectors.errors import DataError
from detectors.parts import Part, parts_of
from trainers.base import TrainingError
from trainers.sklearn_trainers import HistGradientBoosting, RandomForest

PARTS = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler and two worker processes."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (driftcatcher[dask])")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
    ) as started:
        yield started


@pytest.fixture
def engine(cluster) -> Iterator[DaskEngine]:
    made = DaskEngine(cluster.scheduler_address)
    yield made
    made.close()


@pytest.fixture
def folder(traffic, tmp_path) -> Path:
    """Eight parts, of which one is without rows."""
    made = tmp_path / "day.parquet"
    made.mkdir()
    frame = pd.read_csv(traffic.drifted)
    for i, rows in enumerate(np.array_split(np.arange(len(frame)), PARTS - 1)):
        frame.iloc[rows].to_parquet(made / f"part-{i}.parquet", index=False)
    frame[:0].to_parquet(made / f"part-{PARTS - 1}.parquet", index=False)
    return made


class Interrupted(DaskEngine):
    """Something happens as soon as the first part is counted."""

    def __init__(self, scheduler: str, happens: Callable[[], object]) -> None:
        super().__init__(scheduler)
        self.happens = happens

    def __call__(self, work: Any, shared: Any, parts: Any, progress: Any, /) -> Iterator[Any]:
        for number, result in enumerate(super().__call__(work, shared, parts, progress)):
            yield result
            if number == 0:
                self.happens()


def slow_path(shared: float, part: Part, advance: object) -> str:
    """Work that takes its time."""
    time.sleep(shared)
    return part.path.name


def missing_on_the_worker(shared: object, part: Part, advance: object) -> str:
    raise DataError("unreadable", f"{part.path} does not exist: check the path")


def stored(watched: Any, engine: Any, folder: Path) -> tuple[Any, bytes | None]:
    """Report and profile as the state keeps them after a check with this engine."""
    batch = replace(watched.app.monitoring, engine=engine).check(watched.model, folder).batch
    return batch.report, watched.app.store.profile(batch.id)


def test_the_report_is_that_of_one_machine_to_the_last_bit(watch, folder, engine, capsys) -> None:
    here, there = watch(), watch()
    started = time.perf_counter()
    local = stored(here, here.app.monitoring.engine, folder)
    local_seconds = time.perf_counter() - started
    assert stored(there, engine, folder) == local
    assert local[1] is not None
    assert local[0].rows == 1200
    with capsys.disabled():
        seconds = time.perf_counter() - started - local_seconds
        print(f"\n  {PARTS} parts: local {local_seconds:.2f} s, 2 Dask workers {seconds:.2f} s", end="")


def test_every_row_that_is_drawn_is_the_same(watched, folder, engine) -> None:
    baseline = _baseline(watched)
    ours, theirs = (
        profile_batch(baseline, folder, sample=100, **more).sample for more in ({}, {"engine": engine})
    )
    assert np.array_equal(ours.keys, theirs.keys)
    for name in ours.numeric:
        assert np.array_equal(ours.numeric[name], theirs.numeric[name], equal_nan=True)


def _baseline(watched: Any) -> Any:
    from bot.monitoring import load_baseline

    return load_baseline(watched.app.monitoring.champion(watched.model))


def test_progress_comes_part_by_part_and_errors_of_the_data_are_the_datas(watched, folder, engine) -> None:
    told: list[tuple[int, int]] = []
    profile_batch(_baseline(watched), folder, engine=engine, progress=lambda *said: told.append(said))
    size = sum(part.size for part in parts_of(folder))
    assert len(told) == PARTS
    assert told[-1] == (size, size)
    (folder / "part-3.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(DataError, match=r"part-3\.parquet is a damaged") as error:
        profile_batch(_baseline(watched), folder, engine=engine)
    assert error.value.kind == "truncated"


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(watch, folder, cluster) -> None:
    here, there = watch(), watch()
    local = stored(here, here.app.monitoring.engine, folder)
    killed: list[int] = []

    def kill_one() -> None:
        pids = dying.client().run(os.getpid)
        killed.extend(list(pids.values())[:1])
        os.kill(killed[-1], signal.SIGKILL)

    dying = Interrupted(cluster.scheduler_address, kill_one)
    assert stored(there, dying, folder) == local
    names = [part.path.name for part in parts_of(folder)]
    assert list(dying(slow_path, 0.3, parts_of(folder), None)) == names, "with work still to be done"
    dying.close()
    assert len(killed) == 2


def test_workers_that_see_other_files_are_named(engine, tmp_path) -> None:
    path = tmp_path / "part-0.csv"
    path.write_text("a\n1\n")
    with pytest.raises(
        DataError, match=r"worker tcp://\S+ sees .*part-0\.csv with 4 bytes instead of 5"
    ) as no:
        list(engine(slow_path, 0, [Part(0, path, 5)], None))
    assert no.value.kind == "engine"
    with pytest.raises(
        DataError, match=r"worker tcp://\S+ cannot read .*part-1.*: give it that folder under"
    ):
        list(engine(slow_path, 0, [Part(0, tmp_path / "part-1.csv", 5)], None))
    with pytest.raises(DataError, match="does not exist") as no:
        list(engine(missing_on_the_worker, 0, [Part(0, path, 4)], None))
    assert no.value.kind == "unreadable", "all workers see it: so it is the file"


def test_workers_without_the_package_or_with_another_version_are_told_what_to_install() -> None:
    version = engines._version()
    assert engines._problem(Exception("ModuleNotFoundError(\"No module named 'bot'\")")) == (
        "cannot load driftcatcher (ModuleNotFoundError(\"No module named 'bot'\")): install driftcatcher "
        f"{version} in its environment"
    )
    assert "has driftcatcher 0.0.1, this is" in engines._problem(("0.0.1", ""))
    assert engines._problem((version, "")) == engines._problem(OSError("it is gone")) == ""


def test_a_forest_grown_on_the_workers_is_the_same_forest(cluster) -> None:
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.normal(size=(400, 4)), columns=list("abcd"))
    labels = (features["a"] + rng.normal(size=400) > 0).to_numpy().astype(int)
    forest = RandomForest(n_estimators=12)
    there = on_cluster(forest, cluster.scheduler_address)
    assert (there.name, there.params()) == (forest.name, forest.params())
    grown, ours = there.fit(features, labels, ()), forest.fit(features, labels, ())
    assert np.array_equal(grown.predict_proba(features), ours.predict_proba(features))
    assert on_cluster(HistGradientBoosting(), cluster.scheduler_address) == HistGradientBoosting()
    assert on_cluster(forest, "") is forest


class Interruptible:
    """A trainer that loses a worker in the middle of its first training."""

    name = "interruptible"
    uses_joblib = True

    def __init__(self, happens: Callable[[], object]) -> None:
        self.happens = happens
        self.fits = 0

    def params(self) -> dict[str, object]:
        return {}

    def fit(self, features: object, labels: object, categorical: object) -> list[float]:
        self.fits += 1
        if self.fits == 1:
            threading.Timer(0.5, self.happens).start()
        return joblib.Parallel(n_jobs=2)(joblib.delayed(slowly)(number / 2) for number in (3, 3, 3, 3))


def slowly(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_a_training_whose_worker_dies_begins_anew_and_never_hangs(cluster, monkeypatch) -> None:
    monkeypatch.setattr(engines, "_LOOK", 0.2)
    pid = next(iter(cluster.workers.values())).pid
    trainer = Interruptible(lambda: os.kill(pid, signal.SIGKILL))
    assert on_cluster(trainer, cluster.scheduler_address).fit(None, None, ()) == [1.5] * 4
    assert trainer.fits == 2


class Processes:
    """A scheduler and workers that come and go, as on a real cluster."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.running: list[subprocess.Popen[bytes]] = []

    def scheduler(self) -> subprocess.Popen[bytes]:
        process = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        return self._start("dask_worker", self.address, "--no-nanny", "--nthreads", "1")

    def _start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{what}", *words, "--no-dashboard"]
        self.running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return self.running[-1]

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture
def processes() -> Iterator[Processes]:
    pytest.importorskip("distributed", reason="Dask is not installed (driftcatcher[dask])")
    made = Processes()
    yield made
    made.end()


def _wait_for_a_worker(engine: DaskEngine) -> None:
    deadline = time.monotonic() + 30
    while not engine.client().nthreads() and time.monotonic() < deadline:
        time.sleep(0.1)


def test_without_a_scheduler_nothing_is_lost(watch, folder, processes, monkeypatch) -> None:
    """None there, one without workers, one that dies in the middle, and at last one that works."""
    monkeypatch.setattr(engines, "_CONNECT", 2.0)
    watched, other = watch(), watch()
    folder = folder.rename(watched.model.inbox / folder.name)
    inbox, engine = watched.inbox(), DaskEngine(processes.address)

    def scan(engine: DaskEngine) -> Any:
        (batch,) = replace(watched.app.monitoring, engine=engine).scan(watched.model, inbox)
        return batch

    failed = scan(engine)
    assert (failed.state, failed.error_kind) == ("failed", "engine")
    assert re.search(rf"scheduler {processes.address} cannot be reached: start it", failed.error)
    ((kind, _),) = watched.said()
    assert kind == "failed_batches"

    scheduler = processes.scheduler()
    again = scan_again(watched, inbox, engine, failed.id)
    assert f"has no worker: start one with `dask worker {processes.address}`" in again.error

    processes.worker()
    _wait_for_a_worker(engine)
    dying = Interrupted(processes.address, scheduler.kill)
    again = scan_again(watched, inbox, dying, failed.id)
    assert again.error_kind == "engine"
    assert "was lost while the batch was counted" in again.error
    dying.close()

    scheduler.wait()
    processes.scheduler()
    processes.worker()
    _wait_for_a_worker(engine)
    done = scan(engine)
    engine.close()
    assert (done.id, done.state) == (failed.id, "checked")
    assert watched.app.store.profile(done.id) == stored(other, other.app.monitoring.engine, folder)[1]
    assert replace(watched.app.monitoring, engine=engine).scan(watched.model, inbox) == []


def scan_again(watched: Any, inbox: Any, engine: DaskEngine, batch_id: int) -> Any:
    """A scan that tries the failed batch again and says nothing new; what is remembered of it then."""
    replace(watched.app.monitoring, engine=engine).scan(watched.model, inbox)
    batch = watched.app.store.batch(batch_id)
    assert batch.state == "failed"
    return batch


def test_a_training_without_a_scheduler_says_so(processes, monkeypatch) -> None:
    monkeypatch.setattr(engines, "_CONNECT", 1.0)
    trainer = on_cluster(RandomForest(), processes.address)
    with pytest.raises(TrainingError, match=rf"{processes.address} cannot be reached"):
        trainer.fit(pd.DataFrame({"a": [0.0, 1.0]}), np.array([0, 1]), ())


def configured(path: Path, lines: str) -> Path:
    """The watched configuration with more lines at its head."""
    file = path / FILE_NAME
    file.write_text(lines + file.read_text(encoding="utf-8"), encoding="utf-8")
    return file


def test_the_configuration_names_engine_and_scheduler(watched) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed (driftcatcher[dask])")
    plain = watched.app.config
    assert (plain.engine, plain.cluster) == ("local", "")
    file = configured(watched.folder, 'engine = "dask"\nscheduler = "tcp://10.0.0.5:8786"\n')
    config = load(file)
    assert config.cluster == "tcp://10.0.0.5:8786"
    assert config.models[0].policy_sha == plain.models[0].policy_sha, (
        "the verdict does not depend on the engine"
    )
    application = Application.load(file)
    assert isinstance(application.monitoring.engine, DaskEngine)
    application.close()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('engine = "spark"\n', "engine"),
        ('engine = "dask"\n', 'needs scheduler = "tcp://HOST:8786"'),
        ('engine = "dask"\nscheduler = "10.0.0.5"\n', "scheduler"),
    ],
)
def test_a_wrong_engine_is_told_at_once(watched, lines, said) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        load(configured(watched.folder, lines))


def test_dask_that_is_not_installed_is_told_at_once(watched, monkeypatch) -> None:
    monkeypatch.setattr("bot.config.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'driftcatcher[dask]'")):
        load(configured(watched.folder, 'engine = "dask"\nscheduler = "tcp://10.0.0.5:8786"\n'))


def test_a_local_check_never_loads_dask(watched, folder) -> None:
    code = (
        "import sys; from bot import cli; sys.argv = ['driftcatcher', 'check', sys.argv[1]]\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('dask', 'distributed') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=watched.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "overall PSI" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "[]"
