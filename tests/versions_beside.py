"""A comparison of two versions from its 2 × 2 table, for tests."""

from __future__ import annotations

from detectors.disagreement import TWO, Disagreement, Place, Said


def of_two(
    neither: int,
    champion: int,
    challenger: int,
    both: int,
    champion_mean: float = 0.5,
    challenger_mean: float = 0.5,
    places: tuple[Place, ...] = (),
) -> Disagreement:
    """Rows by who calls them positive."""
    no, yes = TWO
    counted = (
        Said(no, no, neither),
        Said(yes, no, champion),
        Said(no, yes, challenger),
        Said(yes, yes, both),
    )
    kept = tuple(one for one in counted if one.rows)
    return Disagreement(kept, champion_mean, challenger_mean, places)
