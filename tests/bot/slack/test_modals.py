"""The approval dialog and how its answer is read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.labelling import LabelledFile
from bot.slack import modals


def labelled(make: Any, number: int, name: str = "scan{n}.csv") -> list[LabelledFile]:
    return [
        LabelledFile(
            Path("/l") / name.format(n=n).replace("/", "_"),
            f"{n:064x}"[::-1],
            100 + n,
            make.t0 + timedelta(hours=n),
        )
        for n in range(number)
    ]


def form(make: Any, number: int, **changes: Any) -> Any:
    given = {
        "private_metadata": '{"incident": 3}',
        "labelled_folder": "labeled/fraud/",
        "label_column": "Label",
    }
    return modals.approve_modal("fraud", labelled(make, number), make.version(4), **{**given, **changes})


def submitted(view: Any, *, files: int | None = None, why: str | None = None, override: bool = False) -> Any:
    """The view as Slack sends it back: `files` of the options chosen (all if None)."""
    values: dict[str, Any] = {}
    for block in view["blocks"]:
        if block["type"] != "input":
            continue
        element = block["element"]
        if element["type"] == "multi_static_select":
            state: dict[str, Any] = {"selected_options": element["initial_options"][:files]}
        elif element["type"] == "checkboxes":
            state = {"selected_options": element["options"] if override else []}
        else:
            state = {"value": why}
        values[block["block_id"]] = {element["action_id"]: {"type": element["type"], **state}}
    return {**view, "state": {"values": values}}


def test_the_form_names_old_and_new_data(make: Any, accepted_view: Any) -> None:
    view = accepted_view(form(make, 2))
    text = view["blocks"][0]["text"]["text"]
    assert (
        "*Old*, all of version 4: 2 files, 157,413 rows\n• `2017.csv`, 157,412 rows\n• `more.csv`, 1 row\n"
        in text
    )
    assert "Version 4 stays in use until somebody promotes the new one." in text
    assert (view["callback_id"], view["submit"]["text"]) == ("approve_retrain", "Retrain")
    options = view["blocks"][1]["element"]["options"]
    assert [option["text"]["text"] for option in options] == ["scan1.csv, 101 rows", "scan0.csv, 100 rows"]
    assert options[0]["description"]["text"] == "from 2025-05-01 08:00 UTC"
    assert view["private_metadata"] == '{"incident": 3}'


def test_all_files_are_chosen_at_first_and_can_be_left_out(make: Any) -> None:
    view = form(make, 3)
    digests = [file.sha256 for file in reversed(labelled(make, 3))]
    chosen = modals.chosen_files(submitted(view))
    assert len(chosen) == 3 and all(d.startswith(c) for d, c in zip(digests, chosen, strict=True))
    assert all(len(prefix) == 24 for prefix in chosen)
    assert modals.chosen_files(submitted(view, files=1)) == chosen[:1]


@pytest.mark.parametrize("number", [100, 101, 250, 300])
def test_more_files_than_options_are_still_all_chosen(make: Any, accepted_view: Any, number: int) -> None:
    view = accepted_view(form(make, number))
    chosen = modals.chosen_files(submitted(view))
    assert len(chosen) == len(set(chosen)) == number
    assert {file.sha256[:24] for file in labelled(make, number)} == set(chosen)


def test_beyond_three_hundred_the_newest_are_offered_and_it_is_said(make: Any, accepted_view: Any) -> None:
    view = accepted_view(form(make, 305))
    newest = {file.sha256[:24] for file in labelled(make, 305)[5:]}
    assert set(modals.chosen_files(submitted(view))) == newest
    assert "5 older files not" in str(view)


def test_without_labelled_data_it_says_what_to_do_and_has_no_submit(make: Any, accepted_view: Any) -> None:
    view = accepted_view(form(make, 0))
    assert "submit" not in view and all(block["type"] != "input" for block in view["blocks"])
    assert "No labelled rows of `fraud` are waiting." in view["blocks"][0]["text"]["text"]
    assert "Put the file into `labeled/fraud/`" in view["blocks"][1]["text"]["text"]
    assert "the column `Label`" in view["blocks"][1]["text"]["text"]


def test_without_a_trained_version_it_says_to_train_first(make: Any, accepted_view: Any) -> None:
    view = accepted_view(
        modals.approve_modal("fraud", labelled(make, 1), None, private_metadata="{}", labelled_folder="l/")
    )
    assert "submit" not in view
    assert "driftcatcher train --model fraud" in view["blocks"][0]["text"]["text"]


def test_the_reason_is_optional(make: Any) -> None:
    assert modals.reason(submitted(form(make, 1), why="  new scan ")) == "new scan"
    assert modals.reason(submitted(form(make, 1))) == ""


def test_a_cool_down_can_be_overridden_and_only_then_is_asked(make: Any, accepted_view: Any) -> None:
    view = accepted_view(form(make, 1, cooling_until=make.t0))
    assert "2025-05-01 07:00 UTC" in str(view)
    assert modals.override(submitted(view, override=True)) is True
    assert modals.override(submitted(view)) is False
    assert "Override" not in str(form(make, 1))
    assert modals.override(submitted(form(make, 1))) is False


def test_an_answer_without_state_is_read_as_nothing_chosen() -> None:
    assert modals.chosen_files({}) == ()
    assert modals.reason({"state": {"values": {}}}) == ""


def test_a_dialog_that_only_speaks(accepted_view: Any) -> None:
    view = accepted_view(
        modals.working("Not started, because of something", "Already by <@U0ANNA>, <!channel>")
    )
    assert view["blocks"][0]["text"]["text"] == "Already by <@U0ANNA>, &lt;!channel&gt;"


def test_hostile_names_stay_harmless(make: Any, accepted_view: Any) -> None:
    from trainers.base import DataFile

    for evil in make.hostile:
        champion = make.version(4, data=tuple(DataFile(evil, "a", 10**9) for _ in range(500)))
        named = evil.replace("\x00", "").replace("{", "").replace("}", "") + "{n}"
        for number in (0, 5, 305):
            accepted_view(
                modals.approve_modal(
                    evil,
                    labelled(make, number, named),
                    champion,
                    private_metadata="x" * 3000,
                    labelled_folder=evil,
                    label_column=evil,
                    cooling_until=make.t0,
                )
            )
        accepted_view(modals.working(evil, evil))


def test_files_that_cannot_be_used_are_named_with_their_reason(make: Any, accepted_view: Any) -> None:
    bad = LabelledFile(Path("/srv/labeled/x.csv"), "", 0, make.t0, 'no column "Label"')
    for number in (0, 1):
        said = str(accepted_view(form(make, number, unusable=[bad])))
        assert 'x.csv: no column "Label"' in said
        assert "/srv" not in said
