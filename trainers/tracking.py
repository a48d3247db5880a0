"""Checks and evaluations in MLflow: a run of its own for each, and a step of one long-lived run a version.

The long-lived run ("monitoring v3") is what makes drift over time a chart. Every value, step and time is fixed before
anything is sent, and what may have been sent before is looked for: the same entry logged twice is there once.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.base import DataFile, TrainingError
from trainers.mlflow_registry import MlflowRegistry, dataset_input, short

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND = "driftcatcher.kind"
_KEY = "driftcatcher.entry"
_VERSION = "driftcatcher.version"
_LONG = 190  # characters of a metric's own name
_MOST = 900  # metrics of one call; MLflow takes 1,000
_SAFE = re.compile(r"[^\w\-. :/]")  # what MLflow takes in the name of a metric
_ABOUT = (
    "Each step is one check of a batch, or one evaluation of labelled predictions, at the time when it was made: "
    "`verdict` is 0 stable, 1 warning, 2 drift, -1 too few rows, -2 broken feed."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One result to log.

    Attributes:
        key: of this result and no other;  kind: "check" or "performance".
        model / version: what it is about.
        name: of its own run, "check monday.csv"; empty for no run of its own.
        at: when it was made;  step: its place among its kind.
        steps: metrics of the long-lived run.
        metrics / params / tags / data / pictures: of its own run; pictures are PNG by file name.
    """

    key: str
    kind: str
    model: str
    version: str
    name: str
    at: datetime
    step: int
    steps: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    data: DataFile | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Logged:
    """Where it is: the long-lived run and its URL, and the URL of its own run; URLs are empty without a server."""

    run_id: str
    run_url: str
    own_url: str = ""


class Tracking:
    """Logs entries to the store of a registry."""

    def __init__(self, registry: MlflowRegistry) -> None:
        self._registry = registry
        self._seen: dict[tuple[str, str], str] = {}  # long-lived runs that are known to be there

    def log(self, entry: Entry, known: str | None = None, *, again: bool = False) -> Logged:
        """Log one result.

        Args:
            entry: the result.
            known: the long-lived run of its version, as an earlier call told.
            again: an earlier attempt may have got through, whole or in part.

        Raises:
            TrainingError: the store refused or is away; nothing is lost by trying again.
        """
        try:
            with self._registry.session(entry.model) as (client, experiment):
                run_id = self._long_lived(client, experiment, entry, known)
                self._step(client, run_id, entry, again=again)
                own = _own_run(client, experiment, run_id, entry, again=again) if entry.name else ""
        except TrainingError:
            self._seen.pop((entry.model, entry.version), None)  # it may have been deleted
            raise
        url = self._registry.run_url
        return Logged(run_id, url(experiment, run_id), url(experiment, own) if own else "")

    def tag_versions(self, model: str, tags: Mapping[str, Mapping[str, str]]) -> None:
        """Set tags of registered versions, by number; one that somebody deleted has none to set.

        Raises:
            TrainingError: as `log` does.
        """
        from mlflow.exceptions import MlflowException

        with self._registry.session(model) as (client, _):
            for version, texts in tags.items():
                for key, value in texts.items():
                    try:
                        client.set_model_version_tag(model, version, key, short(value))
                    except MlflowException as error:
                        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                            raise

    def _long_lived(self, client: MlflowClient, experiment: str, entry: Entry, known: str | None) -> str:
        """The run of the version: the known one, else one that is there, else a new one."""
        place = (entry.model, entry.version)
        if place in self._seen:
            return self._seen[place]
        run_id = known if known and _is_active(client, experiment, known) else None
        mine = f"tags.`{KIND}` = 'monitoring' and tags.`{_VERSION}` = '{entry.version}'"
        if run_id is None:
            found = client.search_runs([experiment], mine, max_results=1, order_by=["attributes.start_time"])
            run_id = str(found[0].info.run_id) if found else None
        if run_id is None:
            tags = {KIND: "monitoring", _VERSION: entry.version, "driftcatcher.model": entry.model}
            name = f"monitoring v{entry.version}" if entry.version.isdecimal() else "monitoring"
            run_id = _create(client, experiment, name, entry.at, {**tags, "mlflow.note.content": _ABOUT})
            others = f"tags.`{KIND}` = 'monitoring' and attributes.status = 'RUNNING'"
            for other in client.search_runs([experiment], others):
                if other.info.run_id != run_id:  # of an earlier champion
                    client.set_terminated(other.info.run_id, "FINISHED")
        self._seen[place] = run_id
        return run_id

    def _step(self, client: MlflowClient, run_id: str, entry: Entry, *, again: bool) -> None:
        """One call, which a store takes whole or not at all."""
        metrics = _metrics(entry.steps, entry)
        if not metrics:
            return
        if again and any(m.step == entry.step for m in client.get_metric_history(run_id, metrics[0].key)):
            return
        client.log_batch(run_id, metrics=metrics)


