from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from trainers.base import DataFile, TrainingError
from trainers.mlflow_registry import MlflowRegistry
from trainers.tracking import Entry, Tracking, metric_name, metric_names

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
FILE = DataFile("/inbox/monday.csv", "ab" * 32, 120)


def check(step: int = 1, version: str = "1", **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "key": f"check {step}", "kind": "check", "model": "flows", "version": version, "name": "check monday.csv",
        "at": NOON + timedelta(hours=step), "step": step,
        "steps": {"rows": 120, "psi.max": 0.1 * step, "psi/Flow Bytes/s": 0.5, "p.min": float("nan")},
        "metrics": {"rows": 120, "psi/Länge <b>": 0.25}, "params": {"file": "monday.csv", "long": "x" * 9000},
        "tags": {"driftcatcher.verdict": "drift"}, "data": FILE, "pictures": {"one.png": b"\x89PNG"},
    }  # fmt: skip
    return Entry(**{**values, **changes})


def client(registry: MlflowRegistry) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(registry.tracking_uri, registry.tracking_uri)


def runs(registry: MlflowRegistry) -> dict[str, list[Any]]:
    experiment = client(registry).get_experiment_by_name("driftcatcher/flows")
    found: dict[str, list[Any]] = {}
    for run in client(registry).search_runs([experiment.experiment_id]):
        found.setdefault(run.info.run_name, []).append(run)
    return found


def points(registry: MlflowRegistry, run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client(registry).get_metric_history(run_id, metric)]


def test_a_check_is_a_step_of_the_long_lived_run_and_a_run_below_it(registry):
    tracking = Tracking(registry)
    first = tracking.log(check(1))
    second = tracking.log(check(2), first.run_id)
    assert first.run_id == second.run_id
    assert first.own_url.startswith("http://127.0.0.1:5000/#/experiments/")
    found = runs(registry)
    (long_lived,) = found["monitoring v1"]
    assert long_lived.info.status == "RUNNING"
    assert points(registry, first.run_id, "psi.max") == [(1, 0.1), (2, 0.2)]
    (at, _) = (m.timestamp for m in client(registry).get_metric_history(first.run_id, "psi.max"))
    assert at == (NOON + timedelta(hours=1)).timestamp() * 1000
    assert long_lived.data.metrics["psi/Flow Bytes/s"] == 0.5
    assert "p.min" not in long_lived.data.metrics, "NaN is no point of a chart"
    own = min(found["check monday.csv"], key=lambda run: run.info.start_time)
    assert own.data.tags["mlflow.parentRunId"] == first.run_id
    assert own.data.tags["driftcatcher.verdict"] == "drift"
    assert own.data.metrics == {"rows": 120, "psi/Länge _b_": 0.25}
    assert own.data.params["file"] == "monday.csv"
    assert (own.info.status, own.info.start_time) == ("FINISHED", at)
    (given,) = own.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("monday.csv", FILE.sha256[:36])
    assert [tag.value for tag in given.tags] == ["check"]
    assert [file.path for file in client(registry).list_artifacts(own.info.run_id, "plots")] == [
        "plots/one.png"
    ]


def test_what_may_have_got_through_is_logged_once(registry, monkeypatch):
    tracking = Tracking(registry)
    logged = tracking.log(check(1))
    assert Tracking(registry).log(check(1), None, again=True) == logged, (
        "the long-lived run is found by its tags"
    )

    def cut_off(*_: Any, **__: Any) -> None:
        raise OSError("the connection broke")

    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, "set_terminated", cut_off)
        with pytest.raises(TrainingError, match="the connection broke"):
            tracking.log(check(2), logged.run_id)
    tracking.log(check(2), logged.run_id, again=True)
    assert points(registry, logged.run_id, "psi.max") == [(1, 0.1), (2, 0.2)]
    assert [run.info.status for run in runs(registry)["check monday.csv"]] == ["FINISHED", "FINISHED"]


CALLS = ("create_run", "log_batch", "log_inputs", "log_artifact", "set_terminated")


