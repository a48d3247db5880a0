"""The command line: the bot's use cases for people at a terminal, for cron and for scripts.

Exit status: 0 fine, 1 drift or degradation found, 2 bad input or configuration, 3 refused.
"""

from __future__ import annotations

import getpass
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bot.cli_parts import BAD, FINE, FOUND, REFUSED, DataArg, json_option, model_option
from bot.cli_parts import application_of as _application
from bot.cli_parts import chosen_model as _model
from bot.cli_parts import print_json as _print_json
from bot.cli_parts import say as _say
from bot.cli_versions import COMMANDS, sync_tracking
from bot.processor import sort_fast, start_fast

if TYPE_CHECKING:
    from bot.alerting import Notify
    from bot.bootstrap import Application
    from bot.config import ModelSection
    from detectors.location import Location
    from detectors.report import DriftReport
    from state.records import Retrain, Truth
    from trainers.base import DataFile


labelled_option = click.option(
    "--new-labeled-data",
    "--new-labelled-data",
    "files",
    type=DataArg,
    multiple=True,
    required=True,
    metavar="FILE…",
    help="New labelled files.",
)


class ManyFiles(click.Command):
    """A command whose file options take several values: `--base-data a.csv b.csv --new-data=c.csv d.csv`."""

    spreading = ("--base-data", "--new-data", "--new-labeled-data", "--new-labelled-data")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its values, which is what click understands."""
        spread: list[str] = []
        taking = ""
        for word in args:
            option, equals, first = word.partition("=")
            if word.startswith("-"):
                taking = option if option in self.spreading else ""
                spread += ([taking, first] if equals else []) if taking else [word]
            else:
                spread += [taking, word] if taking else [word]
        return super().parse_args(ctx, spread)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config", "config_path", metavar="FILE", help="The configuration. [default: driftcatcher.toml]"
)
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, on standard error.")
@click.version_option(package_name="driftcatcher", prog_name="driftcatcher")
@click.pass_context
def cli(context: click.Context, config_path: str | None, verbose: bool) -> None:
    """DriftCatcher: model drift, handled in one Slack thread.

    Exit status: 0 fine, 1 drift or degradation found, 2 bad input or configuration, 3 refused.
    """
    context.obj = config_path
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if not verbose:
        for chatty in ("apscheduler", "urllib3"):  # what they retry and fail at, our own lines say
            logging.getLogger(chatty).setLevel(logging.ERROR)


def _me() -> str:
    """Who acts at this terminal, for the audit log."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # no name for this user id, as in many containers
        return f"cli:{os.getuid()}"


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--force", is_flag=True, help="Overwrite an existing driftcatcher.toml.")
def init(folder: Path, force: bool) -> None:
    """Write a commented driftcatcher.toml and the folders it names."""
    from bot.template import write

    path = write(folder, force=force)
    click.echo(f"wrote {path}\nNext: edit it, then `driftcatcher train --base-data FILE`.")


