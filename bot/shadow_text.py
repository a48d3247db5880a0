"""A shadow period in words, for Slack and the terminal. Pure.

Differing is neither better nor worse: nothing here may sound as if it were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from detectors.disagreement import Disagreement
from state.records import ByLabels, Shadow
from trainers.judgement import MINUS

HONEST = "To differ is neither better nor worse: only labels show which version is right."
TURNS = 3  # pairs of classes that are named
Named = Callable[[str], str]  # how a name is written: in Slack as code
SHOWN = 20  # batches of the table a person reads; --json has all


def share(part: float, whole: float) -> str:
    """`1.1 %`; what is not nothing never reads as nothing, nor what is not all as all."""
    if not whole or not part:
        return "0 %"
    if part == whole:
        return "100 %"
    value = 100 * part / whole
    if value < 0.05:
        return "under 0.1 %"
    return "over 99.9 %" if value > 99.95 else f"{value:.1f} %"


def progress(shadow: Shadow) -> str:
    """`3 of 5 batches`, `all 5 batches`, `ended after 3 of 5 batches`."""
    done, wanted = len(shadow.batches), f"{shadow.wanted:,} batch{'es' * (shadow.wanted != 1)}"
    if shadow.complete:
        return f"all {wanted}" if shadow.wanted > 1 else wanted
    return f"{done:,} of {wanted}" if shadow.waits else f"ended after {done:,} of {wanted}"


def agreement(shadow: Shadow, found: Disagreement) -> str:
    """On how many rows both say the same."""
    same = found.rows - found.differing
    return (
        f"Versions {shadow.champion} and {shadow.challenger} say the same on {share(same, found.rows)} "
        f"of {found.rows:,} rows"
    )


def ways(shadow: Shadow, found: Disagreement, named: Named = str) -> str:
    """Which way they differ, the larger side first, classes as `named` writes them; empty where they do not."""
    if not found.differing:
        return ""
    if found.several:
        return _turns(shadow, found, named)
    only = found.positive(champion=False, challenger=True), found.positive(champion=True, challenger=False)
    sides = [(only[0], shadow.challenger), (only[1], shadow.champion)]
    (most, first), (fewest, second) = sorted(sides, key=lambda side: -side[0])
    return (
        f"{share(most, found.rows)} only version {first} calls positive, "
        f"{share(fewest, found.rows)} only version {second}"
    )


def _turns(shadow: Shadow, found: Disagreement, named: Named) -> str:
    """Which class becomes which, the most frequent ones."""
    first, *more = found.turned[:TURNS]
    said = [
        f"{share(first.rows, found.rows)} are {named(first.champion)} to version {shadow.champion} and "
        f"{named(first.challenger)} to version {shadow.challenger}"
    ]
    said += [
        f"{share(one.rows, found.rows)} {named(one.champion)} and {named(one.challenger)}" for one in more
    ]
    if rest := sum(one.rows for one in found.turned[TURNS:]):
        said.append(f"{share(rest, found.rows)} otherwise")
    return ", ".join(said)


def _scored(shadow: Shadow) -> list[Disagreement]:
    return [batch.found for batch in shadow.batches if batch.found is not None and batch.found.rows]


def by_batch(shadow: Shadow) -> str:
    """The least and the most that differs in one batch: they may be far apart; empty of a single batch."""
    each = _scored(shadow)
    if len(each) < 2:
        return ""
    least, most = (pick(each, key=lambda found: found.share) for pick in (min, max))
    low, high = (share(found.differing, found.rows) for found in (least, most))
    return f"by batch {low if low == high else f'{low} to {high}'} differs"


def where(shadow: Shadow, found: Disagreement, named: Named = str) -> str:
    """Where most of what differs lies; empty where it is in no one place."""
    if not found.places:
        return ""
    place = found.places[0]
    differing, rows = share(place.differing, place.among_differing), share(place.rows, place.among)
    scored = len(_scored(shadow))
    if place.batches == scored:
        return f"most of it where {named(place.name)}: {differing} of what differs, {rows} of all rows"
    return (
        f"most of it where {named(place.name)}, in {place.batches:,} of {scored:,} batches: {differing} of what "
        f"differs in these, {rows} of their rows"
    )


def levels(shadow: Shadow, found: Disagreement) -> str:
    """What each calls positive altogether, and its mean probability."""
    means = f"{found.champion_mean:.3f} and {found.challenger_mean:.3f}"
    if found.several:
        return f"mean confidence: version {shadow.champion} and {shadow.challenger} {means}"
    ours, theirs = found.positive(champion=True), found.positive(challenger=True)
    return (
        f"positive in all: version {shadow.champion} {share(ours, found.rows)}, version {shadow.challenger} "
        f"{share(theirs, found.rows)}; mean probability {means}"
    )


def troubles(shadow: Shadow) -> list[str]:
    """Batches that could not be scored, by their reason."""
    return [
        f"{count:,} batch{'es' * (count != 1)} could not be scored by both: {reason}"
        for reason, count in Counter(shadow.troubles).items()
    ]


def labels_line(champion: int, challenger: int, labels: ByLabels) -> str:
    """On how much more of a batch one of both is right, by its labelled rows, and on how many of these each is."""
    gain, low, high = labels.gain, labels.interval.low, labels.interval.high
    better = challenger
    if gain < 0:
        gain, low, high, better = -gain, -high, -low, champion
    if low == high:  # nothing is estimated
        by = f"by all {labels.rows:,} rows of the batch"
        said = f"version {better} is right on {_points(gain)} points more of them"
        if not gain:
            said = f"versions {champion} and {challenger} are right on as many"
    else:
        by = f"by {labels.rows:,} labelled rows, weighted to stand for the batch"
        said = f"version {better} is right on {_points(gain)} points more of it"
        said += f" (95 % interval {_points(low)} to {_points(high)})"
        if low <= 0 <= high:
            said = f"no significant difference: {said}"
    return f"{by}, {said}; {_as_drawn(champion, challenger, labels)}"


def _as_drawn(champion: int, challenger: int, labels: ByLabels) -> str:
    """The rows without their weights, as counts."""
    differing = labels.champion + labels.challenger + labels.neither
    if not differing:
        return "they differ on none of these"
    return (
        f"they differ on {differing:,} of these: only version {challenger} is right on {labels.challenger:,}, "
        f"only version {champion} on {labels.champion:,}"
        + (f", neither on {labels.neither:,}" if labels.neither else "")
    )


def _points(share: float) -> str:
    """`3.1`, `−0.4`; what is not nothing never reads as nothing."""
    if abs(share) < 1e-7:  # sums of weights differ in the last bits
        return "0.0"
    text = f"{100 * share:.1f}"
    if float(text) == 0:
        text = f"{100 * share:.1g}"
    return text.replace("-", MINUS)


def status_line(shadow: Shadow) -> str:
    """The period in one line: `shadow: version 3 beside version 2, 2 of 5 batches, 1.2 % of the rows differ`."""
    said = f"shadow: version {shadow.challenger} beside version {shadow.champion}, {progress(shadow)}"
    found = shadow.found
    return said if found is None else f"{said}, {share(found.differing, found.rows)} of the rows differ"


def tag_text(shadow: Shadow) -> str:
    """A complete period in a sentence, for the version in the registry."""
    found, said = shadow.found, f"{progress(shadow)} beside version {shadow.champion}"
    if found is None:
        return f"{said}: none could be scored"
    return f"{said}: differs on {found.differing:,} of {found.rows:,} rows ({share(found.differing, found.rows)})"


def shadow_text(shadow: Shadow) -> str:
    """The whole period for a terminal: together first, then each batch."""
    head = f"{shadow.model}: shadow of version {shadow.challenger} beside version {shadow.champion}"
    state = progress(shadow) + (", the decision is waiting" if shadow.complete and shadow.waits else "")
    lines, found = [f"{head}, {state}"], shadow.found
    if found is not None:
        lines.append(f"  {agreement(shadow, found)}")
        said = (ways(shadow, found), by_batch(shadow), where(shadow, found), levels(shadow, found))
        lines += [f"  {line}" for line in said if line]
    lines += [
        f"  {PurePath(batch.path).name}: {labels_line(shadow.champion, shadow.challenger, labels)}"
        for batch, labels in shadow.labelled
    ]
    lines += [f"  {line}" for line in troubles(shadow)]
    if not shadow.batches:
        lines.append("  no batch has come since")
        return "\n".join(lines)
    return "\n".join([*lines, "", *_table(shadow), f"  {HONEST}"])


def as_dict(shadow: Shadow) -> dict[str, Any]:
    """The period as JSON types."""
    found = shadow.found
    return {
        "retrain": shadow.retrain_id,
        "champion": shadow.champion,
        "challenger": shadow.challenger,
        "wanted": shadow.wanted,
        "complete": shadow.complete,
        "running": shadow.running,
        "together": None if found is None else _counts(found),
        "batches": [
            {
                "path": batch.path,
                "at": batch.at.isoformat(timespec="seconds"),
                "found": None if batch.found is None else _counts(batch.found),
                "trouble": batch.trouble,
                "labels": None if batch.labels is None else asdict(batch.labels),
            }
            for batch in shadow.batches
        ],
    }


def _counts(found: Disagreement) -> dict[str, Any]:
    return {**asdict(found), "rows": found.rows, "differing": found.differing, "share": found.share}


def batch_rows(shadow: Shadow) -> list[tuple[str, str, str]]:
    """Of each batch file, rows and the share that differs; a dash where it could not be scored."""
    return [
        (
            PurePath(batch.path).name,
            "–" if batch.found is None else f"{batch.found.rows:,}",
            "–" if batch.found is None else share(batch.found.differing, batch.found.rows),
        )
        for batch in shadow.batches
    ]


def _table(shadow: Shadow) -> list[str]:
    rows = [("batch", "rows", "differ"), *batch_rows(shadow)[-SHOWN:]]
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    return [
        f"  {name.ljust(widths[0])}  {count.rjust(widths[1])}  {differ.rjust(widths[2])}"
        for name, count, differ in rows
    ]
