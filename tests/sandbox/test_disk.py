"""What programs hold on the disk where no container limits it, deleted files included."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox import Limits, Program, Status, Test, landlock
from recode_eval.sandbox.local import WORK_BYTES, WORK_FILES, supervisor_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recode_eval.sandbox import Execution, Sandbox

sys.path.insert(0, str(supervisor_folder()))
from recode_supervisor import disk

LIMITS = Limits(cpu_s=20, wall_s=60, processes=16)
MUCH = WORK_BYTES * 4
TOO_MUCH = "more files or more on disk than allowed"


@pytest.fixture
def shared_disk(public_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk for temporary files on which nobody but the test writes, where one can be mounted."""
    options = ["-t", "tmpfs", "-o", "size=3g,mode=755", "tmpfs"]
    mounted = not subprocess.run(
        ["mount", *options, public_folder], capture_output=True, check=False
    ).returncode
    monkeypatch.setattr(tempfile, "tempdir", str(public_folder))
    yield public_folder
    if mounted:
        subprocess.run(["umount", "-l", public_folder], check=True)


@pytest.fixture(params=["private", "shared"])
def sandbox(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    opener: Callable[..., Sandbox],
    shared_disk: Path,
) -> Iterator[Sandbox]:
    """The landlock tier with a file system of its own (if the machine allows it), and without."""
    monkeypatch.setattr(landlock, "PRIVATE_DISK", request.param == "private")
    with opener("landlock", workers=1) as opened:
        yield opened


def run(sandbox: Sandbox, code: str, test: str = "") -> Execution:
    program = Program("", textwrap.dedent(code), (Test("t", textwrap.dedent(test)),))
    return sandbox.submit(program, LIMITS).result(180)


def held(execution: Execution) -> bool:
    """True if the sandbox, or the file system it gave the program, put an end to the writing."""
    (verdict,) = execution.verdicts
    return verdict.status is Status.FAILED and (
        verdict.detail == TOO_MUCH or "No space left on device" in verdict.detail
    )


