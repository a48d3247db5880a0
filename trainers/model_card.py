"""The model card of a version, as Markdown: what it is, what it was trained on, how good it is, and where that ends.

After Mitchell et al., Model Cards for Model Reporting, 2019 (doi:10.1145/3287560.3287596), as far as a training
knows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.metrics import ClassMetrics, recall_of
from trainers.base import Evaluation, Schema
from trainers.lineage import Lineage, Source

_METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc", "fpr", "fnr")
_AVERAGES = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_f1")
_FEW = 100  # rows of a hold-out, below which its numbers are said to be rough
_COLUMNS = 30  # features that are listed by name


@dataclass(frozen=True, slots=True)
class Card:
    """What a training knows of the version that it made.

    Attributes:
        model: its name;  trainer: that of its trainer.
        lineage, schema: where it comes from, and its columns.
        evaluations: its metrics;  champion: those of the champion on the same rows, where there was one.
        decision: what the gate recommends, empty without a champion;  reasons: why, or which limits are broken.
        notes: what was remarked about the data.
    """

    model: str
    trainer: str
    lineage: Lineage
    schema: Schema
    evaluations: tuple[Evaluation, ...]
    champion: tuple[Evaluation, ...] = ()
    decision: str = ""
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def markdown(self, version: int) -> str:
        """The card of that version."""
        parts = [
            f"# {self.model} version {version}",
            self._what(),
            "## Data",
            *self._data(),
            "## Metrics",
            *self._metrics(),
            "## Gate",
            *self._gate(),
            "## Limits",
            *(f"- {text}" for text in self._limits()),
        ]
        return "\n\n".join(_joined(parts)) + "\n"

    def _what(self) -> str:
        label, origin = self.lineage.configuration["label"], self.lineage.origin
        classes = label.get("classes", ())
        if classes:
            meant = ", ".join(f"{place} for {_text(name)}" for place, name in enumerate(classes))
        else:
            meant = " and ".join(
                f"{value} for {_listed(label[side]) or 'every other value'}"
                for value, side in ((1, "positive"), (0, "negative"))
            )
        kind = f"A classifier of {len(classes)} classes" if classes else "A binary classifier"
        asked = f" {'Approved' if self.lineage.parent else 'Asked for'} by {origin.by}" if origin.by else ""
        why = f": {_text(origin.why)}" if origin.why else ""
        return (
            f"{kind} ({self.trainer}) that predicts column `{label['column']}`: {meant}. Trained "
            f"{self.lineage.trained_at}{_from(self.lineage)}.{asked}{why}{'.' if asked else ''}"
        )

    def _data(self) -> list[str]:
        rows = ["| File | Rows | Role | SHA-256 | DVC |", "|---|---|---|---|---|"]
        rows += [_row(source) for source in self.lineage.sources]
        schema = self.schema
        names = ", ".join(f"`{_text(name)}`" for name in schema.features[:_COLUMNS])
        more = f" and {len(schema.features) - _COLUMNS} more" if len(schema.features) > _COLUMNS else ""
        return [
            "\n".join(rows),
            f"{self.lineage.rows:,} rows were trained on. {len(schema.features)} features "
            f"(numbers: {len(schema.numeric)}, categories: {len(schema.categorical)}): {names}{more}.",
            *(f"- {_text(note)}" for note in self.notes),
        ]

    def _metrics(self) -> list[str]:
        several = [e.metrics.classes for e in self.evaluations if isinstance(e.metrics, ClassMetrics)]
        if not several:
            return ["\n".join(self._table(_METRICS, _METRICS))]
        names = several[0]
        each = self._table([f"recall of {_text(n)}" for n in names], [recall_of(n) for n in names])
        return ["\n".join(self._table(_AVERAGES, _AVERAGES)), "\n".join(each)]

    def _table(self, heads: Sequence[str], metrics: Sequence[str]) -> list[str]:
        """One row a hold-out and model."""
        before = {evaluation.holdout: evaluation.metrics.by_name for evaluation in self.champion}
        head = "| Hold-out | Rows | Model | " + " | ".join(heads) + " |"
        rows = [head, "|---" * (3 + len(heads)) + "|"]
        for evaluation in self.evaluations:
            side = f"| {evaluation.holdout} | {evaluation.rows:,} |"
            if evaluation.holdout in before:
                champion = f"champion, version {self.lineage.parent}"
                rows.append(f"{side} {champion} | {_numbers(before[evaluation.holdout], metrics)} |")
            rows.append(f"{side} this version | {_numbers(evaluation.metrics.by_name, metrics)} |")
        return rows

    def _gate(self) -> list[str]:
        several = bool(self.lineage.configuration["label"].get("classes"))
        limits = ", ".join(
            f"{k} {v if isinstance(v, str) else f'{v:g}'}"
            for k, v in self.lineage.configuration["gate"].items()
            if v is not None and not (several and k in ("max_fpr", "max_fnr"))
        )
        if self.decision:
            said = f"Recommendation: **{self.decision}**. Limits: {limits}."
        else:
            said = f"There was no champion to compare with. Limits: {limits}."
        held = "" if self.decision or self.reasons else "Every limit is kept."
        return [said, *(f"- {_text(reason)}" for reason in self.reasons), held]

    def _limits(self) -> list[str]:
        texts = [
            "The hold-outs are rows of the files above that were never trained on: they say nothing of other data.",
            "Promotion is a decision of people; this card was written before it.",
        ]
        texts += [
            f"The {e.holdout} hold-out has only {e.rows:,} rows: its numbers are rough."
            for e in self.evaluations
            if e.rows < _FEW
        ]
        if self.lineage.project is not None and self.lineage.project.dirty:
            texts.append("Files of the project differed from its commit when it was trained.")
        return texts


def _joined(parts: Sequence[str]) -> list[str]:
    """Items of one list stay together."""
    made: list[str] = []
    for part in filter(None, parts):
        if made and part.startswith("- ") and made[-1].startswith("- "):
            made[-1] += f"\n{part}"
        else:
            made.append(part)
    return made


def _row(source: Source) -> str:
    dvc = source.dvc.md5 if source.dvc is not None else ""
    return f"| {_text(Path(source.path).name)} | {source.rows:,} | {source.role} | `{source.sha256[:16]}…` | {dvc} |"


def _from(lineage: Lineage) -> str:
    return "" if lineage.parent is None else f" on the data of version {lineage.parent} and new files"


def _numbers(metrics: Mapping[str, Any], names: Sequence[str]) -> str:
    return " | ".join("" if metrics[name] is None else f"{metrics[name]:.4f}" for name in names)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(_text(value) for value in values)


def _text(value: str) -> str:
    """On one line, and no column of a table of its own."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
