"""The performance alert: the case, what to do, intervals, the comparison, segments."""

from __future__ import annotations

from typing import Any

from bot.slack.performance_blocks import performance_alert
from bot.slack.status_blocks import status_blocks
from detectors.diagnosis import diagnose
from detectors.metrics import Interval

FALL = {
    "accuracy": 0.88, "rows": 100, "reference": 0.95, "reference_rows": 2000, "p_value": 0.0004, "harm": True,
    "worse": ["recall fell from 0.960 to 0.800"], "labels_needed": 900, "most": 0.12, "told": True,
    "source": "the hold-outs of version 4", "loss": 0.07,
}  # fmt: skip
SEGMENTS = [
    {"column": "country", "value": value, "rows": 50, "right": right, "rest": 0.96, "p_value": p, "worse": worse,
     "interval": {"low": 0.66, "high": 0.9, "method": "Clopper-Pearson"}, "metrics": {}}
    for value, right, p, worse in (("AT", 40, 0.002, True), ("BE", 48, 1.0, False))
]  # fmt: skip


def record(make: Any, verdict: str = "stable", harm: bool | None = True, **changes: Any) -> Any:
    found = diagnose(verdict, harm, labels_needed=900)
    details = {
        "title": found.title, "advice": found.advice, "harm": harm, "said": ["100 of 500 predictions have labels yet"],
        "notes": [], "degradation": {**FALL, "harm": bool(harm)}, "segments": SEGMENTS, "classes": None,
        "batch": {"id": 3, "path": "/in/flows.csv", "rows": 500, "verdict": verdict, "version": "4", "named": True},
    }  # fmt: skip
    intervals = {
        "accuracy": Interval(0.8, 0.936, "Clopper-Pearson"),
        "roc_auc": Interval(0.85, 0.95, "bootstrap"),
    }
    given = {"case": found.case, "details": details, "intervals": intervals, "batch_id": 3, **changes}
    return make.performance(**given)


def test_concept_drift_is_called_by_its_name(make: Any, accepted: Any, shown: Any) -> None:
    assert shown(accepted(performance_alert(record(make)))) == (
        "# 🔴 fraud: 1 limit of the performance broken\n"
        "*Harm without drift (concept drift: labels changed their meaning, features did not).* Make sure that these"
        " labels are right, then retrain with rows labelled since the change, and leave out older ones that carry the"
        " old meaning.\n"
        "• Accuracy is 88.0 %, at least 90.0 % is asked.\n"
        "• Worse than the rest: country AT: accuracy 0.800 (0.660 to 0.900) on 50 rows, elsewhere 0.960, p 0.002\n"
        "• Accuracy 0.8800 against 0.9500 on the hold-outs of version 4 (2,000 rows): 7.0 points lost, p 0.0004\n"
        "• Recall fell from 0.960 to 0.800\n"
        "• 100 of 500 predictions have labels yet\n"
        "• Drift check: stable, flows.csv against version 4 (named by --batch)\n"
        "`pred.csv` · 100 rows · evaluated 2025-05-01 07:00 UTC · <http://127.0.0.1:5000/x|MLflow run>\n"
        "Metric | Value | 95 % interval\n"
        "Accuracy | 88.0 % | 80.0 to 93.6 %\nRecall | 80.0 % | –\nROC AUC | 0.910 | 0.850 to 0.950\n"
        "~ Of the rows, 40 were true and 2 false alarms, 10 were missed and 48 rightly let pass.\n"
        "[Choose data and approve a retrain]\n"
    )


def test_each_case_is_told_apart(make: Any, accepted: Any, shown: Any) -> None:
    drawn = {
        (verdict, harm): shown(accepted(performance_alert(record(make, verdict, harm, breaches=()))))
        for verdict in ("stable", "drift")
        for harm in (True, False)
    }
    assert drawn["stable", True].startswith("# 🔴 fraud: worse than on its hold-outs\n*Harm without drift")
    assert drawn["drift", True].startswith("# 🔴 fraud: worse than on its hold-outs\n*Both drift and harm.*")
    assert drawn["drift", False].startswith(
        "# 🟢 fraud: performance within its limits\n*Drift without harm.*"
    )
    assert drawn["stable", False].startswith(
        "# 🟢 fraud: performance within its limits\n*Neither drift nor harm.*"
    )
    offered = {key: "[Choose data and approve a retrain]" in text for key, text in drawn.items()}
    assert offered == {key: key[1] for key in drawn}, "a retrain is offered where there is harm"


def test_several_classes_have_averages_and_no_false_alarms(make: Any, accepted: Any, shown: Any) -> None:
    metrics = {"accuracy": 0.92, "macro_recall": 0.867, "weighted_f1": 0.91}
    drawn = shown(accepted(performance_alert(record(make, metrics=metrics))))
    assert "Accuracy | 92.0 %" in drawn
    assert "Macro recall | 86.7 % | –\nWeighted F1 | 91.0 % | –\n" in drawn
    assert "false alarms" not in drawn


def test_hostile_columns_and_files_fit(make: Any, accepted: Any) -> None:
    for evil in make.hostile:
        hostile = record(make, model=evil, path=evil, breaches=(evil,) * 30)
        details = {
            **hostile.details, "notes": [evil] * 50, "said": [evil] * 50,
            "segments": [{**SEGMENTS[0], "column": evil, "value": evil}] * 200,
            "batch": {**hostile.details["batch"], "path": evil},
        }  # fmt: skip
        accepted(
            performance_alert(record(make, model=evil, path=evil, breaches=(evil,) * 30, details=details))
        )


def test_the_status_says_how_good_estimates_have_been(make: Any, accepted: Any, shown: Any) -> None:
    from bot.estimates import EstimateRecord

    drawn = shown(accepted(status_blocks([make.status(estimates=EstimateRecord(4, 0.8, 4))])))
    assert (
        "\nEstimates so far: 4 checked against labels, off by 0.8 points on average, 4 of 4 inside the interval\n"
        in drawn
    )
    assert "Estimates" not in shown(accepted(status_blocks([make.status()])))
