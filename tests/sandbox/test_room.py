"""Who is to blame where the disk is full: no program may be ungraded because it filled its own."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from recode_eval.sandbox.local import supervisor_folder

sys.path.insert(0, str(supervisor_folder()))
from recode_program.confine import Settings
from recode_supervisor import disk, main, wipe
from recode_supervisor.execution import SandboxBrokenError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> disk.Disk:
    monkeypatch.setattr(disk, "_FREEING_S", 0.2)
    monkeypatch.setattr(disk, "_SETTLE_S", 0.1)
    return disk.Disk(str(tmp_path), 0, 0, own=True)


def supervisor(watched: disk.Disk, *, own_disk: bool) -> Any:
    made = object.__new__(main.Supervisor)
    made._settings = Settings(own_disk=own_disk)
    made._disk = watched
    made._clean = True
    made.tick = lambda: None
    return made


def test_space_that_comes_free_late_is_waited_for(
    watched: disk.Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel frees much a moment after the program's end: programs were lost, and unscored."""
    full = threading.Event()
    full.set()
    monkeypatch.setattr(wipe, "has_room", lambda _: not full.is_set())
    beats: list[float] = []

    def tick() -> None:
        beats.append(time.monotonic())
        if len(beats) == 3:
            full.clear()

    assert watched.has_room(tick)
    assert len(beats) == 3


def test_a_full_private_disk_is_the_programs_doing(
    watched: disk.Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its verdict stands, and the worker is replaced; on a shared disk others may be at fault."""
    monkeypatch.setattr(wipe, "has_room", lambda _: False)
    own, shared = supervisor(watched, own_disk=True), supervisor(watched, own_disk=False)
    own._blame_the_disk()
    assert not own._clean
    with pytest.raises(SandboxBrokenError, match="no space left"):
        shared._blame_the_disk()
    assert shared._clean


def test_a_disk_with_room_blames_nobody(watched: disk.Disk) -> None:
    own = supervisor(watched, own_disk=True)
    own._blame_the_disk()
    assert own._clean
