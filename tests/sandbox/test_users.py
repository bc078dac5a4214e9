"""User ids for programs: distinct in one process and in several, and free again afterwards."""

from __future__ import annotations

import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox.users import UserIds

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_PROCESS = """
import secrets, sys
secrets.randbelow = lambda _: {offset}
from recode_eval.sandbox.users import UserIds
users = UserIds()
print(users.of(3), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def offset(monkeypatch: pytest.MonkeyPatch) -> int:
    """Where every claim starts to look: two that start alike are no matter of luck here."""
    chosen = secrets.randbelow(600)
    monkeypatch.setattr(secrets, "randbelow", lambda _: chosen)
    return chosen


@pytest.fixture
def users(offset: int) -> Iterator[list[UserIds]]:
    made = [UserIds() for _ in range(3)]
    yield made
    for one in made:
        one.close()


def test_sandboxes_of_one_process_have_different_ids(users: list[UserIds]) -> None:
    """Two pools drew the same ids in one of 600 cases: each killed the other's programs."""
    found = {one.of(slot) for one in users for slot in (0, 1, 31, 32, 200)}
    found |= {one.guard_of(slot) for one in users for slot in (0, 1, 31, 32, 200)}
    assert len(found) == 30
    assert min(found) >= 20000
    assert max(found) < 20000 + 64 * 600
    assert users[0].of(31) == users[0].of(0) + 31
    assert users[0].of(32) == users[0].of(32)


def test_another_process_has_different_ids_until_it_ends(offset: int, users: list[UserIds]) -> None:
    """Even by `kill -9`: no file is left that would have to be swept."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS.format(offset=offset)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        assert theirs - 3 not in {one.of(0) for one in users}
        other.kill()
    if theirs - 3 == 20000 + 64 * offset:  # nobody else on this machine had it
        users[0].close()
        assert UserIds().of(3) == theirs


def test_given_back_ids_are_used_again(offset: int) -> None:
    first = UserIds()
    start = first.of(0)
    first.close()
    first.close()
    second = UserIds()
    assert second.of(0) == start
    second.close()


def test_more_sandboxes_than_ranges_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who takes all the names stops nobody."""
    monkeypatch.setattr("recode_eval.sandbox.users._RANGES", 2)
    monkeypatch.setattr(secrets, "randbelow", lambda _: 1)
    made = [UserIds() for _ in range(3)]
    assert {one.of(0) for one in made} <= {20000, 20064}
    for one in made:
        one.close()
