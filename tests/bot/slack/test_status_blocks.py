"""Status, history, help, performance, the App Home."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.slack.home import home_view
from bot.slack.performance_blocks import performance_alert
from bot.slack.status_blocks import HELP, help_blocks, history_blocks, refusal, sparkline, status_blocks
from bot.status import ModelStatus


def test_the_status_of_a_model_in_full(make: Any, accepted: Any, shown: Any) -> None:
    status = make.status(
        open_incident=make.incident(),
        running=make.retrain("queued"),
        labelled_waiting=1,
        silence_until=make.t0 + timedelta(hours=6),
        retrain_cooldown_until=make.t0 + timedelta(hours=24),
        last_performance=make.performance(),
    )
    assert shown(accepted(status_blocks([status]))) == (
        "# 1 model, 1 open incident\n"
        "🔵 *`fraud`* · version 4 in use since 2025-05-01 07:00 UTC\n"
        "Last check: significant drift, overall PSI 0.34 · `flows_0501.csv` · 2025-05-01 07:02 UTC\n"
        "Open incident since 2025-05-01 07:00 UTC in <#C0DRIFT>\n"
        "A retrain waits for its turn, approved by <@U0ANNA>\n"
        "1 labelled file waiting for a retrain\n"
        "Snoozed until 2025-05-01 13:00 UTC\n"
        "No new retrain until 2025-05-02 07:00 UTC\n"
        "Overall PSI of the last 2 batches: ▁▇\n"
        "Last performance: accuracy 88.0 %, 1 limit broken, 2025-05-01 07:00 UTC\n"
        "So far: 12 batches, 2 alerts\n"
    )


def test_models_with_an_open_incident_come_first(make: Any, accepted: Any, shown: Any) -> None:
    calm, needy = make.status("aaa"), make.status("zzz", open_incident=make.incident(model="zzz"))
    drawn = shown(accepted(status_blocks([calm, needy])))
    assert drawn.index("`zzz`") < drawn.index("`aaa`")
    assert drawn.startswith("# 2 models, 1 open incident\n")


def test_an_untrained_model_and_none_at_all(accepted: Any, shown: Any) -> None:
    drawn = shown(accepted(status_blocks([ModelStatus("new")])))
    assert "⚪ *`new`* · not trained yet, run `driftcatcher train`\nLast check: none yet\n" in drawn
    assert "No models are configured" in shown(accepted(status_blocks([])))


def test_a_batch_that_failed_is_not_shown_as_calm(make: Any, shown: Any) -> None:
    assert "🟠 *`fraud`*" in shown(status_blocks([make.status(last_batch=make.failed())]))
    assert "Last check: could not be checked" in shown(status_blocks([make.status(last_batch=make.failed())]))


def test_the_sparkline_steps_at_the_usual_limits(make: Any) -> None:
    assert sparkline(make.points((0.0, 0.049, 0.1, 0.2, 0.34, 0.36, 9.0, None))) == "▁▁▃▅▇██·"
    assert sparkline(tuple(reversed(make.points((0.0, 0.36))))) == "▁█"
    assert sparkline(()) == ""


def test_history_is_newest_first_and_within_limits(make: Any, accepted: Any, shown: Any) -> None:
    points = make.points((0.03, None, 0.34))
    assert shown(accepted(history_blocks("fraud", points))) == (
        "# fraud: the last 3 checks\n▁·▇\n~ One bar a batch, the newest on the right: overall PSI.\n"
        "Checked (UTC) | File | Rows | Verdict | Overall PSI | Worst feature\n"
        "2025-05-01 09:00 | b2.csv | 1,000 | significant drift | 0.34 | –\n"
        "2025-05-01 08:00 | b1.csv | 1,000 | stable | – | –\n"
        "2025-05-01 07:00 | b0.csv | 1,000 | stable | 0.03 | –\n"
    )
    assert "and 401 older checks" in shown(accepted(history_blocks("fraud", make.points((0.1,) * 500))))
    assert "No batch of `fraud`" in shown(accepted(history_blocks("fraud", ())))


def test_help_teaches_every_command_and_the_mention(accepted: Any, shown: Any) -> None:
    drawn = shown(accepted(help_blocks("/drift", models=["fraud", "spam"])))
    assert all(f"`/drift {usage}`" in drawn for usage, _ in HELP)
    assert {usage.split()[0] for usage, _ in HELP} == {
        "check", "status", "retrain", "cancel", "sample", "history", "rollback", "help",
    }  # fmt: skip
    assert "`@DriftCatcher status`" in drawn
    assert "Models: `fraud`, `spam`" in drawn


def test_a_refusal_keeps_mentions_and_nothing_else(accepted: Any, shown: Any) -> None:
    said = accepted(refusal("Sorry, not an approver of <!channel>. Approvers: <@U0ANNA>, <!subteam^S0OPS>."))
    assert (
        shown(said) == "Sorry, not an approver of &lt;!channel&gt;. Approvers: <@U0ANNA>, <!subteam^S0OPS>.\n"
    )


def test_a_performance_alert_names_the_broken_limits(make: Any, accepted: Any, shown: Any) -> None:
    assert shown(accepted(performance_alert(make.performance(), "/watch"))) == (
        "# 🔴 fraud: 1 limit of the performance broken\n"
        "*Next step:* label recent rows and retrain. `/watch history` tells whether the data has drifted; if it"
        " has not, the meaning of the labels has (concept drift), which only labels show.\n"
        "• Accuracy is 88.0 %, at least 90.0 % is asked.\n"
        "`pred.csv` · 100 rows · evaluated 2025-05-01 07:00 UTC · <http://127.0.0.1:5000/x|MLflow run>\n"
        "Metric | Value\nAccuracy | 88.0 %\nRecall | 80.0 %\nROC AUC | 0.910\n"
        "~ Of the rows, 40 were true and 2 false alarms, 10 were missed and 48 rightly let pass.\n"
        "[Choose data and approve a retrain]\n"
    )


def test_performance_within_its_limits_is_calm(make: Any, accepted: Any, shown: Any) -> None:
    drawn = shown(accepted(performance_alert(make.performance(breaches=(), metrics={"accuracy": None}))))
    assert drawn.startswith("# 🟢 fraud: performance within its limits\nNothing to do.\n")
    assert "Accuracy | n/a" in drawn


def test_home_shows_models_and_incidents(make: Any, accepted_view: Any) -> None:
    view = accepted_view(home_view([make.status()], [make.incident("resolved")], "/watch"))
    said = str(view)
    assert (
        "`fraud` in <#C0DRIFT>" in said
        and "1 batch: resolved" in said
        and "`/watch check [file] [model]`" in said
    )
    assert "No models are configured" in str(accepted_view(home_view([], [])))


def test_many_models_with_hostile_names_fit(make: Any, accepted: Any, accepted_view: Any, shown: Any) -> None:
    for evil in make.hostile:
        batch = make.batch(path=evil, model=evil)
        status = make.status(
            evil,
            last_batch=batch,
            open_incident=make.incident(model=evil, channel=evil),
            running=make.retrain("running", approved_by=evil),
            counters=dict.fromkeys(
                (
                    "batches",
                    "failed",
                    "alerts",
                    "dismissed",
                    "retrains",
                    "retrains_failed",
                    "promotions",
                    "rollbacks",
                ),
                10**9,
            ),
            history=make.points((0.5,) * 12),
            last_performance=make.performance(model=evil, path=evil, breaches=(evil,) * 30, run_url=evil),
            labelled_waiting=10**6,
            silence_until=make.t0,
            alert_cooldown_until=make.t0,
            retrain_cooldown_until=make.t0,
        )
        assert "and 88 more models" in shown(accepted(status_blocks([status] * 100)))
        accepted_view(home_view([status] * 100, [make.incident(model=evil, channel=evil)] * 50))
        accepted(history_blocks(evil, [replace(p, path=evil, worst=evil) for p in make.points((0.1,) * 300)]))
        accepted(help_blocks(models=[evil] * 300))
        accepted(
            performance_alert(make.performance(model=evil, path=evil, breaches=(evil,) * 30, run_url=evil))
        )
        accepted(refusal(evil * 50))
