"""Frozen settings from driftcatcher.toml; secrets from the environment alone; every error at once, with its key."""

from __future__ import annotations

import difflib
import glob
import hashlib
import importlib.util
import json
import os
import re
import tomllib
from collections import Counter
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bot.plugins import PluginError, load_detector
from bot.times import interval_or_cron, parse_duration
from detectors.base import AnyDetector
from detectors.cells import category, some_names
from detectors.errors import DataError
from detectors.location import Location, is_url, location
from detectors.metrics import Thresholds
from detectors.objects import ObjectPath
from detectors.policy import FeaturePolicy, Policy
from trainers.base import MOST_CLASSES, Gate, LabelSpec, Trainer, label_word
from trainers.mixing import Mix

FILE_NAME = "driftcatcher.toml"
MOST_SHADOWED = 1000
_WITHOUT_PLUGINS = {"plugins": False}


class ConfigError(Exception):
    """Everything that is wrong with a configuration: one line a problem, each with its key."""

    def __init__(self, where: str, problems: list[str]) -> None:
        self.where = where
        self.problems = problems
        if len(problems) == 1:
            super().__init__(f"{where}: {problems[0]}")
        else:
            super().__init__("\n  ".join([f"{where}: {len(problems)} problems", *problems]))


def _place(value: object) -> Location:
    """DataError is a ValueError with a whole sentence: pydantic names the key before it."""
    if not isinstance(value, (str, Path, ObjectPath)):
        raise ValueError("give a path, or a URL such as s3://bucket/prefix")  # noqa: TRY004  pydantic's word
    return location(value)