def metric_name(text: str) -> str:
    """A name that MLflow takes: letters, digits, "_", "-", ".", ":", blanks, and "/" between parts."""
    name = _SAFE.sub("_", text)
    parts = [part for part in name.split("/") if part.strip(". ")]
    return "/".join(parts)[:250].rstrip("/. ") or "_"


def metric_names(texts: Iterable[str]) -> dict[str, str]:
    """The same for the metrics of one record, each its own: what would get a name twice gets "_2", "_3" … behind it.

    "recall/DoS (slow)" and "recall/DoS [slow]" are "recall/DoS _slow_" and "recall/DoS _slow__2", in that order. There
    is room for 50 characters in front.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for text in texts:
        name, number = (base := metric_name(text)[:_LONG].rstrip("/. ")), 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        found[text] = name
    return found


def _metrics(values: Mapping[str, float], entry: Entry) -> list[Any]:
    import math

    from mlflow.entities import Metric

    at = _milliseconds(entry.at)
    named: dict[str, float] = {}
    for key, value in values.items():
        if math.isfinite(value):
            named.setdefault(metric_name(key), float(value))
    return [Metric(key, value, at, entry.step) for key, value in list(named.items())[:_MOST]]


def _own_run(client: MlflowClient, experiment: str, parent: str, entry: Entry, *, again: bool) -> str:
    """The run of this entry alone, below the long-lived one; one that was begun before is ended."""
    run_id = _begun(client, experiment, entry) if again else None
    if run_id is None:
        tags = {_KEY: entry.key, KIND: entry.kind, _VERSION: entry.version, "mlflow.parentRunId": parent}
        run_id = _create(client, experiment, entry.name, entry.at, {**tags, **entry.tags})
    elif client.get_run(run_id).info.status == "FINISHED":
        return run_id
    from mlflow.entities import Param

    params = [Param(key, short(value)) for key, value in list(entry.params.items())[:100]]
    client.log_batch(run_id, metrics=_metrics(entry.metrics, entry), params=params)
    if entry.data is not None:
        client.log_inputs(run_id, [dataset_input(entry.data, entry.kind)])
    with tempfile.TemporaryDirectory() as folder:
        for name, content in entry.pictures.items():
            file = Path(folder) / name
            file.write_bytes(content)
            client.log_artifact(run_id, str(file), "plots")
    client.set_terminated(run_id, "FINISHED", end_time=_milliseconds(entry.at))
    return run_id


def _begun(client: MlflowClient, experiment: str, entry: Entry) -> str | None:
    found = client.search_runs([experiment], f"tags.`{_KEY}` = '{entry.key}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def _create(client: MlflowClient, experiment: str, name: str, at: datetime, tags: Mapping[str, str]) -> str:
    source = {"mlflow.source.name": "driftcatcher", "mlflow.source.type": "LOCAL"}
    texts = {key: short(value) for key, value in {**source, **tags}.items()}
    made = client.create_run(experiment, start_time=_milliseconds(at), tags=texts, run_name=short(name)[:250])
    return str(made.info.run_id)


def _is_active(client: MlflowClient, experiment: str, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        info = client.get_run(run_id).info
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return bool(info.lifecycle_stage == "active" and str(info.experiment_id) == experiment)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
