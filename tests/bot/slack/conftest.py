"""Records to show, hostile names, and a checker of Slack's limits that is independent of the embedded workspace."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.status import ModelStatus
from bot.workspace.limits import check_message, check_view
from detectors.metrics import Metrics
from detectors.report import DriftReport, FeatureDrift
from state.records import Batch, Feedback, HistoryPoint, Incident, PerformanceRecord, Retrain, Silence
from trainers.base import DataFile, Evaluation, ModelVersion, RetrainOutcome

T0 = datetime(2025, 5, 1, 7, 0, tzinfo=UTC)
HOSTILE = (
    "<!channel>",
    "*bold* _it_ ~gone~ `code` ```",
    "<https://evil.example|click> & <@U0ANNA>",
    "a" * 300,
    "line one\nline two\ttab\x00\x07",
    "🚨🚨 <!here> 🚨",
    "\u202egpj.exe \u200b\ufeff",
    "bad \udcff byte",
    "   ",
    "&amp;&lt;",
)
# Everything between < and > that mrkdwn of ours may hold.
MARKUP = re.compile(
    r"<(?:@[UW][A-Z0-9]+|#[A-Z0-9]+|!subteam\^S[A-Z0-9]+|!date\^\d+\^[^<>|]+\|[^<>|]+|https?://[^<>|\s]+\|[^<>]+)>"
)


class Make:
    """Builds records with sensible values; keyword arguments replace them."""

    hostile = HOSTILE
    t0 = T0

    @staticmethod
    def finding(feature: str = "Flow Duration", psi: float = 0.83, **changes: Any) -> FeatureDrift:
        finding = FeatureDrift(feature, "psi", psi, psi * 0.95, 1e-9, "significant", True, "median 12 → 88")
        return replace(finding, **changes)

    def report(
        self, drifted: int = 2, stable: int = 3, names: tuple[str, ...] = (), **changes: Any
    ) -> DriftReport:
        names = names or tuple(f"feature {n}" for n in range(1, drifted + 1))
        found = [self.finding(feature, 0.9 - 0.001 * n) for n, feature in enumerate(names)]
        calm = [
            self.finding(f"calm {n}", 0.01, severity="none", drifted=False, detail="", p_value=0.4)
            for n in range(stable)
        ]
        report = DriftReport("drift", "label", 0.34, 20_000, (*found, *calm), baseline_version="4")
        return replace(report, **changes)

    def batch(self, report: DriftReport | None = None, **changes: Any) -> Batch:
        report = report or self.report()
        batch = Batch(
            id=7,
            model="fraud",
            sha256="ab" * 32,
            path="/data/inbox/flows_0501.csv",
            baseline_version="4",
            policy_sha="p",
            state="checked",
            claimed_at=T0,
            checked_at=T0 + timedelta(minutes=2),
            rows=report.rows,
            verdict=report.verdict,
            overall_psi=report.overall_psi,
            report=report,
        )
        return replace(batch, **changes)

    def failed(self, **changes: Any) -> Batch:
        nothing = {"report": None, "verdict": None, "rows": None, "overall_psi": None, "state": "failed"}
        told = {"error": "The last line is cut off.", "error_kind": "truncated"}
        return replace(self.batch(), **{**nothing, **told, **changes})

    @staticmethod
    def incident(state: str = "open", **changes: Any) -> Incident:
        incident = Incident(3, "fraud", state, T0, 7, 7, 1, "C0DRIFT", "1746082800.000100")  # type: ignore[arg-type]
        return replace(incident, **changes)

    @staticmethod
    def silence(**changes: Any) -> Silence:
        return replace(Silence(1, "fraud", T0 + timedelta(hours=6), "U0ANNA", 3), **changes)

    @staticmethod
    def feedback(verdict: str = "true_drift", **changes: Any) -> Feedback:
        said = Feedback(1, "fraud", verdict, "U0ANNA", T0, incident_id=3)  # type: ignore[arg-type]
        return replace(said, **changes)

    @staticmethod
    def metrics(recall: float | None = 0.98, **changes: Any) -> Metrics:
        values: dict[str, Any] = {
            "rows": 1000,
            "accuracy": 0.99,
            "precision": 0.97,
            "recall": recall,
            "f1": 0.975,
        }
        values |= {"roc_auc": 0.995, "fpr": 0.01, "fnr": None if recall is None else 1 - recall}
        values |= {"tn": 490, "fp": 5, "fn": 10, "tp": 495}
        return Metrics(**{**values, **changes})

    @staticmethod
    def version(number: int = 4, **changes: Any) -> ModelVersion:
        data = (
            DataFile("/data/base/2017.csv", "cd" * 32, 157_412),
            DataFile("/data/base/more.csv", "ce" * 32, 1),
        )
        version = ModelVersion(
            model="fraud",
            version=number,
            run_id="r1",
            run_url="http://127.0.0.1:5000/#/experiments/1/runs/r1",
            model_uri="models:/m-1",
            artifact_sha256="00" * 32,
            baseline_path="/home/models/fraud/v5/baseline.npz",
            baseline_sha256="01" * 32,
            data=data,
            evaluations=(),
            trainer="hist_gradient_boosting",
        )
        return replace(version, **changes)

    def outcome(self, recommendation: str = "promote", **changes: Any) -> RetrainOutcome:
        def evaluations(old: float, new: float | None) -> tuple[Evaluation, ...]:
            fresh = self.metrics(new, roc_auc=None, precision=None if new is None else 0.9)
            return (Evaluation("old", 1000, self.metrics(old)), Evaluation("new", 150, fresh))

        outcome = RetrainOutcome(
            champion=evaluations(0.984, None),
            challenger=evaluations(0.98, 0.97),
            version=self.version(5),
            recommendation=recommendation,  # type: ignore[arg-type]
            reasons=("Recall on the new hold-out is 97.0 %; at least 85.0 % is asked.",),
        )
        return replace(outcome, **changes)

    def retrain(self, state: str = "succeeded", **changes: Any) -> Retrain:
        retrain = Retrain(
            id=2,
            model="fraud",
            state=state,  # type: ignore[arg-type]
            incident_id=3,
            files=(DataFile("/data/labeled/fraud/scan.csv", "ef" * 32, 500),),
            champion_version=4,
            approved_by="U0ANNA",
            approved_at=T0 + timedelta(hours=3, minutes=2),
            outcome=None if state in ("queued", "running", "failed", "interrupted") else self.outcome(),
            error="Disk full" if state == "failed" else None,
            decided_by="U0BENO" if state in ("promoted", "kept", "rolled_back") else None,
            decided_at=T0 + timedelta(hours=4) if state in ("promoted", "kept", "rolled_back") else None,
        )
        return replace(retrain, **changes)

    @staticmethod
    def points(psis: tuple[float | None, ...]) -> tuple[HistoryPoint, ...]:
        return tuple(
            HistoryPoint(
                T0 + timedelta(hours=n),
                f"/in/b{n}.csv",
                1000,
                "drift" if (psi or 0) > 0.2 else "stable",
                psi,
                "",
            )
            for n, psi in enumerate(psis)
        )

    @staticmethod
    def performance(**changes: Any) -> PerformanceRecord:
        metrics = {"accuracy": 0.88, "recall": 0.8, "roc_auc": 0.91, "tp": 40, "fp": 2, "fn": 10, "tn": 48}
        said = ("Accuracy is 88.0 %, at least 90.0 % is asked.",)
        record = PerformanceRecord(
            1, "fraud", "/p/pred.csv", "aa" * 32, T0, 100, metrics, said, "http://127.0.0.1:5000/x"
        )
        return replace(record, **changes)

    def status(self, model: str = "fraud", **changes: Any) -> ModelStatus:
        status = ModelStatus(
            model=model,
            champion_version=4,
            champion_since=T0,
            last_batch=self.batch(),
            counters={"batches": 12, "alerts": 2},
            history=self.points((0.03, 0.34)),
        )
        return replace(status, **changes)


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def _check_text(node: dict[str, Any]) -> None:
    text = node["text"]
    assert 1 <= len(text) <= 3000
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202a-\u202e\u200b]", text)
    if node["type"] == "mrkdwn":
        rest = MARKUP.sub("", text)
        assert "<" not in rest and ">" not in rest.replace("\n> ", ""), text
        assert re.sub(r"&(amp|lt|gt);", "", text).count("&") == 0, text


LIMITS = {"value": 2000, "action_id": 255, "block_id": 255}


def _check_node(node: dict[str, Any]) -> None:
    kind = node.get("type")
    if kind in ("mrkdwn", "plain_text"):
        _check_text(node)
    for name, most in LIMITS.items():
        assert len(str(node.get(name, ""))) <= most
    if kind == "header":
        assert len(node["text"]["text"]) <= 150
    if kind == "button":
        assert len(node["text"]["text"]) <= 75
    if "confirm" in node and isinstance(node["confirm"], dict) and "deny" in node["confirm"]:
        assert len(node["confirm"]["title"]["text"]) <= 100
        assert len(node["confirm"]["text"]["text"]) <= 300
    if "options" in node:
        values = [option["value"] for option in node["options"]]
        assert 1 <= len(values) <= 100 and len(set(values)) == len(values)
        assert all(
            len(option["text"]["text"]) <= 75 and len(option["value"]) <= 75 for option in node["options"]
        )
    if kind == "table":
        assert 2 <= len(node["rows"]) <= 100
        assert len({len(row) for row in node["rows"]}) == 1
        assert all(len(cell["text"]) >= 1 for row in node["rows"] for cell in row)


@pytest.fixture(scope="session")
def accepted() -> Callable[[Any], Any]:
    """Fails for a message that Slack would refuse or that lets somebody else's markup through."""

    def check(message: Any) -> Any:
        text, blocks = message
        json.dumps([text, blocks]).encode()
        text.encode()
        assert 1 <= len(text) <= 4000
        _check_text({"type": "mrkdwn", "text": text[:3000].rsplit("<", 1)[0] if len(text) > 3000 else text})
        assert len(blocks) <= 50
        assert sum(block["type"] == "table" for block in blocks) <= 1
        assert (
            sum(len(node["text"]) for node in _nodes(blocks) if isinstance(node.get("text"), str)) <= 13_200
        )
        for node in _nodes(blocks):
            _check_node(node)
        check_message(text, blocks, [])
        return message

    return check


