"""Detectors and trainers by name: an entry point, or "package.module:Class". Only what is asked for is loaded.

What the table of a trainer says besides is the matter of `trainer_options`.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import typing
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from detectors.base import AnyDetector, Detector, TableDetector

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

DETECTORS = "driftcatcher.detectors"
TRAINERS = "driftcatcher.trainers"


class PluginError(Exception):
    """A plug-in that cannot be found, loaded or made with its parameters; the message says what would be right."""


@cache
def known(group: str) -> Mapping[str, EntryPoint]:
    """The installed entry points of a group by name, sorted; found once: every check asks, each look reads a
    file of every installed package."""
    from importlib.metadata import entry_points

    return {e.name: e for e in sorted(entry_points(group=group), key=lambda e: e.name)}


@cache
def _built_in(group: str) -> Mapping[str, EntryPoint]:
    """Our own entry points, for which no other package is looked at."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return {e.name: e for e in distribution("driftcatcher").entry_points.select(group=group)}
    except PackageNotFoundError:
        return {}


def load_named(group: str, name: str) -> Any:
    """What a name stands for: a class, or whatever lies at "package.module:name"; PluginError."""
    try:
        if ":" in name or ("." in name and name not in known(group)):
            module, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
            loaded = getattr(importlib.import_module(module), attribute)
        else:
            points = _built_in(group)
            if name not in points:
                points = known(group)
            if name not in points:
                near = difflib.get_close_matches(name, points, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise PluginError(
                    f'no plug-in is called "{name}"{hint} Known: {", ".join(points)}. '
                    'A class of your own is named "package.module:Class".'
                )
            loaded = points[name].load()
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f'"{name}" could not be loaded: {type(error).__name__}: {error}') from error
    return loaded


def _load_class(group: str, name: str) -> type:
    loaded = load_named(group, name)
    if not inspect.isclass(loaded):
        raise PluginError(f'"{name}" is not a class')
    return loaded


def made(name: str, cls: Any, params: Mapping[str, Any]) -> Any:
    """What a class or function makes of the parameters; PluginError names the one that will not do."""
    known_params = inspect.signature(cls).parameters
    accepted = [p.name for p in known_params.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    listed = ", ".join(accepted) or "none"
    if not any(p.kind is p.VAR_KEYWORD for p in known_params.values()):
        for key, value in params.items():
            if key not in accepted:
                near = difflib.get_close_matches(key, accepted, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise PluginError(f'"{name}" has no parameter {key} (= {value!r}){hint} It takes: {listed}')
    for key, wanted in _types(cls).items():
        if key in params and (wrong := _mismatch(params[key], wanted)):
            raise PluginError(f'"{name}": parameter {key} = {params[key]!r} will not do: {wrong}')
    lacking = [p.name for p in known_params.values() if p.name in accepted and _required(p, params)]
    if lacking:
        raise PluginError(f'"{name}" needs the parameter {", ".join(lacking)}; it takes: {listed}')
    try:
        return cls(**params)
    except Exception as error:
        given = ", ".join(f"{key} = {value!r}" for key, value in params.items())
        raise PluginError(
            f'"{name}" refuses its parameters ({given or "none given"}): {error} (it takes: {listed})'
        ) from error


def _required(parameter: inspect.Parameter, given: Mapping[str, Any]) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.name not in given


def _types(cls: Any) -> dict[str, Any]:
    """The annotations of a class's parameters, as far as they can be resolved."""
    try:
        inside = inspect.isclass(cls) and not dataclasses.is_dataclass(cls)
        return typing.get_type_hints(cls.__init__ if inside else cls)
    except Exception:  # noqa: BLE001 - a name that cannot be resolved: then the class itself has to check
        return {}


def _mismatch(value: object, wanted: Any) -> str:
    """What would do instead of the value, or empty where it does: a whole number is a number, a list a tuple."""
    import pydantic

    try:
        # TOML has lists alone; a true is no 1, and "0.2" no 0.2
        pydantic.TypeAdapter(wanted).validate_python(value, strict=not isinstance(value, list))
    except pydantic.ValidationError as error:
        said = str(error.errors()[0]["msg"])
        return said[:1].lower() + said[1:]
    except Exception:  # noqa: BLE001 - a type that pydantic does not know: the class itself has to check
        return ""
    return ""


def load_detector(name: str, params: Mapping[str, Any]) -> AnyDetector:
    """A detector made with its parameters. PluginError if it is unknown, broken or not a detector."""
    detector = made(name, _load_class(DETECTORS, name), params)
    if not isinstance(detector, (Detector, TableDetector)):
        raise PluginError(
            f'"{name}" is no detector: it needs name, moderate, significant and score(reference, current) '
            "or score_table(reference, current)"
        )
    limits = (detector.moderate, detector.significant)
    if not all(isinstance(limit, (int, float)) for limit in limits) or not 0 <= limits[0] <= limits[1]:
        raise PluginError(
            f'"{name}": moderate ({limits[0]!r}) and significant ({limits[1]!r}) must be numbers, '
            "0 or more, the second not below the first"
        )
    return detector


def describe(group: str) -> list[tuple[str, str, str]]:
    """Name, parameters and first line of the docstring of each installed plug-in; a broken one says why."""
    found = []
    for name in known(group):
        try:
            cls = _load_class(group, name)
        except PluginError as error:
            found.append((name, "unknown", f"BROKEN: {error}"))
            continue
        parameters = [
            f"{p.name}={p.default!r}" if p.default is not inspect.Parameter.empty else p.name
            for p in inspect.signature(cls).parameters.values()
        ]
        summary = (inspect.getdoc(cls) or "no description").splitlines()[0]
        found.append((name, ", ".join(parameters) or "none", summary))
    return found
