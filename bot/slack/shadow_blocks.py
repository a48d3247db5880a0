"""The shadow period in a retrain's thread: a message that is edited with each batch, and one at its end. Pure.

Lines are short, one thought each: they are read on phones, before somebody presses a button.
"""

from __future__ import annotations

from bot import shadow_text as words
from bot.slack.blocks import Block, Message, clip, context, section, table
from bot.slack.text import bullets, capital, clean, count, escape, file_name, name
from state.records import Shadow

CLASS = 24  # characters of a class: three pairs and their shares stay a short line
TABLE_BATCHES = 30  # of the end's table, the newest


def announcement(shadow: Shadow) -> str:
    """What the result's message says of the period, while nobody has decided."""
    if shadow.complete:
        return "*The shadow period is complete:* what came of it stands below."
    if not shadow.waits:
        return "*The shadow period is over:* another version or a newer retrain came in between."
    next_ones = "the next batch" if shadow.wanted == 1 else f"the next {shadow.wanted:,} batches"
    return (
        f"*Shadow period:* version {shadow.challenger} scores {next_ones} too; nothing is served from it.\n"
        f"Where it differs from version {shadow.champion} is told below. You may decide before that."
    )


def shadow_progress(shadow: Shadow) -> Message:
    """How far it is and what was found, edited as batches come; at the end it leaves the word to another."""
    head = (
        f"*Shadow, {words.progress(shadow)}:* version {shadow.challenger} beside version {shadow.champion}."
    )
    if shadow.complete:
        text = f"{head} What came of it stands below."
        return Message(text, [section(text)])
    return _message(head, shadow, [])


def shadow_complete(shadow: Shadow) -> Message:
    """The end of the period: a message of its own, so that people hear of it."""
    head = f"*The shadow period is complete:* {count(shadow.wanted, 'batch', 'batches')}."
    if shadow.waits:
        head += (
            f"\n*Next step: promote version {shadow.challenger} or keep version {shadow.champion};*"
            " the buttons are at the result above."
        )
    rows = words.batch_rows(shadow)[-TABLE_BATCHES:]
    block, _ = table(("Batch", "Rows", "Differ"), rows, right=(1, 2))
    return _message(head, shadow, [block])


def _message(head: str, shadow: Shadow, more: list[Block]) -> Message:
    lines, found = [], shadow.found
    if found is not None:
        told = (
            words.agreement(shadow, found),
            words.ways(shadow, found, lambda one: name(one, CLASS)),
            words.where(shadow, found, lambda one: name(one, 80)),
        )
        lines = [capital(line) for line in told if line]
    for batch, labels in shadow.labelled:
        said = words.labels_line(shadow.champion, shadow.challenger, labels)
        lines.append(f"*By labels:* {file_name(batch.path, 40)}: {escape(said)}")
    lines += [escape(clean(line, 300)) for line in words.troubles(shadow)]
    blocks = [section(f"{head}\n{bullets(lines, 12, 2400)}".strip()), *more]
    if found is not None:
        exact = [words.by_batch(shadow), words.levels(shadow, found)]
        blocks.append(context("\n".join(capital(line) for line in exact if line)))
    blocks.append(context(words.HONEST))
    return Message(clip(f"{head} {'. '.join(lines)}", 2000), blocks)