KEEPERS = {
    "open": "keep = kept.append\n",
    "mapped": "import mmap\ndef keep(file):\n    kept.append(mmap.mmap(file.fileno(), 4096))\n",
    "in a socket": (
        "import socket\nends = [socket.socketpair() for _ in range(40)]\ndef keep(file):\n"
        "    end = ends[kept.count(0) % 40][0]\n    kept.append(0)\n"
        "    socket.send_fds(end, [b'x'], [file.fileno()])\n"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", KEEPERS)
def test_deleted_files_count(sandbox: Sandbox, how: str) -> None:
    """Attack: space in files that were deleted while open, mapped or sent was not counted."""
    code = f"""
        block, total, kept = b"x" * (1 << 20), 0, []
        for number in range({MUCH} // (48 << 20)):
            with open(str(number), "w+b", 0) as file:
                os.unlink(str(number))
                for _ in range(48):
                    total += file.write(block)
                keep(os.fdopen(os.dup(file.fileno()), "rb"))
        import time
        time.sleep(2)
        """
    assert held(run(sandbox, "import os\nkept = []\n" + KEEPERS[how], code))
    assert run(sandbox, "import os", "assert os.listdir('.') == []").passed


@pytest.mark.slow
def test_files_hidden_in_a_closed_folder_count(sandbox: Sandbox) -> None:
    """Attack: a folder that may be written to but not listed hid its files from an own user."""
    code = f"""
        import os
        os.mkdir("closed", 0o300)
        block = b"x" * (1 << 20)
        for number in range({MUCH} // (48 << 20)):
            with open(f"closed/{{number}}", "wb", 0) as file:
                for _ in range(48):
                    file.write(block)
        import time
        time.sleep(2)
        """
    assert held(run(sandbox, "", code))
    assert run(sandbox, "import os", "assert os.listdir('.') == []").passed


@pytest.mark.slow
def test_the_number_of_deleted_files_counts(sandbox: Sandbox) -> None:
    """Attack: a mapped page keeps a deleted file, so descriptors do not limit their number."""
    code = f"""
        import ctypes, os, time
        mmap = ctypes.CDLL(None, use_errno=True).mmap
        mmap.restype = ctypes.c_void_p
        for number in range({WORK_FILES} * 3 // 2):
            handle = os.open("x", os.O_RDWR | os.O_CREAT)
            os.unlink("x")
            mmap(None, ctypes.c_size_t(4096), 1, 1, handle, ctypes.c_long(0))
            os.close(handle)
        time.sleep(2)
        """
    execution = run(sandbox, "", code)
    if not os.statvfs(tempfile.gettempdir()).f_files:
        pytest.skip("the disk for temporary files does not count files")
    assert held(execution)


@pytest.mark.slow
def test_honest_programs_delete_files_while_open(sandbox: Sandbox) -> None:
    code = """
        import os, pickle, sqlite3, tempfile, time
        import numpy
        with tempfile.TemporaryFile() as file:
            file.write(bytes(50 << 20))
            file.seek(0)
            assert len(file.read()) == 50 << 20
        with tempfile.NamedTemporaryFile() as file:
            pickle.dump(list(range(1000)), file)
            file.flush()
            assert pickle.load(open(file.name, "rb"))[-1] == 999
        with tempfile.TemporaryDirectory() as folder:
            array = numpy.memmap(f"{folder}/m", "float64", "w+", shape=(1 << 20,))
            array[:] = 1
            assert array.sum() == 1 << 20
        base = sqlite3.connect("base")
        base.executescript("PRAGMA temp_store = FILE; PRAGMA cache_size = 10")
        base.execute("CREATE TEMP TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT"
                     " i + 1 FROM n WHERE i < 50000) SELECT i, hex(randomblob(50)) AS b FROM n")
        assert base.execute("SELECT count(*) FROM (SELECT * FROM t ORDER BY b)").fetchone()[0]
        for number in range(20):
            with open("again", "wb") as file:
                file.write(bytes(60 << 20))
            os.unlink("again")
        time.sleep(0.5)
        """
    (verdict,) = run(sandbox, "", code).verdicts
    assert verdict.status is Status.PASSED, verdict.detail


@pytest.mark.slow
def test_what_others_write_is_not_the_programs_fault(sandbox: Sandbox, shared_disk: Path) -> None:
    """On a shared disk suspicion falls on whoever runs; it must not become a verdict."""

    def fill() -> None:
        for number in range(12):
            with (shared_disk / str(number)).open("wb") as file:
                for _ in range(60):
                    file.write(bytes(1 << 20))

    program = Program("", "import time", (Test("t", "time.sleep(2)"), Test("u", "time.sleep(1)")))
    writer = threading.Thread(target=fill)
    future = sandbox.submit(program, LIMITS)
    writer.start()
    assert future.result(60).passed
    writer.join()


@pytest.mark.skipif(os.getuid() != 0, reason="looks into the supervisor's mounts")
def test_a_private_disk_goes_with_its_supervisor(
    opener: Callable[..., Sandbox], tmp_path: Path
) -> None:
    with opener("landlock", workers=1) as opened:
        status = "import os\ndef disk():\n    return os.statvfs('.')\n"
        size = WORK_BYTES // os.statvfs(tmp_path).f_frsize
        execution = run(opened, status, f"assert disk().f_blocks == {size}, disk()")
        if not execution.passed:
            pytest.skip("this machine allows no mounts")
    mounts = subprocess.run(["mount"], capture_output=True, text=True, check=True).stdout
    assert "recode-eval-work" not in mounts


class Levels:
    """A disk whose level is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used = self.files = 0
        monkeypatch.setattr(disk, "level", lambda _: disk.DiskLevel(self.used, self.files))


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> Levels:
    monkeypatch.setattr(disk, "_SETTLE_S", 0.0)
    return Levels(monkeypatch)


def shared(tmp_path: Path, slot: str = "0") -> disk.Disk:
    (tmp_path / "run" / slot).mkdir(parents=True)
    return disk.Disk(str(tmp_path / "run" / slot), 100, 10, own=False)


def test_two_runs_convict(levels: Levels, tmp_path: Path) -> None:
    watched = shared(tmp_path)
    watched.new_program()
    found = []
    for _ in range(2):
        watched.new_execution()
        levels.used += 200
        assert watched.suspicious()
        assert watched.investigate(int)
        levels.used -= 150  # when it is killed
        found.append(watched.convicts(int))
    assert found == [False, True]


def test_number_of_files_convicts(levels: Levels, tmp_path: Path) -> None:
    watched = shared(tmp_path)
    for strike in (False, True):
        watched.new_execution()
        levels.files += 11
        assert watched.investigate(int)
        levels.files -= 11
        assert watched.convicts(int) is strike


def test_growth_that_stays_acquits_and_in_the_end_nothing_can_be_said(
    levels: Levels, tmp_path: Path
) -> None:
    watched = shared(tmp_path)
    allowed = 100
    for _ in range(6):
        watched.new_execution()
        levels.used += allowed
        assert not watched.suspicious()
        levels.used += 1
        assert watched.investigate(int)
        assert not watched.convicts(int)
        allowed = 100 + 2 * (allowed + 1)
    watched.new_execution()
    levels.used += allowed + 1
    assert watched.investigate(int)
    with pytest.raises(OSError, match="others fill the disk"):
        watched.convicts(int)
    watched.new_program()
    watched.new_execution()
    levels.used += 101
    assert watched.suspicious()


def test_little_that_others_write_hides_little(levels: Levels, tmp_path: Path) -> None:
    """Attack: after each acquittal twice as much was allowed, so noise doubled the limit."""
    watched = shared(tmp_path)
    found = []
    for own, others in ((99, 2), (105, 0), (105, 0)):
        watched.new_execution()
        levels.used += own + others
        assert watched.investigate(int)
        levels.used -= own
        found.append(watched.convicts(int))
    assert found == [False, False, True]


def test_space_that_others_give_back_hides_nothing(levels: Levels, tmp_path: Path) -> None:
    watched = shared(tmp_path)
    levels.used = 1000
    watched.new_execution()
    levels.used = 500
    assert not watched.suspicious()
    levels.used = 601
    assert watched.suspicious()


def test_a_suspicion_that_passes_while_waiting_is_none(levels: Levels, tmp_path: Path) -> None:
    watched = shared(tmp_path)
    watched.new_execution()
    levels.used = 101
    assert watched.suspicious()
    levels.used = 50
    assert not watched.investigate(int)


def test_workers_investigate_one_after_the_other(levels: Levels, tmp_path: Path) -> None:
    """What comes free in another worker's investigation is not this program's."""
    first, second = shared(tmp_path), shared(tmp_path, slot="1")
    for watched in (first, second):
        watched.new_execution()
    levels.used = 201
    assert first.investigate(int)
    waited = []

    def tick() -> None:
        if not waited:  # the first one's program is killed meanwhile, and its space comes free
            levels.used = 0
            assert not first.convicts(int)
        waited.append(1)

    assert not second.investigate(tick)
    assert waited == [1]
