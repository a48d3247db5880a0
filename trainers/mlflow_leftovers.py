"""What a training leaves in MLflow when it dies, or when a lost answer makes it ask twice: found by its name and ended.

Runs carry the tag `driftcatcher.job`. A run stays, marked as killed, with whatever it has logged; a version that nobody
knows of is deleted with its aliases, so that it can neither be served nor promoted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

JOB = "driftcatcher.job"
_ENDED = "driftcatcher.ended"


def end_runs(
    client: MlflowClient,
    experiment: str,
    model: str,
    job: str,
    *,
    but_run: str = "",
    known: Collection[int] = (),
) -> tuple[int, ...]:
    """End the runs of a job but one, and delete their versions but those that are `known`; the deleted numbers."""
    deleted: list[int] = []
    for run in client.search_runs([experiment], f"tags.`{JOB}` = '{job}'"):
        run_id = str(run.info.run_id)
        deleted += _delete_versions(client, model, run_id, known)
        if run_id != but_run:
            _end(client, experiment, run_id)
    return tuple(deleted)


def _delete_versions(client: MlflowClient, model: str, run_id: str, known: Collection[int]) -> list[int]:
    deleted = []
    for version in client.search_model_versions(f"run_id='{run_id}'"):
        number = int(version.version)
        if version.name == model and number not in known:
            client.delete_model_version(model, str(number))  # its aliases go with it
            deleted.append(number)
    return deleted


def _end(client: MlflowClient, experiment: str, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    for logged in _models(client, experiment, run_id):
        # Too late for one that is ready or failed: those stay what they are.
        with contextlib.suppress(MlflowException):
            if logged.status == "PENDING":
                client.finalize_logged_model(logged.model_id, "FAILED")
    client.set_tag(run_id, _ENDED, "interrupted")
    client.set_terminated(run_id, "KILLED")


def _models(client: MlflowClient, experiment: str, run_id: str) -> list[Any]:
    return list(client.search_logged_models([experiment], f"source_run_id = '{run_id}'"))
