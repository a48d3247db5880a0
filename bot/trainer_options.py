"""The table [models.trainer]: what makes the trainer, and what goes around any trainer (seed, calibration, search)."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from bot.plugins import TRAINERS, PluginError, load_named, made
from bot.times import parse_duration
from trainers.base import Trainer
from trainers.calibration import Calibrated
from trainers.estimators import EstimatorTrainer, Trusting
from trainers.search import Range, Searched, Space

_OPTIONS = ("seed", "prepare", "calibrate", "search", "trusted")
_SEARCH = ("params", "budget", "trials", "folds", "metric")


def load_trainer(name: str, params: Mapping[str, Any]) -> Trainer:
    """A trainer made with its parameters: a plug-in, or any classifier or pipeline of scikit-learn's kind.

    Args:
        name: an entry point, "package.module:Name" or "package.module.Name": a trainer, a classifier, a function that
            returns one, or one that is made already.
        params: of that, and the options `seed`, `prepare`, `calibrate`, `search`, `trusted`, where it has no parameter
            of that name itself. What starts with "search." was recorded by a search and says nothing here.

    Raises:
        PluginError: it is unknown, broken, or refuses its parameters; the message says what would be right.
    """
    loaded = load_named(TRAINERS, name)
    taken = _parameters(name, loaded) if callable(loaded) else {}
    options = {key: params[key] for key in _OPTIONS if key in params and key not in taken}
    own = {
        key: value
        for key, value in params.items()
        if key != "use" and key not in options and not key.startswith("search.")
    }
    _check_options(name, options)

    def make(changed: Mapping[str, Any]) -> Trainer:
        return _base(name, loaded, {**own, **changed}, options)

    trainer, seed = make({}), int(options.get("seed", 0))
    if "search" in options:
        trainer = Searched(make, _space(options["search"], make), seed)
    if "calibrate" in options:
        trainer = Calibrated(trainer, options["calibrate"], seed)
    return Trusting(trainer, tuple(options["trusted"])) if options.get("trusted") else trainer


def _parameters(name: str, loaded: Any) -> Mapping[str, inspect.Parameter]:
    """What it takes; some that are written in C do not say."""
    try:
        return inspect.signature(loaded).parameters
    except (TypeError, ValueError) as error:
        raise PluginError(
            f'"{name}" does not say which parameters it takes ({error}): it can be no trainer; '
            "name a trainer, a classifier of scikit-learn's kind, or a function that returns one"
        ) from error


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    right: dict[str, tuple[Callable[[Any], bool], str]] = {
        "seed": (lambda v: type(v) is int and v >= 0, "a whole number, 0 or more"),
        "prepare": (lambda v: isinstance(v, bool), "true or false"),
        "calibrate": (lambda v: v in ("sigmoid", "isotonic"), '"sigmoid" or "isotonic"'),
        "search": (lambda v: isinstance(v, dict), "a table: [models.trainer.search]"),
        "trusted": (
            lambda v: isinstance(v, (list, tuple)) and all(isinstance(t, str) for t in v),
            'a list of types, such as ["sklearn.neighbors._kd_tree.KDTree"]',
        ),
    }
    for key, value in options.items():
        fits, wanted = right[key]
        if not fits(value):
            raise PluginError(f'"{name}": {key} = {value!r} will not do: it is {wanted}')


def _base(name: str, loaded: Any, own: Mapping[str, Any], options: Mapping[str, Any]) -> Trainer:
    """The trainer without what goes around it."""
    if not _is_estimator(loaded) and inspect.isclass(loaded):
        if "prepare" in options:
            raise PluginError(f'"{name}" is a trainer and prepares its columns itself: leave out prepare')
        trainer = made(name, loaded, {**own, **_seed_of(name, loaded, own, options)})
        if not isinstance(trainer, Trainer):
            raise PluginError(
                f'"{name}" is no trainer: it needs name, params() and fit(features, labels, categorical); '
                "nor is it a classifier of scikit-learn's kind"
            )
        return trainer
    estimator = _estimator(name, loaded, own)
    if isinstance(estimator, Trainer):  # a function that makes a trainer
        return estimator
    return EstimatorTrainer(
        name,
        estimator,
        own,
        seed=int(options.get("seed", 0)),
        prepare=bool(options.get("prepare", True)),
        probabilities="calibrate" not in options,
    )


def _seed_of(name: str, loaded: Any, own: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """`seed` is `random_state` for the trainers that have one."""
    takes = "random_state" in _parameters(name, loaded)
    if "seed" not in options or "random_state" in own:
        return {}
    if not takes and not {"calibrate", "search"} & set(options):
        raise PluginError(f'"{name}" has no parameter seed or random_state')
    return {"random_state": options["seed"]} if takes else {}


def _is_estimator(thing: Any) -> bool:
    return hasattr(thing, "get_params") and hasattr(thing, "fit") and not hasattr(thing, "params")


def _estimator(name: str, loaded: Any, own: Mapping[str, Any]) -> Any:
    """A classifier from a class, a function or one that is made; its own checks of its parameters are asked now."""
    from sklearn.base import clone, is_classifier

    if callable(loaded):
        estimator = made(name, loaded, own)
    else:
        estimator = clone(loaded)
        unknown = [key for key in own if key not in estimator.get_params()]
        if unknown:
            near = difflib.get_close_matches(unknown[0], estimator.get_params(), n=1)
            raise PluginError(
                f'"{name}" has no parameter {unknown[0]}' + (f"; did you mean {near[0]}?" if near else "")
            )
        estimator.set_params(**own)
    if isinstance(estimator, Trainer):
        return estimator
    if not _is_estimator(estimator) or not is_classifier(estimator):
        raise PluginError(
            f'"{name}" gives a {type(estimator).__name__}, which is neither trainer nor classifier'
        )
    try:
        getattr(estimator, "_validate_params", lambda: None)()
    except ValueError as error:
        raise PluginError(f'"{name}" refuses its parameters: {error}') from error
    return estimator


def _space(table: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Trainer]) -> Space:
    """What [models.trainer.search] says; every value it names is tried on the trainer's own checks."""
    for key in table:
        if key not in _SEARCH:
            near = difflib.get_close_matches(key, _SEARCH, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_SEARCH)}"
            raise PluginError(f"search has no key {key}; {hint}")
    given = table.get("params")
    if not isinstance(given, dict) or not given:
        raise PluginError("search needs params, for example params = { max_depth = [3, 6, 12] }")
    choices = {key: _choices(key, value) for key, value in given.items()}
    for key, choice in choices.items():
        for value in (choice.low, choice.high) if isinstance(choice, Range) else choice:
            make({key: value})
    trials, folds = table.get("trials", 20), table.get("folds", 3)
    if type(trials) is not int or trials < 2 or type(folds) is not int or folds < 2:
        raise PluginError("search: trials and folds are whole numbers of at least 2")
    try:
        budget = parse_duration(table.get("budget", "10m")).total_seconds()
    except ValueError as error:
        raise PluginError(f"search: budget: {error}") from error
    return Space(choices, budget, trials, folds, _metric(str(table.get("metric", "roc_auc"))))


def _choices(key: str, value: Any) -> tuple[Any, ...] | Range:
    if isinstance(value, list) and value:
        return tuple(value)
    try:
        return Range(**value)
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"search: {key} is a list of values, or {{ low = …, high = …, log = true }} ({error})"
        ) from error


def _metric(name: str) -> str:
    from sklearn.metrics import get_scorer_names

    if name not in get_scorer_names():
        near = difflib.get_close_matches(name, get_scorer_names(), n=3)
        raise PluginError(
            f'search: metric "{name}" is unknown to scikit-learn; near: {", ".join(near) or "roc_auc"}'
        )
    return name
