"""The pool: recovery from lost workers, closing, cancelling, and what a killed evaluator leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import wait
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from daemons import children

from recode_eval.errors import UsageError
from recode_eval.sandbox import Limits, Program, Test, docker, landlock, open_sandbox, probe
from recode_eval.sandbox.base import (
    SandboxClosedError,
    SandboxCrashError,
    SandboxUnavailableError,
    Status,
)
from recode_eval.sandbox.local import WORK_PREFIX, sweep_work_folders
from recode_eval.sandbox.pool import Pool
from recode_eval.sandbox.tier import TIERS, TIERS_BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    Started = Callable[[], list[int]]
    from concurrent.futures import Future

    from recode_eval.sandbox import Execution, Sandbox

pytestmark = pytest.mark.slow

OK = Program("", "x = 1", (Test("t", "assert x == 1"),))
SLEEP = Program("", "import time", (Test("t", "time.sleep(3)"),))
LIMITS = Limits(cpu_s=5, wall_s=20)


@pytest.fixture
def started() -> Started:
    """The processes that the test has started; a test before it may have left others."""
    others = set(children(os.getpid()))
    return lambda: [pid for pid in children(os.getpid()) if pid not in others]


def running_below(supervisor: int) -> bool:
    """True while a program runs: supervisor, spawner, zygote, program."""
    return len(_family(supervisor)) >= 4


def test_a_killed_worker_is_replaced_and_its_program_runs_again(
    opener: Callable[..., Sandbox], started: Started
) -> None:
    with opener("landlock", workers=1) as sandbox:
        future = sandbox.submit(SLEEP, LIMITS)
        (supervisor,) = started()
        while not running_below(supervisor):
            time.sleep(0.02)
        os.kill(supervisor, signal.SIGKILL)
        assert future.result().passed
        assert sandbox.submit(OK, LIMITS).result().passed


def numbered(number: int, padding: int = 0) -> Program:
    """A program whose verdict shows which one it was."""
    code = f"number = {number}\ntext = {'x' * padding!r}\n"
    tests = (
        Test(f"{number}", f"assert number == {number}"),
        Test("length", f"assert len(text) == {padding}"),
        Test("odd", "assert number % 2"),
    )
    return Program("", code, tests)


def is_graded_right(future: Future[Execution], number: int) -> bool:
    verdicts = future.result(timeout=120).verdicts
    passed = [verdict.status is Status.PASSED for verdict in verdicts]
    return verdicts[0].name == str(number) and passed == [True, True, number % 2 == 1]


def test_programs_that_are_sent_ahead_keep_their_own_verdicts(
    opener: Callable[..., Sandbox],
) -> None:
    """Short and long ones (which a busy supervisor could not take), and other memory limits."""
    with opener("landlock", workers=2) as sandbox:
        futures = [
            sandbox.submit(
                numbered(i, (0, 20_000, 200_000)[i % 3]),
                Limits(cpu_s=5, wall_s=20, memory_bytes=(1 + i % 4) << 29),
            )
            for i in range(120)
        ]
        assert all(is_graded_right(future, i) for i, future in enumerate(futures))


def test_programs_that_were_sent_ahead_survive_their_worker(
    opener: Callable[..., Sandbox], started: Started
) -> None:
    with opener("landlock", workers=2) as sandbox:
        futures = [sandbox.submit(numbered(i), LIMITS) for i in range(400)]
        for _ in range(2):
            for supervisor in started():
                os.kill(supervisor, signal.SIGKILL)
            # A program that loses two workers is given up: those of this worker must be through.
            begun = max((i for i, future in enumerate(futures) if future.done()), default=0) + 10
            wait(futures[:begun])
        assert all(is_graded_right(future, i) for i, future in enumerate(futures))


def test_a_worker_that_is_replaced_does_not_take_along_what_waits(
    opener: Callable[..., Sandbox],
) -> None:
    """Each second program leaves a folder that cannot be emptied at once, or exits oddly."""
    nasty = Program("", "import os\nos.makedirs('a/b')\nos.chmod('a', 0)\nos._exit(3)", OK.tests)
    with opener("landlock", workers=1) as sandbox:
        pairs = [
            (sandbox.submit(nasty, LIMITS), sandbox.submit(numbered(i), LIMITS)) for i in range(20)
        ]
        for i, (bad, good) in enumerate(pairs):
            assert not bad.result(timeout=120).passed
            assert is_graded_right(good, i)


def test_closing_ends_what_was_sent_ahead(opener: Callable[..., Sandbox], started: Started) -> None:
    sandbox = opener("landlock", workers=1)
    futures = [sandbox.submit(SLEEP, LIMITS) for _ in range(6)]
    (supervisor,) = started()
    while not running_below(supervisor):
        time.sleep(0.02)
    sandbox.close()
    for future in futures:
        assert isinstance(future.exception(timeout=10), SandboxClosedError)


def test_a_program_that_loses_every_worker_has_crashed(
    opener: Callable[..., Sandbox], started: Started
) -> None:
    """It stayed unscored, and left the denominator: an answer could choose that."""
    with opener("landlock", workers=1) as sandbox:
        future = sandbox.submit(SLEEP, LIMITS)
        killed: set[int] = set()
        while not future.done():
            for pid in set(started()) - killed:
                started_since = time.monotonic()
                while running_below(pid) and time.monotonic() - started_since < 0.7:
                    time.sleep(0.05)  # the honest program is over by then, and not killed
                if running_below(pid):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.05)
        (verdict,) = future.result().verdicts
        assert verdict.status is Status.CRASHED
        assert "3 workers were lost with this program, and none without it" in verdict.detail
        assert len(killed) == 3
        assert sandbox.submit(OK, LIMITS).result().passed


class FakeLink:
    """A supervisor that is lost with every program whose request has one of the words in it."""

    def __init__(self, deadly: tuple[str, ...]) -> None:
        self.deadly = deadly
        hello = {"hello": 1, "python": "3", "libraries": {}, "supervisor": "3"}
        hello["runtimes"] = {"python": {}}
        self.answers = [json.dumps(hello).encode() + b"\n"]

    def write(self, data: bytes, timeout_s: float) -> None:
        del timeout_s
        request = json.loads(data)
        if "program" not in request:
            return
        if any(word in data.decode() for word in self.deadly):
            self.answers.append(b'{"fatal": "lost"}\n')
            return
        verdicts = [["passed", "", 0.0] for _ in request["program"]["tests"]]
        answer = {"verdicts": verdicts, "setup_error": None, "output": "", "cpu_s": 0, "wall_s": 0}
        self.answers.append(json.dumps(answer).encode() + b"\n")

    def read(self, timeout_s: float) -> bytes:
        del timeout_s
        return self.answers.pop(0)

    def stop(self) -> str:
        return ""


class FakeLauncher:
    tier, guarantees = "fake", ()

    def __init__(self, *deadly: str) -> None:
        self.deadly = deadly
        self.launched = 0

    def launch(self, slot: int) -> tuple[FakeLink, dict[str, object]]:
        del slot
        self.launched += 1
        return FakeLink(self.deadly), {}

    def prepare(self, limits: Limits, link: FakeLink) -> None:
        pass

    def provenance(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("deadly", "crashed"), [("a_candidate", True), ("a_setup", False), ("import numpy", False)]
)
def test_a_lost_program_is_unscored_only_if_the_machine_is_at_fault(
    deadly: str, crashed: bool
) -> None:
    """The machine is, if the set-up and the imports alone are lost as well."""
    launcher = FakeLauncher(deadly)
    tests = (Test("one", "assert True"), Test("two", "assert True"))
    program = Program("a_setup = 1", "import numpy\na_candidate = 1", tests)
    with Pool(launcher, workers=1, isolation="program") as pool:
        future = pool.submit(program, LIMITS)
        if crashed:
            found = future.result(30).verdicts
            assert [(v.name, v.status) for v in found] == [
                ("one", Status.CRASHED), ("two", Status.CRASHED),
            ]  # fmt: skip
        else:
            assert isinstance(future.exception(30), SandboxCrashError)
        assert pool.submit(OK, LIMITS).result(30).passed
    assert launcher.launched == (4 if crashed else 5)


@pytest.mark.docker
def test_a_removed_container_is_replaced(opener: Callable[..., Sandbox]) -> None:
    client = docker._client()

    def mine() -> set[str]:
        found = client.api.containers(all=True, filters={"label": docker.RUN_LABEL})
        owner = docker._owner()
        return {c["Id"] for c in found if c["Labels"]["org.recode-eval.owner"] == owner}

    kept_warm = mine()  # What earlier tests of this process share until its end.
    with opener("docker", workers=1) as sandbox:
        future = sandbox.submit(SLEEP, LIMITS)
        time.sleep(1)
        (container,) = mine() - kept_warm
        client.api.remove_container(container, force=True)
        assert future.result().passed
    assert mine() <= kept_warm
    client.close()


def test_close_ends_what_runs_and_what_waits(
    opener: Callable[..., Sandbox], started: Started
) -> None:
    sandbox = opener("landlock", workers=1)
    running, waiting = sandbox.submit(SLEEP, LIMITS), sandbox.submit(OK, LIMITS)
    time.sleep(0.5)
    start = time.monotonic()
    sandbox.close()
    sandbox.close()
    assert time.monotonic() - start < 10
    assert isinstance(running.exception(), SandboxClosedError)
    assert isinstance(waiting.exception(), SandboxClosedError)
    assert isinstance(sandbox.submit(OK, LIMITS).exception(), SandboxClosedError)
    assert started() == []


def test_a_cancelled_program_is_dropped(opener: Callable[..., Sandbox]) -> None:
    with opener("landlock", workers=1) as sandbox:
        running = sandbox.submit(SLEEP, LIMITS)
        waiting = sandbox.submit(OK, LIMITS)
        assert waiting.cancel()
        assert running.result().passed
        assert sandbox.submit(OK, LIMITS).result().passed


_EVALUATOR = """
import sys, time
from recode_eval.sandbox import Limits, Program, Test, open_sandbox
sandbox = open_sandbox(sys.argv[1], workers=2)
program = Program("", "import os, time", (Test("t", "os.fork(); time.sleep(60)"),))
for _ in range(2):
    sandbox.submit(program, Limits(wall_s=100))
