"""Where a version comes from, and what became of it: its lineage, its ancestors, its promotions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.config import Config, ModelSection
from state.records import Promotion, Retrain, StateError, Trained
from state.store import Store
from trainers.base import DataFile
from trainers.lineage import Lineage, Origin, Source, utc_text

_MOVES = {"train": "made champion", "promote": "promoted", "roll_back": "rolled back to"}


def origin_of(
    config: Config,
    model: ModelSection,
    by: str,
    at: datetime,
    *,
    why: str = "",
    incident: int | None = None,
    retrain: int | None = None,
) -> Origin:
    """What is known of a training before it runs, for the lineage of the version that it makes."""
    return Origin(
        project=str(config.folder),
        trainer=model.trainer,
        cluster=config.cluster,
        by=by,
        why=why,
        at=utc_text(at),
        incident=incident,
        retrain=retrain,
    )


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A version that another was trained from, and the files that were new to it."""

    version: int
    created_at: datetime
    new: tuple[DataFile, ...]
    parent: int | None


@dataclass(frozen=True, slots=True)
class Descent:
    """One version, with all that the state file knows of where it comes from.

    Attributes:
        version: the version;  retrain: the approval it was made by, for one of a retrain.
        ancestors: itself first, then the champion it was trained from, and so on to the first.
        moves: promotions to it and roll-backs to and from it, oldest first;  reasons: of each, by its id.
    """

    version: Trained
    retrain: Retrain | None
    ancestors: tuple[Ancestor, ...]
    moves: tuple[Promotion, ...]
    reasons: Mapping[int, str]


def read(store: Store, model: str, number: int) -> Descent:
    """The descent of a version from the state file: neither MLflow nor a data file is touched.

    Raises:
        StateError: there is no such version; the message lists those there are.
    """
    known = {trained.record.version: trained for trained in store.versions(model)}
    if number not in known:
        listed = ", ".join(map(str, sorted(known))) or "none, it is not trained yet"
        raise StateError(f"{model} has no version {number}; its versions: {listed}")
    retrains = {
        retrain.outcome.version.version: retrain
        for retrain in store.retrains(model, 1_000_000)
        if retrain.outcome is not None
    }
    chain: list[Ancestor] = []
    at: int | None = number
    while at is not None and at in known and at not in {a.version for a in chain}:
        chain.append(_ancestor(known[at], retrains.get(at)))
        at = chain[-1].parent
    moves = store.promotions_of(model, number)
    return Descent(
        known[number], retrains.get(number), tuple(chain), tuple(move for move, _ in moves),
        {move.id: why for move, why in moves},
    )  # fmt: skip


def _ancestor(trained: Trained, retrain: Retrain | None) -> Ancestor:
    """From the lineage; in the records of an earlier release, from the retrain that was approved."""
    record, lineage = trained.record, trained.record.lineage
    if lineage is not None:
        new = lineage.new if lineage.kind == "retrain" else lineage.sources
        files = tuple(DataFile(s.path, s.sha256, s.rows) for s in new)
        return Ancestor(record.version, trained.created_at, files, lineage.parent)
    if retrain is not None:
        return Ancestor(record.version, trained.created_at, retrain.files, retrain.champion_version)
    return Ancestor(record.version, trained.created_at, record.data, None)


def as_dict(descent: Descent) -> dict[str, Any]:
    """In JSON types."""
    trained, record, retrain = descent.version, descent.version.record, descent.retrain
    return {
        "model": record.model,
        "version": record.version,
        "created_at": utc_text(trained.created_at),
        "is_champion": trained.is_champion,
        "trainer": record.trainer,
        "params": dict(record.params),
        "run_id": record.run_id,
        "run_url": record.run_url,
        "artifact_sha256": record.artifact_sha256,
        "baseline_sha256": record.baseline_sha256,
        "evaluations": [asdict(evaluation) for evaluation in record.evaluations],
        "lineage": None if record.lineage is None else asdict(record.lineage),
        "retrain": None
        if retrain is None
        else {
            "id": retrain.id,
            "state": retrain.state,
            "incident": retrain.incident_id,
            "approved_by": retrain.approved_by,
            "approved_at": utc_text(retrain.approved_at),
            "why": retrain.why,
            "recommendation": retrain.outcome.recommendation if retrain.outcome else None,
        },
        "ancestors": [
            {**asdict(ancestor), "created_at": utc_text(ancestor.created_at)}
            for ancestor in descent.ancestors
        ],
        "moves": [
            {
                "what": _MOVES[move.kind] if move.version == record.version else "rolled back from",
                "version": move.version,
                "previous": move.previous,
                "by": move.by,
                "at": utc_text(move.at),
                "why": descent.reasons.get(move.id, ""),
            }
            for move in descent.moves
        ],
    }