Place = Annotated[Location, PlainValidator(_place)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _ids(approvers: tuple[str, ...]) -> tuple[str, ...]:
    """Names would never match anybody: Slack tells the bot ids."""
    for approver in approvers:
        if not re.fullmatch(r"[UWS][A-Z0-9]{2,}", approver):
            raise ValueError(
                f'"{approver}" is no id: approvers are user ids (U…) or user-group ids (S…); in Slack, a profile '
                "has it under “Copy member ID”"
            )
    return approvers


Approvers = Annotated[tuple[str, ...], AfterValidator(_ids)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelSection(_Section):
    """Which column is the target, and which of its values mean 1 (positive) and 0 (negative), or are a class each."""

    column: str
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    group: str | None = None
    classes: tuple[str, ...] = ()

    @field_validator("positive", "negative", "classes", mode="before")
    @classmethod
    def _texts(cls, value: object) -> object:
        return [str(v) for v in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _some_value(self) -> LabelSection:
        if self.classes:
            return self._some_classes()
        if not (self.positive or self.negative):
            raise ValueError(
                'name the values of at least one class, for example negative = ["BENIGN"], or every class: '
                'classes = ["BENIGN", "DDoS", "PortScan"]'
            )
        if both := set(self.positive) & set(self.negative):
            raise ValueError(f"{sorted(both)} stand in both positive and negative")
        return self

    def _some_classes(self) -> LabelSection:
        if self.positive or self.negative:
            raise ValueError(
                "classes counts each class by itself, positive and negative make two of all: name one or the other"
            )
        if empty := [name for name in self.classes if category(name) is None]:
            raise ValueError(
                f"classes: {empty[0]!r} is what an empty cell is read from: it cannot be a class"
            )
        times = Counter(label_word(name) for name in self.classes)
        if twice := [name for name in self.classes if times[label_word(name)] > 1]:
            raise ValueError(f"classes: {some_names(list(twice))} are the same label (case does not count)")
        if not 2 <= len(self.classes) <= MOST_CLASSES:
            raise ValueError(f"classes: name 2 to {MOST_CLASSES} classes, not {len(self.classes)}")
        return self


class FeatureSection(_Section):
    """Thresholds of one feature that differ from the model's."""

    moderate: Annotated[float, Field(gt=0)] | None = None
    significant: Annotated[float, Field(gt=0)] | None = None
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
    ignore: bool = False


class GateSection(_Section):
    """What a challenger must show before promotion is recommended."""

    max_loss_old: Fraction = 0.01
    min_accuracy: Fraction | None = 0.90
    min_precision: Fraction | None = 0.85
    min_recall: Fraction | None = 0.85
    max_fpr: Fraction | None = 0.10
    max_fnr: Fraction | None = 0.05
    new: Literal["better", "not_worse"] = "better"


class MixSection(_Section):
    """Which of the old and new rows a version is fitted on."""

    use: Literal["all", "balanced", "recent", "capped"] = "all"
    half_life: Annotated[float, Field(gt=0)] = 2.0
    old_per_new: Annotated[float, Field(gt=0)] = 10.0


class PerformanceSection(_Section):
    """Metrics of labelled predictions outside these bounds alert; `every_class` measures each class by itself."""

    every_class: bool = False
    min_accuracy: Fraction | None = 0.90
    min_precision: Fraction | None = 0.85
    min_recall: Fraction | None = 0.85
    max_fpr: Fraction | None = 0.10
    max_fnr: Fraction | None = 0.05


class ServingSection(_Section):
    """Who is handed each new champion, beside the registry: a folder, a webhook, both or neither."""

    folder: Place | None = None
    webhook: str = ""

    @field_validator("webhook")
    @classmethod
    def _webhook(cls, value: str) -> str:
        if not re.fullmatch(r"(https?://[^\s/?#@]+([/?#]\S*)?)?", value):
            raise ValueError(
                "is an http:// or https:// address without user and password: calls are signed where "
                "DRIFTCATCHER_WEBHOOK_SECRET is set"
            )
        return value

    @property
    def kinds(self) -> tuple[Literal["folder", "webhook"], ...]:
        """What is configured."""
        return (*(("folder",) if self.folder is not None else ()), *(("webhook",) if self.webhook else ()))


class ModelSection(_Section):
    """One deployed model: where its batches arrive, how they are judged, who decides."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    inbox: Place
    labeled: Place
    label: LabelSection
    ignore: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    period: str | None = None
    schedule: str = "1h"
    policy: Literal["calibrated", "classic"] = "calibrated"
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.008
    joint_alpha: Annotated[float, Field(gt=0, lt=1)] = 0.005
    scoring: bool = True
    correction: Literal["holm", "none"] = "holm"
    classic_warning: Annotated[float, Field(gt=0)] = 0.1
    classic_retrain: Annotated[float, Field(gt=0)] = 0.2
    detectors: dict[str, dict[str, Any]] = Field(
        default={"psi": {}, "domain_classifier": {}, "correlation": {}}
    )
    detector_limit: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(seconds=30)
    detector_memory_mb: Annotated[int, Field(gt=0)] = 1024
    features: dict[str, FeatureSection] = Field(default_factory=dict)
    creep: bool = True
    alert_on: Literal["warning", "drift"] = "warning"
    alert_cooldown: Duration = timedelta(hours=6)
    retrain_cooldown: Duration = timedelta(hours=24)
    retrain_limit: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(hours=6)
    retrain_memory_mb: Annotated[int, Field(gt=0)] | None = None
    channel: str = ""
    approvers: Approvers | None = None
    trainer: dict[str, Any] = Field(default_factory=dict)
    shadow_batches: int = 0
    expect_rows: Annotated[int, Field(ge=0)] = 500_000
    gate: GateSection = GateSection()
    mix: MixSection = MixSection()
    performance: PerformanceSection = PerformanceSection()
    serving: ServingSection = ServingSection()

    @field_validator("schedule")
    @classmethod
    def _schedule(cls, value: str) -> str:
        interval_or_cron(value)
        return value

    @field_validator("shadow_batches", mode="before")
    @classmethod
    def _shadow_batches(cls, value: object) -> object:
        if type(value) is not int or not 0 <= value <= MOST_SHADOWED:
            raise ValueError(
                "is the number of next batches which a retrained version scores beside the champion before "
                f"somebody decides: a whole number from 0 (none) to {MOST_SHADOWED:,}"
            )
        return value

    @field_validator("detectors")
    @classmethod
    def _detectors(cls, value: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        if info.context == _WITHOUT_PLUGINS:
            return value
        problems = []
        for name, params in value.items():
            try:
                load_detector(params.get("use", name), {k: v for k, v in params.items() if k != "use"})
            except PluginError as error:
                problems.append(str(error))
        if problems or not value:
            raise ValueError("; ".join(problems) or "name at least one detector, for example psi")
        return value

    @field_validator("trainer")
    @classmethod
    def _trainer(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if info.context == _WITHOUT_PLUGINS:
            return value
        try:
            _make_trainer(value)
        except PluginError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> ModelSection:
        if self.classic_retrain < self.classic_warning:
            raise ValueError("classic_retrain must not be below classic_warning")
        if self.label.column in self.ignore:
            raise ValueError(f'"{self.label.column}" is the label: take it out of ignore')
        if self.label.group == self.label.column:
            raise ValueError(f'"{self.label.column}" is the label: it cannot be the group as well')
        for limit in ("max_fpr", "max_fnr"):
            if self.label.classes and limit in self.gate.model_fields_set:
                raise ValueError(f"gate.{limit}: several classes have no such rate: take it out")
        return self

    @model_validator(mode="after")
    def _time_after_the_search(self) -> ModelSection:
        if "search" in self.trainer:
            budget = parse_duration(self.trainer["search"].get("budget", "10m"))
            if budget >= self.retrain_limit:
                raise ValueError(
                    f"trainer.search: its budget ({budget}) leaves no time of retrain_limit ({self.retrain_limit})"
                )
        return self

    def detector_specs(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Entry point or class of each configured detector, and its parameters."""
        return tuple(
            (params.get("use", name), {k: v for k, v in params.items() if k != "use"})
            for name, params in self.detectors.items()
        )

    def load_detectors(self) -> tuple[AnyDetector, ...]:
        """The configured detectors, made with their parameters."""
        return tuple(load_detector(use, params) for use, params in self.detector_specs())

    def load_trainer(self) -> Trainer:
        """The configured trainer, made with its parameters."""
        return _make_trainer(self.trainer)

    def label_spec(self) -> LabelSpec:
        """How labelled files of this model are read."""
        label = self.label
        return LabelSpec(
            label.column,
            label.positive,
            label.negative,
            self.ignore,
            self.categorical,
            period=self.period,
            group=label.group,
            classes=label.classes,
        )

    def judging(self) -> Policy:
        """The policy that turns scores into a verdict."""
        features = {name: FeaturePolicy(**section.model_dump()) for name, section in self.features.items()}
        return Policy(
            kind=self.policy,
            alpha=self.alpha,
            joint_alpha=self.joint_alpha,
            correction=self.correction,
            classic_warning=self.classic_warning,
            classic_retrain=self.classic_retrain,
            features=features,
        )

    def promotion_gate(self) -> Gate:
        """The gate between a retrain and the recommendation to promote."""
        return Gate(**self.gate.model_dump())

    def mixing(self) -> Mix:
        """How old and new rows are mixed."""
        return Mix(**self.mix.model_dump())

    def thresholds(self) -> Thresholds:
        """The bounds of the performance monitor."""
        return Thresholds(**self.performance.model_dump(exclude={"every_class"}))

    @cached_property
    def policy_sha(self) -> str:
        """Digest of all that decides a verdict: the same file under another policy is another check."""
        keys = {
            "policy",
            "alpha",
            "joint_alpha",
            "scoring",
            "correction",
            "classic_warning",
            "classic_retrain",
            "detectors",
            "features",
            "ignore",
            "creep",
        }
        text = json.dumps(self.model_dump(mode="json", include=keys), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class SlackSection(_Section):
    """How the bot meets Slack. Tokens are never here: SLACK_BOT_TOKEN, SLACK_APP_TOKEN, SLACK_SIGNING_SECRET."""

    mode: Literal["socket", "http"] = "socket"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 3000
    command: Annotated[str, Field(pattern=r"^/[a-z0-9_-]{1,31}$")] = "/drift"
    channel: str = ""
    approvers: Approvers = ()


class MlflowSection(_Section):
    """Where runs are logged; by default a SQLite store in the home folder.

    `log_checks`: "runs" = each check is a run and a step of its version's long-lived run, "steps" = the latter alone.
    """

    tracking_uri: str = ""
    ui_url: str = "http://127.0.0.1:5000"
    log_checks: Literal["runs", "steps", "off"] = "runs"


class HistorySection(_Section):
    """How long checks are kept in full; of older ones verdict and scores stay. Without `roll_up_after`: for ever."""

    roll_up_after: Annotated[Duration, Field(ge=timedelta(days=1))] | None = None


class TrainingSection(_Section):
    """How many retrains, each of another model, run at the same time. A trainer usually takes every core for itself."""

    side_by_side: Annotated[int, Field(ge=1, le=32)] = 1


class Config(_Section):
    """The whole configuration, with absolute paths."""

    home: Path = Path(".driftcatcher")
    baselines: Place | None = None
    settle_seconds: Annotated[float, Field(ge=0, le=600)] = 2.0
    engine: Literal["local", "dask"] = "local"
    scheduler: Annotated[str, Field(pattern=r"^((tcp|tls)://\S+:\d+)?$")] = ""
    slack: SlackSection = SlackSection()
    mlflow: MlflowSection = MlflowSection()
    history: HistorySection = HistorySection()
    training: TrainingSection = TrainingSection()
    models: tuple[ModelSection, ...]
    _folder: Path | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _names_once(self) -> Config:
        if not self.models:
            raise ValueError("models: at least one [[models]] block is needed")
        twice = [name for name, count in Counter(m.name for m in self.models).items() if count > 1]
        if twice:
            raise ValueError(f"models need names of their own; used more than once: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _engine_at_hand(self) -> Config:
        if self.engine == "local":
            return self
        if not self.scheduler:
            raise ValueError(
                'engine = "dask" needs scheduler = "tcp://HOST:8786", the address of a Dask scheduler'
            )
        if importlib.util.find_spec("distributed") is None:  # looked for, not loaded
            raise ValueError("engine = \"dask\" needs Dask: pip install 'driftcatcher[dask]'")
        return self

    def model(self, name: str | None) -> ModelSection:
        """The model of that name; without a name the only one. LookupError says which there are."""
        names = ", ".join(m.name for m in self.models)
        if not name:
            if len(self.models) == 1:
                return self.models[0]
            raise LookupError(f"several models are configured, name one: {names}")
        for model in self.models:
            if model.name == name:
                return model
        raise LookupError(f'no model is called "{name}"; configured: {names}')

    def channel(self, model: ModelSection) -> str:
        """The channel of a model, its own or the bot's."""
        return (model.channel or self.slack.channel).lstrip("#")

    def approvers(self, model: ModelSection) -> tuple[str, ...]:
        """User and user-group ids that may approve for a model; nobody where none is named."""
        return self.slack.approvers if model.approvers is None else model.approvers

    @property
    def cluster(self) -> str:
        """Address of the Dask scheduler; empty where everything runs here."""
        return self.scheduler if self.engine == "dask" else ""

    @property
    def folder(self) -> Path:
        """The project's folder: where driftcatcher.toml lies."""
        return self._folder or self.home.parent

    @property
    def state_path(self) -> Path:
        """The SQLite file that remembers everything."""
        return self.home / "state.db"


def _make_trainer(section: dict[str, Any]) -> Trainer:
    from bot.trainer_options import load_trainer  # late: a status makes none, and this loads NumPy

    params = {k: v for k, v in section.items() if k != "use"}
    return load_trainer(section.get("use", "hist_gradient_boosting"), params)


def find(path: str | None) -> Path:
    """The configuration file asked for, or named by DRIFTCATCHER_CONFIG, or in the current folder."""
    return Path(path or os.environ.get("DRIFTCATCHER_CONFIG") or FILE_NAME).expanduser().resolve()


def load(path: Path, *, plugins: bool = True) -> Config:
    """Read and check the configuration. ConfigError lists every problem with its key and what would be right.

    Args:
        plugins: detectors and trainers are made with their parameters; False for what asks none of them, since
            to load them takes longer than to show a status.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(str(path), ["there is no such file; `driftcatcher init` writes one"]) from None
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"is not valid TOML: {error}"]) from error
    try:
        context = None if plugins else _WITHOUT_PLUGINS
        made = Config.model_validate(_with_absolute_paths(raw, path.parent), context=context)
    except ValidationError as error:
        raise ConfigError(str(path), [_problem(e) for e in error.errors()]) from error
    made._folder = path.parent.absolute()
    return made


def _with_absolute_paths(raw: dict[str, Any], base: Path) -> dict[str, Any]:
    """Paths are relative to the file they stand in; a model's folders follow its name where not given."""

    def absolute(value: object) -> object:
        if not isinstance(value, str) or is_url(value):
            return value
        return str(base / Path(value).expanduser())

    def inbox(value: object) -> object:
        if is_url(value):
            return value
        if isinstance(value, str) and glob.has_magic(value) and not Path(value).expanduser().is_absolute():
            folder = base / value
            return str(folder if folder.is_dir() else Path(glob.escape(str(base))) / value)
        return absolute(value)

    def serving(model: dict[str, Any]) -> dict[str, Any]:
        section = model.get("serving")
        if not isinstance(section, dict) or "folder" not in section:
            return {}
        return {"serving": {**section, "folder": absolute(section["folder"])}}

    made = dict(raw, home=absolute(raw.get("home", ".driftcatcher")))
    if "baselines" in raw:
        made["baselines"] = absolute(raw["baselines"])
    if isinstance(models := raw.get("models"), list):
        made["models"] = [
            {
                **model,
                "inbox": inbox(model.get("inbox", f"inbox/{model.get('name', '')}")),
                "labeled": absolute(model.get("labeled", f"labeled/{model.get('name', '')}")),
                **serving(model),
            }
            if isinstance(model, dict)
            else model
            for model in models
        ]
    return made


_SECTIONS: dict[str, type[_Section]] = {
    "slack": SlackSection, "mlflow": MlflowSection, "history": HistorySection, "training": TrainingSection,
    "models": ModelSection, "label": LabelSection, "gate": GateSection, "mix": MixSection,
    "serving": ServingSection, "performance": PerformanceSection, "features": FeatureSection,
}  # fmt: skip


def _problem(error: Any) -> str:
    """One line: key, what is wrong, what would be right."""
    location = [part for part in error["loc"] if part != "[key]"]
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".") or "the file"
    kind = error["type"]
    if kind == "extra_forbidden":
        owner = next((_SECTIONS[p] for p in reversed(location[:-1]) if p in _SECTIONS), Config)
        near = difflib.get_close_matches(str(location[-1]), owner.model_fields, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(owner.model_fields)}"
        return f"{key}: unknown key; {hint}"
    if kind == "missing":
        return f"{key}: is required"
    message = error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    told = isinstance(error.get("ctx", {}).get("error"), DataError)  # it names the URL, or why it must not
    given = None if told else error.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{key}: {message}{shown}"
