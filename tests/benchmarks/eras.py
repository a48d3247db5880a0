"""Four eras of CIC-IDS2017, over seeds: what each mix of old and new keeps, and what the gate lets through.

`python -m tests.benchmarks.eras` takes a minute on an idle core, `--long`, with thousands of flows an attack and 10
seeds, a quarter of an hour. The data, the judgement and the gate are those of a retrain; only the registry is left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks.quality.real import FOLDER
from trainers.base import Evaluation, Gate, LabelSpec
from trainers.dataset import TrainingData, build
from trainers.judgement import Cell, matrix
from trainers.mixing import Mix, draw
from trainers.promotion import recommend
from trainers.sklearn_trainers import HistGradientBoosting

SPEC = LabelSpec(
    "Label",
    negative=("BENIGN",),
    ignore=("id", "Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Timestamp", "Attempted Category"),
)
MIXES = (Mix(), Mix("balanced"), Mix("recent", half_life=1), Mix("capped", old_per_new=1))
ALONE = "new rows alone"


@dataclass(frozen=True)
class Size:
    """Rows: of the base benign traffic, of each attack, of the benign rows beside it; how many seeds."""

    base: int
    attack: int
    beside: int
    seeds: int


SHORT, LONG = Size(1_200, 500, 200, 3), Size(2_500, 3_500, 500, 10)


def frames(size: Size, seed: int) -> dict[str, pd.DataFrame]:
    """The files of the eras; "poisoned" is the third with 30 % of its labels turned, "same" brings nothing new."""
    read = {
        name: pd.read_csv(FOLDER / f"{name}.csv.gz").sample(frac=1, random_state=seed)
        for name in ("benign", "ddos", "portscan", "dos_slowloris")
    }
    friday = pd.to_datetime(read["benign"]["Timestamp"]).dt.day_of_week == 4
    usual, other = read["benign"][~friday], read["benign"][friday]
    beside = [usual[size.base + n * size.beside :][: size.beside] for n in range(3)]
    slow = pd.concat([beside[1], read["dos_slowloris"][: size.attack]])
    turned = np.random.default_rng(seed).random(len(slow)) < 0.3
    other_label = np.where(slow["Label"] == "BENIGN", "DoS Slowloris", "BENIGN")
    return {
        "base": pd.concat([usual[: size.base], read["ddos"][: size.attack]]),
        "scans": pd.concat([beside[0], read["portscan"][: size.attack]]),
        "slow": slow,
        "calm": other[: size.beside * 2],
        "poisoned": slow.assign(Label=np.where(turned, other_label, slow["Label"])),
        "same": pd.concat([beside[2], read["ddos"][size.attack :][: size.attack]]),
    }


def judged(data: TrainingData, before: Any, after: Any) -> tuple[str, tuple[Cell, ...]]:
    """What the gate says of two models on the hold-outs."""
    truth = {side: labels for side, (_, labels) in data.holdouts.items()}
    said = [
        {side: np.asarray(model.predict(x)) for side, (x, _) in data.holdouts.items()}
        for model in (before, after)
    ]
    cells = matrix(truth, said[0], said[1], dict(data.holdout_eras), {})  # type: ignore[arg-type]
    whole = [cell for cell in cells if cell.holdout in ("old", "new")]
    one, other = (
        [Evaluation(cell.holdout, cell.rows, getattr(cell, who)) for cell in whole]  # type: ignore[arg-type]
        for who in ("champion", "challenger")
    )
    return recommend(one, other, Gate(), matrix=cells)[0], cells


def fitted(data: TrainingData, mix: Mix, alone: bool = False) -> Any:
    rows = draw(mix, data.train_eras, data.train_y)
    if alone:
        rows = np.flatnonzero(data.train_eras == data.train_eras.max())
    features = data.train_x.iloc[rows].reset_index(drop=True)
    return HistGradientBoosting().fit(features, data.train_y[rows], data.schema.categorical)


def story(size: Size, seed: int, folder: Path) -> Iterator[tuple[str, str, str, tuple[Cell, ...]]]:
    """Yields (mix, what came, recommendation, matrix); what is recommended is promoted."""
    paths = {}
    for name, frame in frames(size, seed).items():
        paths[name] = folder / f"{name}-{seed}.csv"
        frame.to_csv(paths[name], index=False)
    for mix in MIXES:
        data = build([paths["base"]], [], SPEC)
        champion = fitted(data, mix)
        for name in ("scans", "slow", "calm"):
            if mix.use == "all" and name == "slow":  # what is to be blocked, against the same champion
                yield from _to_block(data, champion, paths, mix)
            further = build(data.files, [paths[name]], SPEC, schema=data.schema)
            challenger = fitted(further, mix)
            said, cells = judged(further, champion, challenger)
            yield mix.use, name, said, cells
            if said == "promote":
                data, champion = further, challenger


def _to_block(
    data: TrainingData, champion: Any, paths: dict[str, Path], mix: Mix
) -> Iterator[tuple[str, str, str, tuple[Cell, ...]]]:
    for name, what, alone in (
        ("slow", ALONE, True),
        ("poisoned", "30 % turned", False),
        ("same", "no gain", False),
    ):
        further = build(data.files, [paths[name]], SPEC, schema=data.schema)
        yield (mix.use, what, *judged(further, champion, fitted(further, mix, alone)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="more rows, 10 seeds")
    size = LONG if parser.parse_args().long else SHORT
    if not FOLDER.is_dir():
        print(f"no CIC-IDS2017 samples at {FOLDER} (or in DRIFTCATCHER_TEST_DATA)")
        return 1
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(size.seeds):
            found += list(story(size, seed, Path(folder)))
            print(f"seed {seed} done", file=sys.stderr)
    print(_table(found))
    return 0


def _table(found: list[tuple[str, str, str, tuple[Cell, ...]]]) -> str:
    """One line for each mix and file: how often promoted, least recall on a past attack, recall on the new one."""
    lines = [
        "| mix | new file | promoted | least recall on a past era | recall on new, before → after | different on new |",
        "|---|---|---|---|---|---|",
    ]
    for mix, name in dict.fromkeys((one[0], one[1]) for one in found):
        mine = [(said, cells) for m, n, said, cells in found if (m, n) == (mix, name)]
        past = [_least(cells) for _, cells in mine]
        before, after = (_mean(mine, who) for who in ("champion", "challenger"))
        differ = sum(cells[-1].p_value() <= 0.05 for _, cells in mine)
        promoted = sum(said == "promote" for said, _ in mine)
        lines.append(
            f"| {mix} | {name} | {promoted} of {len(mine)} | {min(past):.3f} | {before} → {after} | "
            f"{differ} of {len(mine)} |"
        )
    return "\n".join(lines)


def _least(cells: tuple[Cell, ...]) -> float:
    past = [cell for cell in cells if cell.holdout != "new"]
    return min(cell.challenger.recall for cell in past if cell.challenger.recall is not None)


def _mean(mine: list[tuple[str, tuple[Cell, ...]]], who: str) -> str:
    read: Callable[[Cell], float | None] = lambda cell: getattr(cell, who).recall  # noqa: E731
    values = [value for _, cells in mine if (value := read(cells[-1])) is not None]
    return f"{np.mean(values):.3f}" if values else "n/a"


if __name__ == "__main__":
    raise SystemExit(main())
