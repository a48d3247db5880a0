"""Who may decide: nobody by default, named users, members of named groups."""

from __future__ import annotations

import pytest

from bot.authorization import may_decide


def nobody(group: str) -> list[str]:
    return []


def test_without_approvers_nobody_may_and_is_told_what_to_do() -> None:
    permission = may_decide("U1", (), nobody, "approve a retrain", "fraud")
    assert not permission.granted
    assert "name approvers" in permission.refusal


def test_a_named_user_may() -> None:
    assert may_decide("U1", ("U2", "U1"), nobody, "approve", "fraud").granted


def test_a_member_of_a_named_group_may() -> None:
    groups = {"S1": ["U7"]}
    assert may_decide("U7", ("S1",), groups.__getitem__, "approve", "fraud").granted


def test_everybody_else_is_told_who_may() -> None:
    permission = may_decide("U9", ("U1", "S1"), nobody, "approve", "fraud")
    assert not permission.granted
    assert permission.refusal == "Sorry, you are not an approver of fraud. Approvers: <@U1>, <!subteam^S1>."


def test_groups_are_looked_up_only_when_needed() -> None:
    def broken(group: str) -> list[str]:
        raise AssertionError("not needed")

    assert may_decide("U1", ("S1", "U1"), broken, "approve", "fraud").granted


@pytest.mark.parametrize("user", ["", "S1", "u1"])
def test_nothing_that_merely_looks_like_an_approver_passes(user: str) -> None:
    assert not may_decide(user, ("U1",), nobody, "approve", "fraud").granted