def test_whoever_dies_after_any_call_leaves_nothing_double_and_nothing_half(registry, monkeypatch):
    made = {name: getattr(mlflow.MlflowClient, name) for name in CALLS}
    left: list[int] = []

    def dying(name: str) -> Any:
        def call(self: mlflow.MlflowClient, *args: Any, **kwargs: Any) -> Any:
            done = made[name](self, *args, **kwargs)
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt  # the store has it, and nobody heard of it
            return done

        return call

    for name in CALLS:
        monkeypatch.setattr(mlflow.MlflowClient, name, dying(name))
    deaths = 0
    for step in range(1, 50):
        left[:] = [step]
        again = False
        try:
            Tracking(registry).log(check(step), None)
        except KeyboardInterrupt:
            again, deaths = True, deaths + 1
            left[:] = [-1]
            Tracking(registry).log(check(step), None, again=True)
        if not again:
            break
    assert deaths >= len(CALLS) + 1
    found = runs(registry)
    (long_lived,) = found["monitoring v1"]
    assert [at for at, _ in points(registry, long_lived.info.run_id, "rows")] == list(range(1, step + 1))
    assert [run.info.status for run in found["check monday.csv"]] == ["FINISHED"] * step
    assert all(len(run.inputs.dataset_inputs) == 1 for run in found["check monday.csv"])


def test_another_champion_has_a_run_of_its_own_and_that_of_the_last_ends(registry):
    tracking = Tracking(registry)
    first = tracking.log(check(1))
    second = tracking.log(check(2, version="2"))
    back = tracking.log(check(3), first.run_id)
    assert second.run_id != first.run_id == back.run_id
    states = {name: found[0].info.status for name, found in runs(registry).items() if "monitoring" in name}
    assert states == {"monitoring v1": "FINISHED", "monitoring v2": "RUNNING"}
    assert [step for step, _ in points(registry, first.run_id, "rows")] == [1, 3]


def test_a_long_lived_run_that_somebody_deleted_is_begun_anew(registry):
    tracking = Tracking(registry)
    first = tracking.log(check(1))
    client(registry).delete_run(first.run_id)
    with pytest.raises(TrainingError, match="active"):
        tracking.log(check(2), first.run_id)
    second = tracking.log(check(2), first.run_id, again=True)
    assert second.run_id != first.run_id
    assert points(registry, second.run_id, "rows") == [(2, 120)]


def test_moves_of_the_champion_are_tags_of_the_versions_that_are_still_there(registry):
    with registry.session("flows") as (store, _):
        store.create_registered_model("flows")
        store.create_model_version("flows", "file:///nowhere")
    tags = {"1": {"driftcatcher.promoted": "by ann"}, "2": {"driftcatcher.rolled_back": "by bob"}}
    Tracking(registry).tag_versions("flows", tags)
    assert client(registry).get_model_version("flows", "1").tags == {"driftcatcher.promoted": "by ann"}


def test_steps_alone_make_no_run_of_their_own(registry):
    logged = Tracking(registry).log(check(1, name=""))
    assert logged.own_url == ""
    assert list(runs(registry)) == ["monitoring v1"]


def test_more_metrics_than_a_call_takes_are_cut_and_the_first_of_two_alike_counts(registry):
    many = {f"f{n}": float(n) for n in range(1200)}
    logged = Tracking(registry).log(replace(check(1), steps={"a<": 1.0, "a>": 2.0, **many}))
    metrics = client(registry).get_run(logged.run_id).data.metrics
    assert (len(metrics), metrics["a_"]) == (900, 1.0)


@given(st.text(min_size=1, max_size=40))
def test_any_column_has_a_name_that_mlflow_takes(text):
    _validate_metric_name(f"psi/{metric_name(text)}")
    _validate_metric_name(metric_name(text))


@given(st.lists(st.text(min_size=1, max_size=12) | st.text("a(_2", min_size=1, max_size=5), unique=True))
def test_each_metric_of_a_record_has_a_name_of_its_own(texts):
    found = metric_names(texts)
    assert list(found) == texts
    assert len(set(found.values())) == len(texts)
    for name in found.values():
        _validate_metric_name(f"old_holdout.challenger.{name}")
        assert metric_name(name) == name
    assert texts == [] or found[texts[0]] == metric_name(texts[0])


def test_long_names_that_differ_at_their_end_stay_apart():
    one, other = metric_names(["recall/" + "x" * 300 + end for end in "ab"]).values()
    assert one != other
    _validate_metric_name(f"old_holdout.challenger.{other}")
