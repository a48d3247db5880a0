"""What the commands share: options, the application they open, and how they speak.

Exit status: 0 fine, 1 drift, degradation or a difference found, 2 bad input or configuration, 3 refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bot.bootstrap import Application
    from bot.config import ModelSection

FINE, FOUND, BAD, REFUSED = 0, 1, 2, 3


class _DataType(click.Path):
    """A file or a folder of parts, or a URL in an object store; who reads it says what is wrong."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from detectors.location import is_url, location

        return location(value) if is_url(value) else super().convert(value, param, ctx)


DataArg = _DataType(path_type=Path, readable=False)
model_option = click.option(
    "--model", "model_name", metavar="NAME", help="The model, where several are configured."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")


def application_of(context: click.Context, *, plugins: bool = True) -> Application:
    """The use cases on the configuration that the command was given; closed when the command ends."""
    from bot import config
    from bot.bootstrap import Application
    from state.records import StateError

    try:
        application = Application.load(config.find(context.obj), plugins=plugins)
    except StateError as error:  # a state file that cannot be opened is a wrong set-up, not a refusal
        raise click.ClickException(str(error)) from error
    context.call_on_close(application.close)
    return application


def chosen_model(application: Application, name: str | None) -> ModelSection:
    """The model of that name, or the only one."""
    try:
        return application.config.model(name)
    except LookupError as error:
        raise click.UsageError(str(error)) from error


def say(text: str) -> None:
    """Progress and remarks go to standard error: standard output is the result."""
    click.echo(text, err=True)


def print_json(data: Any) -> None:
    """One JSON object on one line."""
    click.echo(json.dumps(data, default=str, ensure_ascii=False, allow_nan=False))
