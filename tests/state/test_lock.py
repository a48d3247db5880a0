from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from state.lock import LockedError, OwnerLock
from state.records import StateError

HOLD = 'kept.append(OwnerLock(path)) or kept[0].acquire() or "held"'


def test_the_second_owner_is_told_who_holds_it(path):
    with OwnerLock(path):
        with pytest.raises(LockedError) as refused:
            OwnerLock(path).acquire()
        message = str(refused.value)
        assert f"pid {os.getpid()} on {socket.gethostname()}" in message
        assert re.search(r"since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", message)
        assert str(path) in message
        assert "\n" not in message


def test_nothing_of_an_earlier_holder_is_left(path):
    OwnerLock(path).path.write_text("left by a killed process " * 20)
    with OwnerLock(path), pytest.raises(LockedError, match=f"pid {os.getpid()} on"):
        OwnerLock(path).acquire()


def test_a_holder_that_has_not_written_its_name_yet_is_a_holder(path):
    with OwnerLock(path) as lock:
        lock.path.write_text("")
        with pytest.raises(LockedError, match="just starting"):
            OwnerLock(path).acquire()


def test_a_released_lock_can_be_taken_again(path):
    first, second = OwnerLock(path), OwnerLock(path)
    first.acquire()
    first.release()
    first.release()  # nothing to do
    second.acquire()
    with pytest.raises(LockedError):
        first.acquire()
    second.release()


def test_taking_it_twice_is_refused(path):
    with OwnerLock(path) as lock, pytest.raises(StateError, match="already locked by this process"):
        lock.acquire()


def test_another_process_holds_it_until_it_is_killed(workers, path):
    (worker,) = workers(1)
    assert worker.ask(HOLD) == "held"
    with pytest.raises(LockedError, match=f"pid {worker.process.pid} on"):
        OwnerLock(path).acquire()
    worker.kill()
    worker.process.wait()
    with OwnerLock(path):
        pass


def test_of_several_processes_one_gets_it(workers):
    three = workers(3)
    for worker in three:
        worker.send(HOLD)
    answers = [worker.answer() for worker in three]
    assert sum(answer == {"value": "held"} for answer in answers) == 1
    assert sum("LockedError" in answer.get("error", "") for answer in answers) == 2


def test_a_lock_file_that_cannot_be_opened_is_named(tmp_path: Path):
    (tmp_path / "state.db.lock").mkdir()
    with pytest.raises(StateError, match="cannot open the lock file"):
        OwnerLock(tmp_path / "state.db").acquire()