time.sleep(1)
print("running", flush=True)
with sandbox:
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_evaluator_dies(
    tier: str, number: signal.Signals, opener: Callable[..., Sandbox], public_folder: Path
) -> None:
    """`kill -9` and Ctrl-C once left containers and work folders behind."""
    opener(tier, workers=1).close()  # builds what is missing, or skips
    process = subprocess.Popen(
        [sys.executable, "-c", _EVALUATOR, tier],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(public_folder)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"running\n"
    family = _family(process.pid)
    assert tier == "docker" or len(family) > 4
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as the terminal does
    else:
        process.send_signal(number)
    process.wait(30)
    process.stdout.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (
        alive := _left(tier, process.pid, family, public_folder)
    ):
        time.sleep(0.1)
    assert not alive


def _family(pid: int) -> set[int]:
    found = {pid}
    for child in children(pid):
        found |= _family(child)
    return found


def _left(tier: str, pid: int, family: set[int], temporary: Path) -> list[str]:
    # A process may end while it is looked at, which `Path.exists` does not expect.
    left = [str(one) for one in family if os.path.exists(f"/proc/{one}/task")]  # noqa: PTH110
    left += [str(path) for path in temporary.iterdir()]
    if tier == "docker":
        client = docker._client()
        for container in client.api.containers(all=True, filters={"label": docker.RUN_LABEL}):
            if container["Labels"]["org.recode-eval.owner"].split()[1] == str(pid):
                left.append(container["Id"])
        client.close()
    return left


def test_sweeping_opens_folders_that_a_program_closed() -> None:
    """A folder of mode 0 outlived a killed run of an ordinary user: nobody could delete it."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    folder = Path(tempfile.gettempdir()) / f"{WORK_PREFIX}{gone.pid}-test"
    (folder / "0" / "inner").mkdir(parents=True)
    (folder / "0" / "inner" / "file").write_text("x")
    (folder / "0" / "inner").chmod(0)
    (folder / "0").chmod(0)
    alive = Path(tempfile.gettempdir()) / f"{WORK_PREFIX}{os.getpid()}-test"
    alive.mkdir()
    try:
        sweep_work_folders()
        assert not folder.exists()
        assert alive.exists()
    finally:
        alive.rmdir()


def test_probe_reports_every_tier_quickly() -> None:
    start = time.monotonic()
    reports = probe()
    assert time.monotonic() - start < 30
    assert [report.tier for report in reports] == ["docker", "bubblewrap", "landlock"]
    for report in reports:
        assert report.available == (not report.reason) == (not report.fix)
        assert report.guarantees


def test_running_bare_needs_consent() -> None:
    with pytest.raises(UsageError, match="i-know-this-is-unsafe"):
        open_sandbox("none")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match=r"Unknown sandbox 'jail'.*auto, docker"):
        open_sandbox("jail")
    with pytest.raises(UsageError, match="Unknown isolation"):
        open_sandbox("landlock", isolation="none")
    with pytest.raises(UsageError, match="workers must be a whole number of at least 1"):
        open_sandbox("landlock", workers=0)


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """These tiers do not work on this machine."""

    def refuse(name: str) -> None:
        raise SandboxUnavailableError(f"no {name} here")

    for name in names:
        module = TIERS_BY_NAME.get(name)
        monkeypatch.setattr(module, "create", lambda _request, name=name: refuse(name))


def test_auto_falls_back_loudly_and_refuses_when_nothing_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    without(monkeypatch, *TIERS)
    with pytest.raises(SandboxUnavailableError, match="no sandbox works on this machine"):
        open_sandbox("auto", log=said.append)
    assert [line for line in said if "no docker here" in line]
    assert len(said) == 3


def test_auto_names_the_weaker_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    if landlock.reason_against():
        pytest.skip("landlock does not work here")
    without(monkeypatch, "docker", "bubblewrap")
    said: list[str] = []
    with open_sandbox("auto", workers=1, log=said.append) as sandbox:
        assert sandbox.info.tier == "landlock"
        assert sandbox.submit(OK, LIMITS).result().passed
    assert "weaker sandbox 'landlock'" in said[-1]


PADDED_CELL = """
from recode_eval.sandbox.landlock import LandlockLauncher
from recode_eval.sandbox.local import program_runtimes

GUARANTEES = ("soft walls",)
FIX = "knock harder"

def reason_against():
    return None

class Launcher(LandlockLauncher):
    def __init__(self, runtimes):
        super().__init__(runtimes)
        self.guarantees = GUARANTEES

def create(request):
    request.log("padding the cell")
    return Launcher(program_runtimes(request))
"""


def test_another_package_may_bring_a_tier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One module and one entry point, and nothing of this project is touched."""
    if landlock.reason_against():
        pytest.skip("landlock does not work here")
    (tmp_path / "padded_cell.py").write_text(PADDED_CELL)
    about = tmp_path / "padded_cell-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: padded-cell\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[recode_eval.sandboxes]\npadded = padded_cell\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    said: list[str] = []
    with open_sandbox("padded", workers=1, log=said.append) as sandbox:
        assert sandbox.info.guarantees == ("soft walls",)
        assert sandbox.submit(OK, LIMITS).result().passed
    assert said == ["padding the cell"]
    assert [report.tier for report in probe()] == [*TIERS, "padded"]
    with pytest.raises(UsageError, match="Did you mean padded"):
        open_sandbox("paded")
    without(monkeypatch, *TIERS)
    with pytest.raises(SandboxUnavailableError, match="no sandbox works"):
        open_sandbox("auto")