@cli.command(cls=ManyFiles)
@click.option(
    "--base-data", type=DataArg, multiple=True, required=True, metavar="FILE…", help="Labelled files."
)
@click.option("--new-data", type=DataArg, multiple=True, metavar="FILE…", help="Newer labelled files.")
@model_option
@click.option("--force", is_flag=True, help="Start over although the model has a trained version.")
@json_option
@click.pass_context
def train(
    context: click.Context,
    base_data: tuple[Location, ...],
    new_data: tuple[Location, ...],
    model_name: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Train the first version, log it to MLflow, store its baseline, and make it the champion."""
    application = _application(context)
    model = _model(application, model_name)
    if application.store.champion(model.name) is not None and not force:
        _refuse(f'"{model.name}" has a trained version: use `driftcatcher retrain`, or --force to start over')
    _require_whole_samples(application, model, (*base_data, *new_data))
    made = application.retraining.train(model, base_data, new_data, _me(), _say, force=force)
    if as_json:
        _print_json({**asdict(made.version), "notes": made.notes})
    else:
        _show_trained(made)


def _show_trained(made: Any) -> None:
    from detectors.metrics import class_of

    version = made.version
    click.echo(f"{version.model} version {version.version} is trained and is the champion.")
    for evaluation in version.evaluations:
        measured = evaluation.metrics.by_name
        click.echo(f"  {_metrics_line(f'{evaluation.holdout} hold-out', evaluation.rows, measured)}")
        if each := {class_of(name): value for name, value in measured.items() if class_of(name)}:
            click.echo(f"    recall {', '.join(_of_class(*one) for one in each.items())}")
    click.echo(f"  MLflow run: {version.run_url}\n  baseline:   {version.baseline_path}")
    for note in made.notes:
        click.echo(f"  note: {note}")


def _of_class(name: str, recall: float | None) -> str:
    return f"of {name} {'n/a' if recall is None else f'{recall:.4f}'}"


_MEANS = ("macro_precision", "macro_recall", "macro_f1")  # of several classes


def _metrics_line(title: str, rows: int, metrics: dict[str, Any]) -> str:
    names = ("accuracy", "precision", "recall", "f1", "roc_auc", "fpr", "fnr", *_MEANS)
    shown = ", ".join(f"{n} {metrics[n]:.4f}" for n in names if metrics.get(n) is not None)
    return f"{title} ({rows:,} rows): {shown}"


@cli.command()
@click.argument("file", type=DataArg)
@model_option
@json_option
@click.option("--notify", is_flag=True, help="Tell Slack as the bot would.")
@click.pass_context
def check(
    context: click.Context, file: Location, model_name: str | None, as_json: bool, notify: bool
) -> None:
    """Check a batch FILE (CSV, .gz, .zst, Parquet, or a folder of such parts) against the champion's baseline."""
    start_fast()
    from bot.identity import begin

    identity = begin(file.absolute()) if isinstance(file, Path) else None
    from bot.progress import reading
    from detectors.errors import DataError

    application = _application(context)
    model = _model(application, model_name)
    _require_channel(application, model, notify)
    try:
        with reading(file) as progress:
            checked = application.monitoring.check(
                model, file.absolute(), progress=progress, identity=identity
            )
    except DataError:
        failed = application.monitoring.failed(model, file.absolute()) if notify else None
        if failed is not None:
            _deliver(application, application.monitoring.notify_failed(model, [failed]))
        raise
    batch, report = checked.batch, checked.batch.report
    if report is None:
        raise click.ClickException(f"{file} has no report")
    if as_json:
        _print_json(
            {
                "model": model.name,
                "batch": {"path": str(file.absolute()), "sha256": batch.sha256, "rows": report.rows},
                **_report_fields(report),
            }
        )
    else:
        from bot.text_report import report_text

        click.echo(report_text(model.name, batch, report))
        if not checked.fresh:
            click.echo(
                f"These bytes were checked before, as {Path(batch.path).name} at {batch.checked_at:%Y-%m-%d %H:%M} UTC;"
                " nothing was stored twice."
            )
    if notify:
        _deliver(application, application.monitoring.notify(model, batch))
    if report.verdict in ("drift", "warning", "broken_feed"):
        sys.exit(FOUND)
    if report.unmeasured:
        _fail(f"{len(report.unmeasured)} features could not be measured: mend the detectors that failed")
    sys.exit(FINE)


def _require_channel(application: Application, model: ModelSection, needed: bool) -> None:
    if needed and not application.config.channel(model):
        raise click.UsageError(f'no channel is configured for "{model.name}": set slack.channel, or its own')


def _deliver(application: Application, decision: Notify) -> None:
    """Empty the outbox, also of what an earlier command could not deliver, and say what was decided."""
    delivered = application.deliver_without_bot()
    _say(
        f"Slack: {decision.action}, {decision.reason}{'' if decision.action == 'quiet' else f'; {delivered}'}"
    )


def _report_fields(report: DriftReport) -> dict[str, Any]:
    """The report in the order that is documented, then what it says besides; its rows are the batch's."""
    fields = report.to_dict()
    del fields["rows"]
    first = ("baseline_version", "verdict", "overall_psi", "recommendation", "features", "errors")
    return {**{name: fields[name] for name in first}, **fields}


@cli.command()
@click.argument("predictions", type=DataArg, nargs=-1, required=True)
@click.option(
    "--labels", type=DataArg, multiple=True, metavar="FILE", help="Labels that came later; may be repeated."
)
@click.option("--id", "id_column", metavar="COLUMN", help="Joins labels to predictions. [default: row order]")
@click.option(
    "--segment", "segments", multiple=True, metavar="COLUMN", help="Compare its values; may be repeated."
)
@click.option(
    "--batch", type=DataArg, metavar="FILE", help="The checked features. [default: the newest checked batch]"
)
@click.option("--every-class", is_flag=True, help="Measure each class by itself, not two sides.")
@model_option
@json_option
@click.option("--notify", is_flag=True, help="Tell Slack when the model is degraded.")
@click.pass_context
def performance(
    context: click.Context,
    predictions: tuple[Location, ...],
    labels: tuple[Location, ...],
    id_column: str | None,
    segments: tuple[str, ...],
    batch: Location | None,
    every_class: bool,
    model_name: str | None,
    as_json: bool,
    notify: bool,
) -> None:
    """Evaluate predictions whose labels have come, and tell drift and harm apart.

    PREDICTIONS have y_pred, optionally y_prob, and y_true unless the labels are in files of their own. A labelled
    sample of `driftcatcher sample` is predicted by the version for which it was drawn, and its rows count by weight.
    """
    from bot.evaluating import Labelled

    application = _application(context)
    model = _model(application, model_name)
    _require_channel(application, model, notify)
    asked = Labelled(
        predictions=tuple(file.absolute() for file in predictions),
        labels=tuple(file.absolute() for file in labels),
        id_column=None if id_column is None else id_column.strip(),
        segments=tuple(column.strip() for column in segments),
        batch=None if batch is None else batch.absolute(),
        every_class=every_class,
    )
    with _every_fault():
        evaluated = application.evaluating.evaluate(model, asked)
    record = evaluated.record
    if as_json:
        _print_json(
            {
                "model": model.name,
                "file": record.path,
                "case": record.case,
                "metrics": dict(record.metrics),
                "intervals": {name: asdict(interval) for name, interval in record.intervals.items()},
                "degraded": evaluated.degraded,
                "breaches": record.breaches,
                **record.details,
                "run_url": record.run_url,
            }
        )
    else:
        from bot.performance_text import performance_text

        click.echo(performance_text(record))
    if evaluated.log_error:
        _say(f"warning: {evaluated.log_error}")
    if notify:
        _deliver(application, application.evaluating.notify(model, evaluated))
    sys.exit(FOUND if evaluated.degraded else FINE)


@cli.command()
@click.argument("batch", type=DataArg)
@model_option
@click.option(
    "--n", "rows", type=click.IntRange(1, 100_000), default=500, show_default=True, help="Rows to draw."
)
@click.option(
    "--strategy",
    type=click.Choice(["hybrid", "uncertain", "drift", "diverse", "time", "random"]),
    default="hybrid",
    show_default=True,
    help="Which rows are likelier; each row's weight is kept.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draw.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    help="The file to write. [default: label_BATCH_SAMPLE.csv here]",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@json_option
@click.pass_context
def sample(
    context: click.Context,
    batch: Location,
    model_name: str | None,
    rows: int,
    strategy: Any,
    seed: int,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Draw rows of BATCH for people to label: a CSV with the model's columns and an empty label column.

    500 to 1,000 labels are usual. Ids and weights in the columns dc_… make metrics from the labels unbiased, whichever
    rows were likelier; give the labelled file to `driftcatcher accept`.
    """
    from bot.progress import reading
    from bot.sampling import file_name, sample_lines, write_sample

    application = _application(context)
    model = _model(application, model_name)
    with reading(batch) as progress:
        drawing = application.sampling.draw(
            model, batch.absolute(), rows=rows, strategy=strategy, seed=seed, by=_me(), progress=progress
        )
    out = Path(file_name(drawing.sample)) if out is None else out
    try:
        write_sample(drawing, out, force=force)
    except FileExistsError as error:
        _refuse(str(error))
    if as_json:
        _print_json({**asdict(drawing.sample), "file": str(out.absolute()), "warnings": drawing.warnings})
        return
    for line in sample_lines(drawing):
        click.echo(line)
    click.echo(
        f"wrote {out}\nNext: fill the column {drawing.sample.label}, then `driftcatcher accept {out.name}`."
    )


@cli.command()
@click.argument("file", type=DataArg)
@model_option
@click.option("--force", is_flag=True, help="Overwrite another file of that name.")
@json_option
@click.pass_context
def accept(
    context: click.Context, file: Location, model_name: str | None, force: bool, as_json: bool
) -> None:
    """Take a labelled sample back: check every row, and put the FILE into the model's folder of labelled files.

    Ids, features and labels are held against what `driftcatcher sample` gave out. Every fault is listed, and with one
    nothing is used.
    """
    from bot.samples import accept as accepted
    from bot.samples import read_returned

    application = _application(context)
    model = _model(application, model_name)
    with _every_fault():
        returned = read_returned(application.store, model, file)
        there = accepted(model, file, force=force)
    rows, lost, drawn = len(returned.frame), returned.missing, returned.sample
    if as_json:
        _print_json({"sample": asdict(drawn), "rows": rows, "missing": lost, "file": str(there)})
        return
    click.echo(f"{rows:,} labelled rows of sample {drawn.name} are at {there}")
    if lost:
        click.echo(f"  {lost:,} of the {drawn.rows:,} rows that were given out are not among them")
    click.echo(
        f"Next: `driftcatcher performance {there}` for what the model is worth on the whole batch, "
        f"`driftcatcher retrain --new-labeled-data {there}`."
    )


@cli.command(cls=ManyFiles)
@labelled_option
@model_option
@click.option("--force", is_flag=True, help="Retrain although the cool-down is not over.")
@click.option("--promote", "promote_it", is_flag=True, help="Promote when the gate recommends it.")
@json_option
@click.pass_context
def retrain(
    context: click.Context,
    files: tuple[Location, ...],
    model_name: str | None,
    force: bool,
    promote_it: bool,
    as_json: bool,
) -> None:
    """Retrain on old + new labelled data and compare with the champion on the same hold-outs.

    The champion stays until somebody promotes the new version: --promote, `driftcatcher promote`, or Slack.
    """
    from bot.expectation_text import came_line

    application = _application(context)
    model = _model(application, model_name)
    application.retraining.recover()  # what a killed command left behind must not lock the model
    application.retraining.tie_loose_ends()
    _require_whole_samples(application, model, files)
    approved = application.retraining.approve(
        model,
        _data_files(files, model.label.column),
        _me(),
        incident_id=_open_incident(application, model),
        force=force,
    )
    done = _run(application, approved)
    if done.state == "cancelled":
        _refuse(f"retrain {done.id} was cancelled by {done.decided_by}")
    if done.outcome is None:
        raise click.ClickException(f"the retrain ended as {done.state}: {done.error}")
    promoted = promote_it and done.outcome.recommendation == "promote"
    if promoted:
        application.retraining.promote(done, _me(), "promoted by --promote, as the gate recommends")
    if as_json:
        _print_json(
            {"retrain": done.id, "state": "promoted" if promoted else done.state, **asdict(done.outcome)}
        )
    else:
        _show_outcome(done, promoted)
        if done.shadow_batches and not promoted:
            batches = "batch is" if done.shadow_batches == 1 else f"{done.shadow_batches:,} batches are"
            click.echo(f"The next {batches} scored by both versions: see `driftcatcher shadow`")
        expected = application.store.expectation(model.name, done.champion_version, done.files)
        if expected is not None:
            click.echo(came_line(expected, done))


@cli.command(cls=ManyFiles)
@labelled_option
@model_option
@json_option
@click.pass_context
def expect(
    context: click.Context, files: tuple[Location, ...], model_name: str | None, as_json: bool
) -> None:
    """Estimate what a retrain on these files would bring, and how long it takes; nothing is trained for good.

    Champion and quick fits are compared on the training side of the new rows; the hold-outs are not touched.
    """
    from bot.expectation_text import expectation_line
    from bot.expecting import estimate, job_of
    from bot.times import utc_now

    application = _application(context)
    model = _model(application, model_name)
    champion = application.store.champion(model.name)
    if champion is None:
        _refuse(f'"{model.name}" has no trained version yet: train it first')
    chosen = _data_files(files, model.label.column)
    found = estimate(job_of(application.config, model, champion, chosen), _say)
    application.store.keep_expectation(model.name, champion.record.version, chosen, found, utc_now())
    if as_json:
        _print_json(asdict(found))
    else:
        click.echo(expectation_line(found))


@contextmanager
def _every_fault() -> Iterator[None]:
    """A sample that is refused: all its faults at the terminal, one a line."""
    from bot.samples import SampleRefused

    try:
        yield
    except SampleRefused as refused:
        for fault in refused.faults:
            _say(fault)
        many = f"{len(refused.faults):,} fault{'s' * (len(refused.faults) > 1)}, nothing of it is used"
        _fail(many if refused.faults else str(refused))


def _require_whole_samples(
    application: Application, model: ModelSection, files: tuple[Location, ...]
) -> None:
    """Samples that came back among the files are held against what was given out before anything is done."""
    from bot.samples import is_sample, read_returned

    for file in files:
        with _every_fault():
            if is_sample(file):
                read_returned(application.store, model, file)


def _data_files(paths: tuple[Location, ...], label: str) -> list[DataFile]:
    """The files as a training records them. DataError for one that cannot be used, before anything is queued."""
    from detectors.digest import sha256_file
    from detectors.errors import DataError
    from detectors.source import read_frame
    from trainers.base import DataFile

    made = []
    for path in paths:
        frame = read_frame(path)
        if label not in frame.columns:
            raise DataError("columns", f'{path} has no label column "{label}": it cannot be trained on')
        made.append(DataFile(str(path.absolute()), sha256_file(path), len(frame)))
    return made


def _open_incident(application: Application, model: ModelSection) -> int | None:
    incident = application.store.open_incident_of(model.name)
    return incident.id if incident is not None and incident.state == "open" else None


def _run(application: Application, approved: Retrain) -> Retrain:
    """Run it in a child of this process, or wait for the running bot that took it first."""
    import threading
    import time

    from bot.jobs import job_for, run_in_child

    def here(retrain: Retrain, progress: Callable[[str], None]) -> Any:
        return run_in_child(
            job_for(application.config, application.store, retrain),
            progress,
            threading.Event(),
            application.config.model(retrain.model).retrain_limit,
            lambda: application.retraining.cancelled(retrain.id),
        )

    while (done := application.store.retrain(approved.id)).state in ("queued", "running"):
        if done.state == "queued":
            ran = application.run_retrain(approved, here, _say)
            if ran is not None:
                return ran
            _say("the running bot has taken the retrain; waiting for it")
        time.sleep(0.5)
        application.retraining.recover()  # the bot may be killed meanwhile
    return done


def _show_outcome(done: Retrain, promoted: bool) -> None:
    from bot.matrix_text import matrix_lines
    from trainers.base import counted_rows

    outcome = done.outcome
    if outcome is None:
        return
    version = outcome.version.version
    click.echo(
        f"{done.model} version {version} is trained. Champion (version {done.champion_version}) and challenger:"
    )
    for old, new in zip(outcome.champion, outcome.challenger, strict=True):
        click.echo(f"  {_metrics_line(f'champion,   {old.holdout} hold-out', old.rows, old.metrics.by_name)}")
        click.echo(f"  {_metrics_line(f'challenger, {new.holdout} hold-out', new.rows, new.metrics.by_name)}")
    for line in matrix_lines(outcome.matrix) if outcome.matrix else ():
        click.echo(f"  {line}")
    click.echo(f"Recommendation: {outcome.recommendation}.")
    for reason in outcome.reasons:
        click.echo(f"  {reason}")
    found = (*counted_rows(outcome.duplicates, outcome.conflicts), *map(str, outcome.ledger))
    for note in (*found, *outcome.notes):
        click.echo(f"  note: {note}")
    click.echo(f"MLflow run: {outcome.version.run_url}")
    click.echo(
        f"Version {version} is the champion now."
        if promoted
        else f"To use it: driftcatcher promote {version}"
    )


@cli.command()
@click.argument("retrain", type=int, metavar="RETRAIN")
@click.option("--why", default="", help="The reason, for the audit log and the thread.")
@click.pass_context
def cancel(context: click.Context, retrain: int, why: str) -> None:
    """End the RETRAIN with this number (see `status`) while it is queued or running, whoever runs it."""
    application = _application(context)
    done = application.retraining.cancel(retrain, _me(), why)
    click.echo(
        f"retrain {done.id} of {done.model} is cancelled; version {done.champion_version} stays in use."
    )
    application.retraining.tie_loose_ends()


@cli.command()
@click.argument("version", type=int)
@model_option
@click.option("--why", default="", help="The reason, for the audit log.")
@click.pass_context
def promote(context: click.Context, version: int, model_name: str | None, why: str) -> None:
    """Make a trained VERSION the champion; its baseline moves with it."""
    application = _application(context)
    model = _model(application, model_name)
    application.retraining.recover()
    application.retraining.tie_loose_ends()
    for done in application.store.retrains(model.name, 1000):
        if done.outcome is not None and done.outcome.version.version == version:
            application.retraining.promote(done, _me(), why)
            click.echo(f"{model.name} version {version} is the champion.")
            return
    there = sorted(known.record.version for known in application.store.versions(model.name))
    if version not in there:
        listed = ", ".join(map(str, there)) or "none, it is not trained yet"
        raise click.ClickException(f"{model.name} has no version {version}; its versions: {listed}")
    _refuse(
        f"version {version} of {model.name} was not made by a retrain; `driftcatcher rollback` goes back to it"
    )


@cli.command()
@click.argument("batch", metavar="FILE_OR_BATCH")
@model_option
@click.option("--release", is_flag=True, help="Move it back into the inbox; it is checked again.")
@click.option("--why", default="", help="The reason, for the audit log.")
@click.pass_context
def quarantine(context: click.Context, batch: str, model_name: str | None, release: bool, why: str) -> None:
    """Set a batch aside: its file is moved to quarantine/ beside the inbox and leaves the history."""
    from bot.quarantine import Quarantine
    from bot.times import utc_now

    application = _application(context)
    model = _model(application, model_name)
    ward = Quarantine(application.store, utc_now)
    found = ward.find(model, batch)
    if release:
        path = ward.release(model, found, _me(), why)
        click.echo(f"batch {found.id} is back at {path}; it is checked again.")
    else:
        path = ward.put(model, found, _me(), why)
        click.echo(f"batch {found.id} is set aside at {path}; --release brings it back.")


@cli.command()
@click.argument("version", type=int, required=False)
@model_option
@click.option("--why", default="", help="The reason, for the audit log.")
@click.pass_context
def rollback(context: click.Context, version: int | None, model_name: str | None, why: str) -> None:
    """Make an earlier VERSION the champion again, with its baseline; without one, the previous champion."""
    application = _application(context)
    model = _model(application, model_name)
    application.retraining.recover()
    application.retraining.tie_loose_ends()
    champion = application.store.champion(model.name)
    current = champion.record.version if champion else None
    last = next(
        (
            r
            for r in application.store.retrains(model.name, 1000)
            if r.state == "promoted" and r.outcome and r.outcome.version.version == current
        ),
        None,
    )
    promotion = application.retraining.roll_back(model, _me(), why, retrain=last, to=version)
    click.echo(f"{model.name} version {promotion.version} is the champion again.")


@cli.command()
@model_option
@json_option
@click.pass_context
def status(context: click.Context, model_name: str | None, as_json: bool) -> None:
    """Models, champions, last verdicts, incidents, cool-downs, counters and the last drift history."""
    from bot import status as statuses
    from bot.listing import inbox_trouble
    from bot.times import utc_now

    application = _application(context, plugins=False)
    models = [_model(application, model_name)] if model_name else application.config.models
    read = [statuses.read(model, application.store, utc_now(), look=True) for model in models]
    if as_json:
        _print_json({"models": [statuses.as_dict(one) for one in read]})
    else:
        from bot.text_report import status_text

        click.echo("\n\n".join(status_text(one) for one in read))
    for model in models:
        if trouble := inbox_trouble(model.inbox):
            _say(f"warning: nothing can come into the inbox of {model.name}: {trouble}")


@cli.command()
@click.argument("subject", required=False, metavar="[BATCH_OR_INCIDENT")
@click.argument(
    "verdict",
    required=False,
    type=click.Choice(["true-drift", "false-alarm"]),
    metavar="true-drift|false-alarm]",
)
@click.option("--why", default="", help="What it was, for the audit log and for later.")
@model_option
@json_option
@click.pass_context
def feedback(
    context: click.Context,
    subject: str | None,
    verdict: str | None,
    why: str,
    model_name: str | None,
    as_json: bool,
) -> None:
    """Say what an alert turned out to be, for `tune`; without arguments list what was said.

    An incident is given by its number, a batch by its file name or as batch:ID. The newest word of a person counts.
    """
    from bot import feedback as feedbacks
    from bot.times import utc_now

    application = _application(context)
    model = _model(application, model_name).name if model_name else None
    store = application.store
    if subject is None:
        shown = feedbacks.listed(store, model)
        if as_json:
            _print_json(asdict(shown))
        else:
            click.echo(feedbacks.feedback_text(store, shown))
        return
    if verdict is None:
        raise click.UsageError(f'say what "{subject}" was: true-drift or false-alarm')
    try:
        about = feedbacks.subject_of(store, subject, model)
    except feedbacks.UnknownSubject as error:
        raise click.ClickException(str(error)) from error
    truth: Truth = "true_drift" if verdict == "true-drift" else "false_alarm"
    said = feedbacks.give(store, about, truth, _me(), why, utc_now())
    if as_json:
        _print_json(asdict(said))
    else:
        click.echo(f"{about.name}: {feedbacks.WORDS[truth]}, said by {said.who}.")
    if about.incident_id is not None and store.incident(about.incident_id).ts is not None:
        _say(f"Slack: the incident's message is edited; {application.deliver_without_bot()}")


@cli.command()
@model_option
@click.option(
    "--last", type=click.IntRange(1), default=50, show_default=True, help="Past batches to try a change on."
)
@json_option
@click.pass_context
def tune(context: click.Context, model_name: str | None, last: int, as_json: bool) -> None:
    """Propose one change of the thresholds, back-tested on past batches and on what people said of them.

    Nothing is changed: the lines for driftcatcher.toml are printed. No alert that was confirmed as true drift is given
    up. No file is read again.
    """
    from bot.tuning import tune as proposal
    from bot.tuning_text import as_dict, tuning_text

    application = _application(context)
    found = proposal(application.store, _model(application, model_name), last)
    if as_json:
        _print_json(as_dict(found))
    else:
        click.echo(tuning_text(found))


def _sizes(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...]:
    """Whole numbers, separated by commas."""
    try:
        sizes = tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError:
        raise click.BadParameter('give numbers of rows such as "200,1000"') from None
    if min(sizes) < 2 or max(sizes) > 1_000_000:
        raise click.BadParameter("a batch has from 2 to 1,000,000 rows")
    return sizes


@cli.command()
@model_option
@click.option(
    "--rows",
    "sizes",
    default="200,1000",
    show_default=True,
    callback=_sizes,
    metavar="N,N…",
    help="Rows of the batches.",
)
@click.option(
    "--repeats",
    type=click.IntRange(2, 10_000),
    default=20,
    show_default=True,
    help="Batches for each drift and number of rows.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw the table as a picture too.",
)
@click.option("--data", type=DataArg, help="Draw from this file, where the champion's own are gone.")
@json_option
@click.pass_context
def drill(
    context: click.Context,
    sizes: tuple[int, ...],
    repeats: int,
    out: Path | None,
    data: Location | None,
    model_name: str | None,
    as_json: bool,
) -> None:
    """Put known drifts into your own data and tell how often each would be noticed, and the false alarms.

    Batches are drawn from the champion's hold-out rows and judged against its baseline by the configured detectors.
    Nothing is stored and nobody is told.
    """
    from bot.drilling import drill as drilled
    from bot.drilling_text import as_dict, drill_plot, drill_text

    application = _application(context)
    model = _model(application, model_name)
    if out is not None and not out.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {out.absolute().parent} for the picture")
    found = drilled(application.store, model, sizes, repeats, data.absolute() if data else None, _say)
    if out is not None:
        out.write_bytes(drill_plot(found))
        _say(f"wrote {out}")
    if as_json:
        _print_json(as_dict(found))
    else:
        click.echo(drill_text(found))


@cli.command()
def detectors() -> None:
    """List the detectors that are installed, with their parameters."""
    from bot.plugins import DETECTORS, describe

    for name, parameters, summary in describe(DETECTORS):
        click.echo(f"{name}: {summary}\n    parameters: {parameters}")


@cli.command()
@click.option("--url", default=None, metavar="URL", help="HTTP mode: the public address Slack will call.")
@click.pass_context
def manifest(context: click.Context, url: str | None) -> None:
    """Print the Slack app manifest: paste it where the app is created."""
    from bot import config
    from bot.slack.manifest import manifest_json

    path = config.find(context.obj)
    slack = config.load(path).slack if context.obj or path.exists() else config.SlackSection()
    try:
        text = manifest_json(command=slack.command, socket_mode=url is None, request_url=url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(text)


@cli.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Run the bot: Slack, the schedule, and approved retrains."""
    import signal

    from bot.bootstrap import Bot, Secrets

    logging.getLogger().setLevel(logging.INFO)
    application = _application(context)
    for model in application.config.models:
        _require_channel(application, model, True)
    bot = Bot(application, Secrets.from_environment(application.config.slack.mode))

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second signal ends it at once
        bot.ask_to_stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    bot.start()
    _say("DriftCatcher is up. Stop it with Ctrl-C.")
    bot.wait()
    bot.stop()


@cli.command()
@click.option("--headless", is_flag=True, help="Play the whole story by itself and print it.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="a free one",
    help="Port of the page.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="New folder for the demo's files."
)
@click.option("--seed", default=7, show_default=True, help="Seed of the made data.")
def demo(headless: bool, port: int, folder: Path | None, seed: int) -> None:
    """Try everything on this machine: no Slack account, nothing leaves it."""
    from bot.demo.story import play

    sys.exit(play(headless=headless, port=port, folder=folder, seed=seed))


@cli.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port of the page."
)
@click.option("--sync", is_flag=True, help="Log what checks have left to be logged, and end.")
@click.pass_context
def mlflow(context: click.Context, port: int, sync: bool) -> None:
    """Open the MLflow UI on this project's store, on 127.0.0.1; or log there what checks have left to be logged."""
    from trainers.mlflow_ui import serve_ui

    application = _application(context)
    if sync:
        sys.exit(sync_tracking(application))
    _say(f"MLflow will be at http://127.0.0.1:{port} in some seconds. Stop it with Ctrl-C.")
    sys.exit(serve_ui(application.config.home, application.config.mlflow.tracking_uri or None, port))


for _command in COMMANDS:
    cli.add_command(_command)


def _refuse(text: str) -> NoReturn:
    _say(f"refused: {' '.join(text.split())}")
    sys.exit(REFUSED)


def main() -> None:
    """The console script: known errors become one clear line and their exit status."""
    # pydantic would look for plug-ins of its own in every installed package, at every start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sort_fast()
    from bot.config import ConfigError
    from bot.plugins import PluginError
    from detectors.errors import DataError
    from state.records import StateError
    from trainers.base import TrainingError

    try:
        cli.main(prog_name="driftcatcher", standalone_mode=False)
    except click.exceptions.Abort:
        _say("stopped")
        sys.exit(130)
    except getattr(click.exceptions, "NoArgsIsHelpError", ()) as error:  # click 8.2 has it, 8.1 ends with 0
        error.show()
        sys.exit(BAD)
    except click.ClickException as error:
        _fail(error.format_message() + _where_to_look(error))
    except ConfigError as error:
        _say(f"error: {error}")  # one line a problem
        sys.exit(BAD)
    except (DataError, TrainingError, PluginError) as error:
        _fail(str(error))
    except StateError as error:
        _refuse(str(error))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{where}")
    except Exception as error:
        known = _known(error)
        if known is None:
            logging.getLogger(__name__).exception("unexpected")
        _fail(known or f"unexpected {type(error).__name__}: {error}")  # never 1: that means drift


def _fail(text: str) -> NoReturn:
    """One line, whatever a library put into its message."""
    _say(f"error: {' '.join(text.split())}")
    sys.exit(BAD)


def _where_to_look(error: click.ClickException) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f" See `{error.ctx.command_path} --help`."
    return ""


def _known(error: Exception) -> str | None:
    """The sentence of errors whose classes are loaded only with the parts that raise them."""
    names = {"NotTrained", "BeingChecked", "SecretMissing", "TokenRefused"}
    return str(error) if type(error).__name__ in names else None


if __name__ == "__main__":
    main()
