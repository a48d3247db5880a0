"""The dialog that asks for a retrain, and how its answer is read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.slack.blocks import Block, context, option, plain, section, verbatim
from bot.slack.ids import APPROVE_VIEW
from bot.slack.text import bullets, clean, count, escape, escape_sentence, file_name, name, utc
from trainers.base import ModelVersion

if TYPE_CHECKING:
    from bot.labelling import LabelledFile

FILES_BLOCK, FILES_ACTION = "files", "chosen_files"
REASON_BLOCK, REASON_ACTION = "why", "reason"
OVERRIDE_BLOCK, OVERRIDE_ACTION = "cooldown", "override"
OPTIONS = 100  # Slack's limit for one menu
DIGEST = 24  # hexadecimal digits (96 bits) of a file's SHA-256 in the menu
BUNDLE = 3  # files behind one option at most: three digests fit the 75 characters of a value


def approve_modal(
    model: str,
    labelled: Sequence[LabelledFile],
    champion: ModelVersion | None,
    *,
    private_metadata: str,
    labelled_folder: str,
    label_column: str = "",
    cooling_until: datetime | None = None,
    unusable: Sequence[LabelledFile] = (),
    expected: str = "",
) -> Block:
    """The dialog behind *Approve retrain*: what will be trained on, which new files, why.

    Without a trained version or without labelled files it says what to do instead and cannot be submitted.

    Args:
        model: name of the model.
        labelled: usable files that wait in the model's folder.
        champion: the version in use.
        private_metadata: comes back with the answer, at most 3000 characters.
        labelled_folder: where labelled files belong, as people know it.
        label_column: name of the label column.
        cooling_until: end of the retrain cool-down if it is in the future: it can then be overridden.
        unusable: files in the folder that cannot be trained on; each is named with its reason.
        expected: what a retrain on all the files would bring, a sentence.
    """
    if champion is None:
        return _notice(model, private_metadata, [section(_not_trained(model))])
    if not labelled:
        missing = _no_labels(model, labelled_folder, label_column)
        return _notice(model, private_metadata, [*missing, *_not_usable(unusable)])
    newest = sorted(labelled, key=lambda file: file.modified, reverse=True)
    blocks = [section(_training_data(model, champion)), _file_input(newest)]
    if expected:
        blocks.append(verbatim(f"With all files: {expected}", 600))
    if len(newest) > OPTIONS * BUNDLE:
        hidden = len(newest) - OPTIONS * BUNDLE
        blocks.append(
            context(f"The newest files are offered; {count(hidden, 'older file')} not. Join small files.")
        )
    blocks += _not_usable(unusable)
    if cooling_until:
        blocks.append(_override_input(cooling_until))
    blocks.append(_reason_input())
    view = _view(model, private_metadata, blocks)
    return {**view, "submit": plain("Retrain", 24)}


def _view(model: str, private_metadata: str, blocks: list[Block]) -> Block:
    return {
        "type": "modal",
        "callback_id": APPROVE_VIEW,
        "title": plain("Approve retrain", 24),
        "close": plain("Cancel", 24),
        "private_metadata": private_metadata,
        "blocks": blocks,
    }


def _notice(model: str, private_metadata: str, blocks: list[Block]) -> Block:
    view = _view(model, private_metadata, blocks)
    return {**view, "title": plain("Nothing to train on", 24), "close": plain("Close", 24)}


def _not_trained(model: str) -> str:
    return (
        f"{name(model)} has no trained version yet, so there is nothing to retrain.\n"
        "Train the first one in a terminal: "
        f"`driftcatcher train --model {escape(clean(model))} --base-data FILE`"
    )


def _no_labels(model: str, folder: str, column: str) -> list[Block]:
    where = f"the label in the column {name(column)}" if column else "the label column"
    steps = (
        "1. Take some rows of the drifted batch; a few hundred are often enough to start with.\n"
        f"2. Have them labelled: a CSV with the same columns and {where}.\n"
        f"3. Put the file into {name(folder, 200)}.\n"
        "4. Press *Approve retrain* again."
    )
    told = f"No labelled rows of {name(model)} are waiting. Without them a retrain would learn nothing new."
    return [section(told), section(steps)]


def _not_usable(files: Sequence[LabelledFile]) -> list[Block]:
    """The files that cannot be trained on, so that nobody wonders where they are."""
    if not files:
        return []
    lines = [f"{clean(f.path.name)}: {clean(f.error.replace(str(f.path), f.path.name), 200)}" for f in files]
    return [section("*These files there cannot be used:*"), verbatim(bullets(lines, 10, 1500))]


def _training_data(model: str, champion: ModelVersion) -> str:
    rows = sum(file.rows for file in champion.data)
    old = bullets([f"{file_name(file.path)}, {count(file.rows, 'row')}" for file in champion.data], 10, 1500)
    version, files = champion.version, count(len(champion.data), "file")
    return (
        f"A new version of {name(model)} will be trained on *old and new* data:\n"
        f"*Old*, all of version {version}: {files}, {count(rows, 'row')}\n{old}\n"
        "*New*, what you choose below.\nPart of the rows is held out to compare both versions. "
        f"Version {version} stays in use until somebody promotes the new one."
    )


def _file_input(newest: Sequence[LabelledFile]) -> Block:
    """A menu of all files, all chosen; with more files than options each option stands for a few."""
    size = min(-(-len(newest) // OPTIONS), BUNDLE)
    offered = newest[: OPTIONS * size]
    options = [_file_option(offered[at : at + size]) for at in range(0, len(offered), size)]
    return {
        "type": "input",
        "block_id": FILES_BLOCK,
        "label": plain(f"New labelled files ({len(offered):,} waiting)", 150),
        "element": {
            "type": "multi_static_select",
            "action_id": FILES_ACTION,
            "placeholder": plain("Choose files", 150),
            "options": options,
            "initial_options": options,
        },
    }


def _file_option(files: Sequence[LabelledFile]) -> Block:
    rows = count(sum(file.rows for file in files), "row")
    rest = f" and {len(files) - 1} more" if len(files) > 1 else ""
    tail = f"{rest}, {rows}"
    label = clean(files[0].path.name, 75 - len(tail)) + tail
    return option(
        label, ",".join(f.sha256[:DIGEST] for f in files), f"from {files[0].modified:%Y-%m-%d %H:%M} UTC"
    )


def _override_input(cooling_until: datetime) -> Block:
    until = f"The last retrain was a short while ago; the cool-down lasts until {utc(cooling_until)}."
    return {
        "type": "input",
        "block_id": OVERRIDE_BLOCK,
        "optional": True,
        "label": plain("Cool-down", 150),
        "hint": plain(until, 200),
        "element": {
            "type": "checkboxes",
            "action_id": OVERRIDE_ACTION,
            "options": [option("Override the cool-down", "override")],
        },
    }


def _reason_input() -> Block:
    return {
        "type": "input",
        "block_id": REASON_BLOCK,
        "optional": True,
        "label": plain("Why (kept in the decision log)", 150),
        "element": {"type": "plain_text_input", "action_id": REASON_ACTION, "max_length": 500},
    }


def chosen_files(view: Mapping[str, Any]) -> tuple[str, ...]:
    """The first digits of the SHA-256 of each chosen file, from a submitted view."""
    state = _state(view, FILES_BLOCK, FILES_ACTION)
    values = [chosen["value"] for chosen in state.get("selected_options") or []]
    return tuple(digest for value in values for digest in value.split(","))


def reason(view: Mapping[str, Any]) -> str:
    """What was written under "Why", stripped; empty if nothing."""
    return str(_state(view, REASON_BLOCK, REASON_ACTION).get("value") or "").strip()


def _state(view: Mapping[str, Any], block: str, action: str) -> Mapping[str, Any]:
    values: Mapping[str, Any] = view.get("state", {}).get("values", {})
    found: Mapping[str, Any] = values.get(block, {}).get(action, {})
    return found


def override(view: Mapping[str, Any]) -> bool:
    """Whether the cool-down is to be overridden."""
    return bool(_state(view, OVERRIDE_BLOCK, OVERRIDE_ACTION).get("selected_options"))


def asks_to_override(view: Mapping[str, Any]) -> bool:
    """Whether the form has the box that overrides the cool-down: it began while the form was open if not."""
    return any(block.get("block_id") == OVERRIDE_BLOCK for block in view.get("blocks", []))


def cooling(until: datetime) -> dict[str, str]:
    """What the form says under that box when it was left empty."""
    return {OVERRIDE_BLOCK: f"The cool-down lasts until {utc(until)}. Tick the box if it cannot wait."}


def working(title: str, text: str) -> Block:
    """A dialog that only says something; nothing can be submitted.

    Args:
        title: at most 24 characters.
        text: a sentence; mentions of people and groups and times in it work, all other markup is escaped.
    """
    blocks = [section(escape_sentence(text))]
    return {"type": "modal", "title": plain(title, 24), "close": plain("Close", 24), "blocks": blocks}
