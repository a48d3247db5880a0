"""A training as a job: plain JSON in, plain JSON out, so that it can run in a process of its own."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.config import Config
from bot.engine import on_cluster
from bot.lineage import origin_of
from bot.serving import SECRET as WEBHOOK_SECRET
from bot.tracking import place_of
from bot.trainer_options import load_trainer
from detectors.location import location
from state.records import Retrain
from state.store import Store
from trainers.base import (
    DataFile,
    Gate,
    LabelSpec,
    ModelVersion,
    Progress,
    RetrainOutcome,
    Trainer,
    TrainingError,
)
from trainers.lineage import Origin
from trainers.mixing import ALL, Mix

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetrainJob:
    """Everything a retrain needs to know; nothing in it is looked up elsewhere."""

    champion: ModelVersion
    files: tuple[DataFile, ...]
    spec: LabelSpec
    gate: Gate
    trainer: Mapping[str, Any]  # the [models.trainer] table
    home: str
    baselines: str  # empty: in `home`
    tracking_uri: str
    ui_url: str
    tags: Mapping[str, str]
    cluster: str = ""
    origin: Origin = field(default_factory=Origin)
    memory_mb: int | None = None  # beyond what Python and its libraries take
    mix: Mix = ALL

    def to_json(self) -> str:
        """For the child's standard input, on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RetrainJob:
        """The inverse of `to_json`."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_json(text)


def job_for(config: Config, store: Store, retrain: Retrain) -> RetrainJob:
    """The job of one approved retrain. StateError or TrainingError when something it needs is gone."""
    try:
        model = config.model(retrain.model)
    except LookupError as error:
        raise TrainingError(str(error)) from error
    tags = {
        "driftcatcher.approved_by": retrain.approved_by,
        "driftcatcher.retrain": str(retrain.id),
        "driftcatcher.job": retrain.job,
    }
    version = str(retrain.champion_version)
    if run := store.tracking_run(place_of(config), retrain.model, version):
        tags["mlflow.parentRunId"] = run.run_id  # it was made for what that run shows
    expected = store.expectation(retrain.model, retrain.champion_version, retrain.files)
    if expected is not None:
        moved = expected.cell.differences["accuracy"]
        tags["driftcatcher.expected_gain"] = f"{moved.value:+.4f} ({moved.low:+.4f} to {moved.high:+.4f})"
    approved: dict[str, Any] = {"why": retrain.why, "incident": retrain.incident_id, "retrain": retrain.id}
    return RetrainJob(
        champion=store.version(retrain.model, retrain.champion_version).record,
        files=retrain.files,
        spec=model.label_spec(),
        gate=model.promotion_gate(),
        trainer=model.trainer,
        home=str(config.home),
        baselines="" if config.baselines is None else str(config.baselines),
        tracking_uri=config.mlflow.tracking_uri,
        ui_url=config.mlflow.ui_url,
        tags=tags,
        cluster=config.cluster,
        origin=origin_of(config, model, retrain.approved_by, retrain.approved_at, **approved),
        memory_mb=model.retrain_memory_mb,
        mix=model.mixing(),
    )


def trainer_of(job: RetrainJob) -> Trainer:
    """The trainer of the configuration, made with its parameters."""
    params = {k: v for k, v in job.trainer.items() if k != "use"}
    trainer = load_trainer(str(job.trainer.get("use", "hist_gradient_boosting")), params)
    return on_cluster(trainer, job.cluster)


def perform(job: RetrainJob, progress: Progress) -> RetrainOutcome:
    """Run the job in this process."""
    from trainers.mlflow_registry import MlflowRegistry
    from trainers.pipeline import retrain

    home = Path(job.home)
    trainer = trainer_of(job)
    return retrain(
        job.champion,
        list(job.files),
        job.spec,
        trainer,
        MlflowRegistry(home, job.tracking_uri or None, job.ui_url, getattr(trainer, "trusted", ())),
        home,
        gate=job.gate,
        mix=job.mix,
        baselines=location(job.baselines) if job.baselines else None,
        progress=progress,
        tags=job.tags,
        origin=job.origin,
    )


def run_in_child(
    job: RetrainJob,
    progress: Progress,
    stop: threading.Event,
    limit: timedelta = timedelta(hours=6),
    cancelled: Callable[[], bool] = lambda: False,
) -> RetrainOutcome:
    """Run the job in a process of its own. TrainingError when it fails, is killed, takes longer than `limit`,
    `stop` is set, or `cancelled` says yes.

    The child ends when its standard input closes, so it never outlives a bot that was killed.
    """
    late = threading.Event()
    child = subprocess.Popen(
        [sys.executable, "-m", "bot.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=child_environment(),
    )
    if child.stdin is None or child.stdout is None or child.stderr is None:
        raise TrainingError("the training process could not be started")
    complaints: list[bytes] = []
    drain = threading.Thread(target=lambda pipe: complaints.extend(pipe), args=(child.stderr,), daemon=True)
    watch = threading.Thread(target=_end_when_told, args=(child, stop, late, limit, cancelled), daemon=True)
    drain.start()
    watch.start()
    answer: dict[str, Any] = {}
    try:
        child.stdin.write(job.to_json().encode() + b"\n")
        child.stdin.flush()
        for line in child.stdout:
            message = json.loads(line)
            if "progress" in message:
                progress(message["progress"])
            else:
                answer = message
        code = child.wait()
    except (OSError, ValueError) as error:
        child.kill()
        raise TrainingError(f"the training process broke off: {error}") from error
    finally:
        child.stdin.close()
        child.wait()
        watch.join(timeout=5)  # it asks the state file, which may be closed afterwards
    drain.join(timeout=5)
    if late.is_set() and "outcome" not in answer:
        raise TrainingError(f"the training took longer than {limit} and was ended: see `retrain_limit`")
    said = b"".join(complaints[-20:]).decode(errors="replace")
    return _outcome(answer, code, said, stop.is_set(), job.memory_mb)


def child_environment() -> dict[str, str]:
    """Slack's tokens and the webhook's secret are not for trainers, which others may have written.

    Idle OpenMP threads must sleep, not spin: the bot answers clicks on the same cores.
    """
    secret = ("SLACK_", WEBHOOK_SECRET)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(secret)}
    return {**ours, "OMP_WAIT_POLICY": "passive"}


def _end_when_told(
    child: subprocess.Popen[bytes],
    stop: threading.Event,
    late: threading.Event,
    limit: timedelta,
    cancelled: Callable[[], bool],
) -> None:
    """End the child when it is told to or late; and what it started with it, else its pipes stay open."""
    deadline = time.monotonic() + limit.total_seconds()
    while child.poll() is None:
        if stop.wait(0.2) or cancelled():
            break
        if time.monotonic() > deadline:
            late.set()
            break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)  # its session is its own


def limit_memory(megabytes: int) -> None:
    """So much data beyond what Python and the libraries of every training have taken; see setrlimit(2)."""
    import resource

    for library in ("mlflow.sklearn", "sklearn.ensemble", "skops.io"):
        importlib.import_module(library)
    taken = 0
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        taken = int(statm.read().split()[5]) * resource.getpagesize()
    limit = taken + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def too_little(megabytes: int | None) -> str:
    """What to do about a training that had too little memory."""
    if megabytes is None:
        return "the training needs more memory than this machine has: fewer rows, or a smaller model"
    return (
        f"the training needs more than the {megabytes:,} MB that it may have: raise `retrain_memory_mb`, "
        "or give it fewer rows or a smaller model"
    )


def _outcome(
    answer: Mapping[str, Any], code: int, complaints: str, stopped: bool, memory_mb: int | None
) -> RetrainOutcome:
    if "outcome" in answer:
        from pydantic import TypeAdapter

        return TypeAdapter(RetrainOutcome).validate_python(answer["outcome"])
    if "error" in answer:
        raise TrainingError(str(answer["error"]))
    if stopped:
        raise TrainingError("the bot was stopped while the retrain ran; approve it again")
    if complaints:
        log.error("the training process said:\n%s", complaints)
    if "bad_alloc" in complaints or "MemoryError" in complaints:
        raise TrainingError(too_little(memory_mb))
    how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
    raise TrainingError(
        f"the training process {how} before it had a result; the bot's log has its last words"
    )