def lineage_text(descent: Descent) -> str:
    """For a terminal."""
    trained, record = descent.version, descent.version.record
    state = "the champion" if trained.is_champion else "not the champion"
    lines = [
        f"{record.model} version {record.version}, trained {utc_text(trained.created_at)}, {state}",
        f"  MLflow run   {record.run_url or record.run_id}",
        f"  trainer      {record.trainer} {_named(record.params)}",
    ]
    if record.lineage is None:
        lines += [
            "  lineage      was not kept when it was trained, by an earlier release",
            f"  code         {record.code_version}",
            *_files("data", [Source(f.path, f.sha256, f.rows, "old") for f in record.data]),
        ]
    else:
        lines += _about(record.lineage)
    if descent.retrain is not None:
        lines += _approval(descent.retrain)
    elif record.lineage is not None and record.lineage.origin.by:
        lines.append(_asked(record.lineage.origin))
    lines += ["", "Descent"]
    for ancestor in descent.ancestors:
        whence = f"from version {ancestor.parent} and" if ancestor.parent is not None else "from"
        files = ", ".join(f"{Path(file.path).name} ({file.rows:,} rows)" for file in ancestor.new)
        lines.append(f"  version {ancestor.version}, {ancestor.created_at:%Y-%m-%d}: {whence} {files}")
    if moves := as_dict(descent)["moves"]:
        lines += ["", "Champion"]
        lines += [f"  {_move(move)}" for move in moves]
    return "\n".join(lines)


def _about(lineage: Lineage) -> list[str]:
    label = lineage.configuration["label"]
    project = "in no git repository" if lineage.project is None else _commit(lineage)
    read = [f"{key} {_words(value)}" for key, value in label.items() if value]
    surroundings = [f"{key} {value}" for key, value in lineage.environment.items() if value]
    seed = "none" if lineage.seed is None else str(lineage.seed)
    return [
        f"  seed         {seed}",
        f"  project      {project}",
        f"  driftcatcher {lineage.code}",
        *_files("old data", lineage.old),
        *_files("new data", lineage.new),
        f"  training     {lineage.rows:,} rows, SHA-256 {lineage.data_sha256[:16]}…",
        f"  labels       {', '.join(read)}",
        f"  gate         {_named(lineage.configuration['gate'])}",
        f"  environment  {', '.join(surroundings)}",
    ]


def _asked(origin: Origin) -> str:
    at = f" at {origin.at}" if origin.at else ""
    return f"  asked for by {origin.by}{at}{f': {origin.why}' if origin.why else ''}"


def _commit(lineage: Lineage) -> str:
    revision = lineage.project
    if revision is None:
        return ""
    return f"git {revision.commit}{', with changes that are not committed' if revision.dirty else ''}"


def _files(title: str, sources: list[Source] | tuple[Source, ...]) -> list[str]:
    lines = []
    for place, source in enumerate(sources):
        name = title if place == 0 else ""
        lines.append(f"  {name:<12} {source.path}, {source.rows:,} rows, SHA-256 {source.sha256[:16]}…")
        if source.dvc is not None:
            changed = ", but the file is not that content" if source.dvc.matches is False else ""
            held = f"at git {source.dvc.commit}" if source.dvc.commit else "not committed"
            pointer = Path(source.dvc.pointer).name
            lines.append(f"  {'':<12}   DVC {source.dvc.md5} by {pointer}, {held}{changed}")
    return lines


def _approval(retrain: Retrain) -> list[str]:
    for_what = f" for incident {retrain.incident_id}" if retrain.incident_id is not None else ""
    why = f": {retrain.why}" if retrain.why else ""
    lines = [
        f"  approved     by {retrain.approved_by} at {utc_text(retrain.approved_at)}, "
        f"retrain {retrain.id}{for_what}{why}"
    ]
    if retrain.outcome is not None:
        lines.append(f"  gate said    {retrain.outcome.recommendation}: {'; '.join(retrain.outcome.reasons)}")
    return lines


def _move(move: Mapping[str, Any]) -> str:
    said = move["what"] if move["what"] != "rolled back from" else f"rolled back to version {move['version']}"
    why = f": {move['why']}" if move["why"] else ""
    return f"{move['at']}  {said} by {move['by']}{why}"


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items()) or "(no parameters)"


def _words(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
