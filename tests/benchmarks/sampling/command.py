"""The command line of the sampling benchmark; tables of what was measured go to standard output."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
from scipy.stats import t

from tests.benchmarks.quality.environments import Unavailable
from tests.benchmarks.sampling.regimes import REPORTED, TUNING, Regime, at_hand
from tests.benchmarks.sampling.trial import LABELS, Mix, Outcome, mixes_of, trial
from trainers.sampling import STRATEGIES

SHORT = ("portscan 10",)
_U, _U2, _D, _E = "uncertain", "uncertain, squared", "drift, as it is", "drift, excess"
_HALVES: tuple[dict[str, float], ...] = (
    {_U: 0.5}, {_U2: 0.5}, {_D: 0.5}, {_E: 0.5}, {_U: 0.25, _D: 0.25}, {_U: 0.25, _E: 0.25}, {_U2: 0.25, _E: 0.25},
    {_U: 0.25, "diverse": 0.25}, {"diverse": 0.5},
)  # fmt: skip
_MORE: tuple[dict[str, float], ...] = ({_U: 0.375, _E: 0.375}, {_U: 0.75}, {_E: 0.75})
TRIED: Mapping[str, Mix] = {  # on TUNING alone
    "random": {"random": 1.0},
    **{
        " + ".join(f"{share:g} {arm}" for arm, share in mix.items()): {"random": 1 - sum(mix.values()), **mix}
        for mix in (*_HALVES, *_MORE)
    },
}


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _arguments().parse_args(arguments)
    table, seeds = (TUNING, 10) if asked.tune else (REPORTED, 20 if asked.long else 3)
    names = asked.only or ([*table] if asked.long or asked.tune else SHORT)
    mixes = TRIED if asked.tune else mixes_of(STRATEGIES)
    first, seeds = 1_000 if asked.tune else 0, asked.seeds or seeds
    print(f"{LABELS} labels of each batch, {seeds} seeds\n")
    for name in names:
        if (regime := _regime(name, table[name])) is not None:
            outcomes = [o for seed in range(first, first + seeds) for o in _told(regime, mixes, seed)]
            print("\n".join(lines(regime.name, outcomes)), end="\n\n", flush=True)
    return 0


def _regime(name: str, make: Callable[[], Regime]) -> Regime | None:
    if not at_hand(name):
        print(f"{name}: its data are not at hand\n")
        return None
    try:
        return make()
    except Unavailable as error:
        print(f"{name}: {error}\n")
        return None


def _told(regime: Regime, mixes: Mapping[str, Mix], seed: int) -> list[Outcome]:
    print(f"{regime.name}, seed {seed} …", file=sys.stderr)
    return trial(regime, mixes, seed)


def lines(name: str, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A table of one regime: every strategy against random on the same seeds, in points."""
    by = {
        strategy: sorted(some, key=lambda o: o.seed)
        for strategy, some in groupby(sorted(outcomes, key=lambda o: o.strategy), lambda o: o.strategy)
    }
    random = by["random"]
    champion = by.pop("champion")
    yield f"**{name}** (champion: new {_mean(champion, 'new'):.2f} %, old {_mean(champion, 'old'):.2f} %)\n"
    yield (
        "| strategy | new rows found | new, % | against random | old, % | against random "
        "| weighted − truth | covers | unweighted − truth |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for strategy in dict.fromkeys(o.strategy for o in outcomes if o.strategy != "champion"):
        own = by[strategy]
        off = 100 * np.array([o.weighted - o.truth for o in own])
        plain = 100 * np.mean([o.unweighted - o.truth for o in own])
        yield (
            f"| {strategy} | {np.mean([o.found for o in own]):.0f} "
            f"| {_mean(own, 'new'):.2f} | {_paired(own, random, 'new')} "
            f"| {_mean(own, 'old'):.2f} | {_paired(own, random, 'old')} | {_interval(off)} "
            f"| {sum(o.covered for o in own)} of {len(own)} | {plain:+.2f} |"
        )


def _mean(outcomes: Sequence[Outcome], what: str) -> float:
    return 100 * float(np.mean([getattr(o, what) for o in outcomes]))


def _paired(own: Sequence[Outcome], random: Sequence[Outcome], what: str) -> str:
    if own is random:
        return ""
    return _interval(
        100 * np.array([getattr(a, what) - getattr(b, what) for a, b in zip(own, random, strict=True)])
    )


def _interval(differences: np.ndarray) -> str:
    """The mean and its 95 % interval by Student's t over the seeds."""
    mean, n = float(differences.mean()), len(differences)
    half = float(t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return f"{mean:+.2f} ({mean - half:+.2f} to {mean + half:+.2f})"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.sampling",
        description="What labels of rows drawn by each strategy are worth for a retrain, and whether metrics read off "
        "them are unbiased, on real tables.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="one regime, three seeds (the default)")
    size.add_argument("--long", action="store_true", help="all regimes, 20 seeds: an hour on one core")
    size.add_argument(
        "--tune", action="store_true", help="the mixes that were tried, on regimes that are not reported"
    )
    parser.add_argument("--seeds", type=int, help="another number of seeds")
    parser.add_argument("--only", nargs="+", choices=[*REPORTED, *TUNING], help="these regimes")
    return parser
