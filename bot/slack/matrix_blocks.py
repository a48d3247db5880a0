"""The forgetting matrix in the thread: both versions on every hold-out there has been. Pure."""

from __future__ import annotations

from bot.matrix_text import lost_most, shares, verdict
from bot.slack.blocks import Message, clip, context, section, table
from bot.slack.text import clean, count, escape, listed, name
from detectors.holm import holm
from detectors.metrics import class_of, recall_of
from state.records import Retrain
from trainers.base import RetrainOutcome
from trainers.judgement import Cell
from trainers.matrix_plot import title
from trainers.promotion import CHANCE

SHOWN_FILES = 3


def matrix_message(retrain: Retrain, outcome: RetrainOutcome) -> Message:
    """A table with one row a hold-out; what is worse is said first."""
    cells = outcome.matrix
    old, new = retrain.champion_version, outcome.version.version
    worse = [told for told in map(_worse, cells) if told]
    said = (
        f"*Significantly worse than version {old}* on {listed(worse, 5)}."
        if worse
        else f"On no hold-out is version {new} significantly worse than version {old}."
    )
    several = any(cell.classes for cell in cells)
    heads = ("Accuracy", "Macro recall", "Class that lost most") if several else ("Accuracy", "Recall")
    rows = [
        (
            _head(c),
            shares(c, "accuracy"),
            shares(c, c.recall),
            *((clean(lost_most(c)),) if several else ()),
            verdict(c),
        )
        for c in cells
    ]
    block, shown = table(("Hold-out", *heads, "Accuracy differs?"), rows)
    notes = [
        f"Each cell: version {old} → version {new}, and the difference in points with its 95 % interval"
        f" (paired bootstrap). The last column is {_test(cells)}."
    ]
    if shown < len(rows):
        notes.append(f"{count(len(rows) - shown, 'more hold-out')} in the MLflow run.")
    text = f"*What each version knows, old and new.* {said}"
    blocks = [section(text), block, context(*notes)]
    if eras := _eras(cells):
        blocks.append(context(eras))
    return Message(clip(text, 2000), blocks)


def _worse(cell: Cell) -> str:
    """Where the new version loses: "era 1", "era 1 (recall)" where accuracy hides it; empty where it does not."""
    if cell.classes:
        each = [recall_of(name) for name in cell.classes]
        together = holm([cell.p_loss(metric) for metric in each], CHANCE / 2)
        lost = [metric for metric, real in zip(each, together, strict=True) if real]
        lost += ["accuracy"] if cell.p_loss() <= CHANCE / 2 else []
    else:
        lost = [m for m in ("accuracy", "recall") if m in cell.decided and cell.p_loss(m) <= CHANCE / 2]
    where = escape(title(cell.holdout).lower())
    if not lost or "accuracy" in lost:
        return where if lost else ""
    named = listed([name(class_of(metric), 40) for metric in lost if class_of(metric)], 3)
    return f"{where} (recall{f' of {named}' if named else ''})"


def _test(cells: tuple[Cell, ...]) -> str:
    """Which test the last column is of; rows of one group count as one."""
    if any(cell.groups for cell in cells):
        return "a sign-flip test over whole groups, which are drawn as a whole for the interval too"
    return "McNemar's exact test"


def _head(cell: Cell) -> str:
    return f"{title(cell.holdout)}, {count(cell.rows, 'row')}"


def _eras(cells: tuple[Cell, ...]) -> str:
    """Which files each era came with."""
    told = [
        f"{escape(clean(cell.holdout, 12)).capitalize()}: {listed([name(f, 40) for f in cell.files], SHOWN_FILES)}"
        for cell in cells
        if cell.holdout.startswith("era") and cell.files
    ]
    return " · ".join(told)