@pytest.fixture(scope="session")
def accepted_view() -> Callable[[Any], Any]:
    """The same for a modal or a home tab."""

    def check(view: Any) -> Any:
        json.dumps(view).encode()
        assert len(view["blocks"]) <= 100
        assert len(view.get("private_metadata", "")) <= 3000
        for part in ("title", "submit", "close"):
            assert len(view.get(part, {}).get("text", "")) <= 24
        for node in _nodes(view):
            _check_node(node)
        check_view(view, view["type"])
        return view

    return check


def _element(element: dict[str, Any]) -> str:
    if element["type"] == "static_select":
        return "<" + " | ".join(option["text"]["text"] for option in element["options"]) + ">"
    style = f" ({element['style']})" if "style" in element else ""
    asks = " ?" if "confirm" in element else ""
    return f"[{element['text']['text']}{style}{asks}]"


@pytest.fixture(scope="session")
def shown() -> Callable[[Any], str]:
    """The blocks of a message as the lines a reader sees, dates in UTC."""

    def draw(message: Any) -> str:
        lines: list[str] = []
        for block in message.blocks:
            if block["type"] == "table":
                lines += [" | ".join(cell["text"] for cell in row) for row in block["rows"]]
            elif block["type"] == "actions":
                lines.append(" ".join(map(_element, block["elements"])))
            elif block["type"] == "context":
                lines += ["~ " + element["text"] for element in block["elements"]]
            elif block["type"] == "header":
                lines.append("# " + block["text"]["text"])
            elif block["type"] != "divider":
                lines.append(block["text"]["text"])
        return re.sub(r"<!date\^\d+\^[^|]*\|([^>]*)>", r"\1", "\n".join(lines)) + "\n"

    return draw


@pytest.fixture(scope="session")
def pressed() -> Callable[[Any], list[str]]:
    """The action ids that a message or view offers, in order."""

    def collect(message: Any) -> list[str]:
        return [node["action_id"] for node in _nodes(list(message)) if "action_id" in node]

    return collect
