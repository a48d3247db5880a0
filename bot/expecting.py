"""Before a retrain is approved: what it would bring, estimated in a process of its own and kept.

`python -m bot.expecting` is that process: a job as JSON on standard input, the result as JSON on output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.config import Config, ModelSection
from bot.jobs import RetrainJob, child_environment, limit_memory, too_little, trainer_of
from bot.plugins import PluginError
from bot.times import parse_duration
from detectors.errors import DataError
from state.records import Trained
from state.store import Store
from trainers.base import DataFile, LabelSpec, Progress, TrainingError, quiet
from trainers.expectation import expect
from trainers.judgement import Expectation
from trainers.mixing import Mix

if TYPE_CHECKING:
    from detectors.track_record import Champion

LIMIT = timedelta(minutes=3)  # of an estimate beside the bot
REMEMBERED = timedelta(minutes=10)  # how long one that failed is not tried again
_one_at_a_time = threading.Lock()
_failed: dict[tuple[object, ...], tuple[datetime, str]] = {}  # why, until when; under the lock


def job_of(config: Config, model: ModelSection, champion: Trained, files: Sequence[DataFile]) -> RetrainJob:
    """What a retrain on these files would be."""
    return RetrainJob(
        champion=champion.record,
        files=tuple(files),
        spec=model.label_spec(),
        gate=model.promotion_gate(),
        trainer=model.trainer,
        home=str(config.home),
        baselines="",
        tracking_uri=config.mlflow.tracking_uri,
        ui_url=config.mlflow.ui_url,
        tags={},
        cluster=config.cluster,
        memory_mb=model.retrain_memory_mb,
        mix=model.mixing(),
    )


def estimate(job: RetrainJob, progress: Progress = quiet) -> Expectation:
    """Do it in this process. A search is left out of the quick fits, which have no time for it, and adds its budget."""
    search = job.trainer.get("search")
    quick = replace(job, trainer={k: v for k, v in job.trainer.items() if k != "search"})
    found = expect(
        job.champion,
        _current(job),
        list(job.files),
        job.spec,
        trainer_of(quick),
        mix=job.mix,
        progress=progress,
    )
    more = parse_duration(search.get("budget", "10m")).total_seconds() if search else 0.0
    settings = _settings(job.trainer, job.mix, job.spec)
    return replace(found, seconds=found.seconds + more, settings=settings)


def _settings(trainer: Mapping[str, Any], mix: Mix, spec: LabelSpec) -> str:
    """A digest of what an estimate depends on beside champion and files."""
    said = json.dumps([dict(trainer), asdict(mix), asdict(spec)], sort_keys=True, default=str)
    return sha256(said.encode()).hexdigest()[:16]


def kept(
    store: Store, model: ModelSection, champion: Trained, files: Sequence[DataFile]
) -> Expectation | None:
    """The estimate that is known, if it was made with the trainer, mix and labels that are configured now."""
    known = store.expectation(model.name, champion.record.version, files)
    now = _settings(model.trainer, model.mixing(), model.label_spec())
    return known if known is not None and known.settings == now else None


def _current(job: RetrainJob) -> Champion:
    """The champion from the copy beside its baseline, else from the registry."""
    from trainers.scoring import champion, predicted

    if (asked := champion(job.champion)) is not None:
        return asked
    from trainers.mlflow_registry import MlflowRegistry

    loaded = MlflowRegistry(Path(job.home), job.tracking_uri or None, job.ui_url).load(job.champion)
    who = f"{job.champion.model} version {job.champion.version}"
    return lambda rows: predicted(loaded, rows, who, len(job.champion.classes))


def in_child(job: RetrainJob, limit: timedelta = LIMIT) -> Expectation:
    """Do it in a process of its own, behind everything else that runs.

    TrainingError when it cannot be done or takes longer than the limit.
    """
    from pydantic import TypeAdapter

    try:
        done = subprocess.run(
            [sys.executable, "-m", "bot.expecting"],
            input=job.to_json(),
            capture_output=True,
            text=True,
            timeout=limit.total_seconds(),
            env={**child_environment(), "OMP_NUM_THREADS": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TrainingError(f"the estimate took longer than {limit} and was ended") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        if "bad_alloc" in done.stderr or "MemoryError" in done.stderr:
            raise TrainingError(too_little(job.memory_mb)) from None
        raise TrainingError(
            f"the estimate ended with status {done.returncode}: {done.stderr[-300:]}"
        ) from None
    if "error" in answer:
        raise TrainingError(str(answer["error"]))
    found: Expectation = TypeAdapter(Expectation).validate_python(answer["expectation"])
    return found


def small_enough(model: ModelSection, champion: Trained, files: Sequence[DataFile]) -> bool:
    """Whether the estimate may be made unasked: all the data are read for it."""
    rows = sum(file.rows for file in (*champion.record.data, *files))
    return rows <= model.expect_rows


def kept_or_made(
    config: Config,
    store: Store,
    model: ModelSection,
    champion: Trained,
    files: Sequence[DataFile],
    now: Callable[[], datetime],
) -> Expectation:
    """The estimate that is known, or a new one, which is kept; one is made at a time.

    Whoever asks for one that is being made waits for it and gets the same answer, also where it fails.
    TrainingError when it cannot be done, or could not a short while ago.
    """
    with _one_at_a_time:
        if (known := kept(store, model, champion, files)) is not None:
            return known
        job = job_of(config, model, champion, files)
        found = _unless_it_failed(job, now)
        store.keep_expectation(model.name, champion.record.version, files, found, now())
    return found


def _unless_it_failed(job: RetrainJob, now: Callable[[], datetime]) -> Expectation:
    """Make it, but for one that failed a short while ago with the same model, files, settings and memory."""
    for key in [key for key, (until, _) in _failed.items() if until <= now()]:
        del _failed[key]
    digests = tuple(file.sha256 for file in job.files)
    settings = _settings(job.trainer, job.mix, job.spec)
    key = (job.home, job.champion.model, job.champion.version, digests, settings, job.memory_mb)
    if key in _failed:
        raise TrainingError(_failed[key][1])
    try:
        return in_child(job)
    except TrainingError as error:
        _failed[key] = now() + REMEMBERED, str(error)
        raise


def main() -> int:
    """Read the job, estimate, print the result."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not mix with our JSON
    os.nice(10)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    out.write(json.dumps(_answer(RetrainJob.from_json(sys.stdin.read()))))
    out.flush()
    return 0


def _answer(job: RetrainJob) -> dict[str, object]:
    """The estimate, or why there is none."""
    try:
        if job.memory_mb is not None:
            limit_memory(job.memory_mb)
        return {"expectation": asdict(estimate(job))}
    except MemoryError:
        return {"error": too_little(job.memory_mb)}
    except (TrainingError, DataError, PluginError) as error:
        out_of_memory = isinstance(error.__cause__, MemoryError)
        return {"error": too_little(job.memory_mb) if out_of_memory else str(error)}


def _end_with_parent(parent: int) -> None:
    """A bot that was killed needs no estimate."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
