"""Commands on the versions of a model: where one comes from, and whether it can be made again."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from bot.cli_parts import (
    BAD,
    FINE,
    FOUND,
    DataArg,
    application_of,
    chosen_model,
    json_option,
    model_option,
    print_json,
    say,
)

if TYPE_CHECKING:
    from bot.bootstrap import Application
    from detectors.location import Location
    from state.records import Trained
    from trainers.reproduce import Reproduction


@click.command()
@click.argument("version", type=int)
@model_option
@json_option
@click.pass_context
def lineage(context: click.Context, version: int, model_name: str | None, as_json: bool) -> None:
    """Tell where a trained VERSION comes from: code, data, configuration, environment, approval, and its descent."""
    from bot.lineage import as_dict, lineage_text, read

    application = application_of(context, plugins=False)
    descent = read(application.store, chosen_model(application, model_name).name, version)
    if as_json:
        print_json(as_dict(descent))
    else:
        click.echo(lineage_text(descent))


@click.command()
@click.argument("version", type=int)
@click.option(
    "--data",
    "moved",
    type=DataArg,
    multiple=True,
    metavar="FILE",
    help="A labelled file that lies elsewhere now; told by its content. May be repeated.",
)
@model_option
@json_option
@click.pass_context
def reproduce(
    context: click.Context, version: int, moved: tuple[Location, ...], model_name: str | None, as_json: bool
) -> None:
    """Train a VERSION again from its recorded files, parameters and seed, and compare its metrics to 1e-12.

    Nothing is registered. Exit status 0 where all is the same, 1 where something differs.
    """
    from bot.lineage import read
    from bot.trainer_options import load_trainer
    from trainers.reproduce import lineage_or_error
    from trainers.reproduce import reproduce as again

    application = application_of(context)
    trained = read(application.store, chosen_model(application, model_name).name, version).version
    made_by = lineage_or_error(trained.record).configuration["trainer"]
    table = dict(made_by["table"]) or {"use": made_by["name"], **made_by["params"]}
    use = str(table.pop("use", "hist_gradient_boosting"))
    found = again(
        trained.record, load_trainer(use, table), moved=[path.absolute() for path in moved], progress=say
    )
    if as_json:
        print_json(_as_dict(trained, found))
    else:
        click.echo(_text(trained, found))
    sys.exit(FINE if found.same else FOUND)


def _as_dict(trained: Trained, found: Reproduction) -> dict[str, Any]:
    return {
        "model": trained.record.model,
        "version": trained.record.version,
        "same": found.same,
        "recorded": [asdict(evaluation) for evaluation in trained.record.evaluations],
        "reproduced": [asdict(evaluation) for evaluation in found.evaluations],
        "differences": [asdict(difference) for difference in found.differences],
        "environment": [asdict(difference) for difference in found.surroundings],
    }


def _text(trained: Trained, found: Reproduction) -> str:
    who = f"{trained.record.model} version {trained.record.version}"
    measured = " and ".join(f"{e.rows:,} {e.holdout}" for e in found.evaluations)
    if found.same:
        lines = [
            f"{who} is reproduced: the same training rows, and every metric the same on {measured} hold-out rows."
        ]
        title = "Although these are not as they were:"
    else:
        lines = [f"{who} is NOT reproduced. What differs:", *(f"  {d}" for d in found.differences)]
        title = "What may be why:"
    if found.surroundings:
        lines += [title, *(f"  {d}" for d in found.surroundings)]
    elif not found.same:
        lines.append("Code and environment are as they were: the trainer itself does not do the same twice.")
    return "\n".join(lines)


@click.command()
@model_option
@json_option
@click.pass_context
def shadow(context: click.Context, model_name: str | None, as_json: bool) -> None:
    """Show the newest shadow period: where a retrained version and the champion differ on the same batches.

    `shadow_batches` in driftcatcher.toml switches it on for the retrains that finish from then on. Each batch that is
    checked while the decision waits counts, once.
    """
    from bot.shadow_text import as_dict, shadow_text

    application = application_of(context, plugins=False)
    model = chosen_model(application, model_name)
    found = application.store.last_shadow(model.name)
    if as_json:
        print_json({"model": model.name, "shadow": None if found is None else as_dict(found)})
    elif found is None:
        click.echo(f"{model.name}: no retrain has had a shadow period; `shadow_batches` switches it on.")
    else:
        click.echo(shadow_text(found))


def sync_tracking(application: Application) -> int:
    """Log all that waits for MLflow; the exit status."""
    from bot.slack.rendering import Renderer

    flusher = application.flusher(Renderer(application.config, application.store).pictures)
    logged = 0
    while True:
        flushed = flusher.flush(all_now=True)
        logged += flushed.logged
        if not flushed.waiting or not flushed.logged:
            break
    click.echo(f"{logged:,} logged, {flushed.waiting:,} waiting")
    if flushed.error:
        say(f"error: {flushed.error}")
    return BAD if flushed.waiting else FINE


COMMANDS = (lineage, reproduce, shadow)
