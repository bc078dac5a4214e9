"""The grader of the attacks must see what a bad sandbox lets through; shown with doubles."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from naive_sandbox import NaiveSandbox

from recode_eval.attacks import (
    Attack,
    AttackOutcome,
    AttackResult,
    Bait,
    Expect,
    attack_tier,
    load_attacks,
    run_attacks,
)
from recode_eval.attacks.running import _differences
from recode_eval.attacks.traces import descendants, leftovers, take_traces
from recode_eval.errors import UsageError
from recode_eval.sandbox.base import (
    Execution,
    Program,
    SandboxCrashError,
    SandboxError,
    SandboxUnavailableError,
    Status,
    TestVerdict,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bait() -> Iterator[Bait]:
    with Bait() as laid:
        yield laid


def attack(code: str, expect: Expect = Expect.NOT_PASSED) -> Attack:
    return Attack("test/attack", expect, "A test.", code)


def run_one(sandbox: NaiveSandbox, bait: Bait, code: str, **options: object) -> AttackResult:
    expect = options.pop("expect", Expect.NOT_PASSED)
    with sandbox:
        (result,) = run_attacks(sandbox, [attack(code, expect)], bait=bait, **options)
    return result


def is_attack(program: Program) -> bool:
    return "bait" in program.setup


def test_an_environment_that_runs_no_python_is_refused_by_name() -> None:
    """The message told the user of the command to pass a runtime to a function."""
    with pytest.raises(UsageError, match="the attacks are in Python, and node is an environment"):
        attack_tier("landlock", [], environment="node")


def test_an_attack_that_comes_to_nothing_is_contained(bait: Bait) -> None:
    result = run_one(NaiveSandbox(), bait, "def answer(question):\n    return 0\n")
    assert result.contained, result.explanation
    assert "AssertionError" in result.explanation


@pytest.mark.parametrize(
    "name",
    [
        "exit_zero_at_once", "sys_exit_at_once", "exit_zero_in_answer", "system_exit_in_answer",
        "exit_in_destructor", "exec_true", "exec_true_in_answer",
    ],
)  # fmt: skip
def test_grading_by_exit_status_is_seen_as_forgeable(bait: Bait, name: str) -> None:
    """A process that ends with status 0 before the test is through would count as a pass."""
    with NaiveSandbox() as sandbox:
        (result,) = run_attacks(sandbox, load_attacks([f"forge/{name}"]), bait=bait)
    assert result.outcome is AttackOutcome.FORGED, result.explanation
    assert "passed without knowing the answer" in result.explanation


def test_one_forged_test_of_three_is_enough(bait: Bait) -> None:
    code = "class Yes:\n    __eq__ = lambda *a: True\ndef answer(question):\n    return Yes()\n"
    result = run_one(NaiveSandbox(), bait, code)
    assert result.outcome is AttackOutcome.FORGED
    assert result.explanation.endswith(": value")


def test_blaming_the_data_counts_as_forged(bait: Bait) -> None:
    class Gullible(NaiveSandbox):
        def execute(self, program: Program) -> Execution:
            if is_attack(program):
                return Execution((), setup_error="ImportError: so it said")
            return super().execute(program)

    result = run_one(Gullible(), bait, "pass")
    assert result.outcome is AttackOutcome.FORGED
    assert "the sandbox blamed the data: ImportError" in result.explanation


def test_an_attack_must_not_become_unscored(bait: Bait) -> None:
    class Fragile(NaiveSandbox):
        def execute(self, program: Program) -> Execution:
            if is_attack(program):
                raise SandboxCrashError("the sandbox was lost 2 times with this program")
            return super().execute(program)

    result = run_one(Fragile(), bait, "pass")
    assert result.outcome is AttackOutcome.INFRASTRUCTURE
    assert "could not be graded" in result.explanation


def test_a_mistake_in_the_attack_proves_nothing(bait: Bait) -> None:
    result = run_one(NaiveSandbox(), bait, "this_name_does_not_exist\n")
    assert result.outcome is AttackOutcome.MISTAKE


@pytest.mark.parametrize("reasons", [(), ("frames",)])
def test_what_cannot_be_prevented_must_be_flagged(bait: Bait, reasons: tuple[str, ...]) -> None:
    code = (
        "class Yes(int):\n    __eq__ = lambda *a: True\ndef answer(question):\n    return Yes()\n"
    )
    result = run_one(
        NaiveSandbox(), bait, code, expect=Expect.FLAGGED, suspicion=lambda _code: reasons
    )
    assert result.outcome is (AttackOutcome.CONTAINED if reasons else AttackOutcome.UNFLAGGED)


def test_files_left_in_the_work_folder_are_found(bait: Bait) -> None:
    result = run_one(
        NaiveSandbox(wipe=False), bait, "open('left', 'w').close()", expect=Expect.CONTAINED
    )
    assert result.outcome is AttackOutcome.VICTIM_DIRTY
    assert "files in the work directory: ['left']" in result.explanation


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("os.environ['NEW'] = '1'", "environment/NEW was null"),
        ("os.umask(0o77)", "process/umask was 18, is 63"),
        ("random.seed(1)", "random/random"),
        ("sys.setrecursionlimit(500)", "recursion was 1000, is 500"),
        ("os.chmod('.', 0o755)", "work/mode"),
        ("decimal.getcontext().prec = 3", "decimal"),
        ("signal.signal(signal.SIGUSR1, signal.SIG_IGN)", "process/"),
        ("resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))", "process/limits/RLIMIT_NOFILE"),
        ("os.open('/dev/null', os.O_RDONLY)", "descriptors"),
        ("os.set_blocking(0, False)", "descriptors/0/3"),
        ("sys.modules['new'] = os", "modules"),
    ],
)
def test_every_change_of_the_world_is_found(bait: Bait, change: str, shown: str) -> None:
    """State that an attack left is played by set-up code that the sandbox adds from then on."""
    imports = "import decimal, os, random, resource, signal, sys\n"

    class Poisoned(NaiveSandbox):
        extra = imports

        def execute(self, program: Program) -> Execution:
            if is_attack(program):
                self.extra = f"{imports}{change}\n"
                return super().execute(program)
            return super().execute(replace(program, setup=program.setup + self.extra))

    result = run_one(Poisoned(), bait, "pass", expect=Expect.CONTAINED)
    assert result.outcome is AttackOutcome.VICTIM_DIRTY
    assert shown in result.explanation


@pytest.mark.parametrize(
    "change",
    [
        "import json; json.recode_attack = 1",
        "import math; math.isclose = lambda *a, **k: True",
        "import json; json.loads = lambda text: None",
        "import builtins; builtins.all = lambda items: True",
    ],
)
def test_patched_modules_are_found(bait: Bait, change: str) -> None:
    class Poisoned(NaiveSandbox):
        extra = ""

        def execute(self, program: Program) -> Execution:
            if is_attack(program):
                self.extra = change
                return super().execute(program)
            return super().execute(replace(program, setup=program.setup + self.extra))

    result = run_one(Poisoned(), bait, "pass", expect=Expect.CONTAINED)
    assert result.outcome is AttackOutcome.VICTIM_DIRTY


def test_output_of_an_attack_in_the_next_program_is_found(bait: Bait) -> None:
    class Mixed(NaiveSandbox):
        attacked = False

        def execute(self, program: Program) -> Execution:
            execution = super().execute(program)
            late, self.attacked = self.attacked, is_attack(program)
            return (
                replace(execution, output="late output\n" + execution.output) if late else execution
            )

    result = run_one(Mixed(), bait, "pass", expect=Expect.CONTAINED)
    assert result.outcome is AttackOutcome.VICTIM_DIRTY
    assert "output was touched" in result.explanation


def test_a_grade_that_starts_to_pass_everything_is_found(bait: Bait) -> None:
    class Bribed(NaiveSandbox):
        bribed = False

        def execute(self, program: Program) -> Execution:
            execution = super().execute(program)
            if is_attack(program):
                self.bribed = True
            elif self.bribed:
                passed = tuple(TestVerdict(v.name, Status.PASSED) for v in execution.verdicts)
                return replace(execution, verdicts=passed)
            return execution

    result = run_one(Bribed(), bait, "pass", expect=Expect.CONTAINED)
    assert result.outcome is AttackOutcome.VICTIM_DIRTY
    assert "wrong answer passed" in result.explanation


def test_reading_the_bait_is_an_escape(bait: Bait) -> None:
    with NaiveSandbox() as sandbox:
        (result,) = run_attacks(sandbox, load_attacks(["files/read_host_files"]), bait=bait)
    assert result.outcome is AttackOutcome.LEAKED
    assert "read " in result.explanation


@pytest.mark.parametrize(
    ("code", "explanation"),
    [
        ("open(bait.FOLDER + '/x', 'w').close()", "made the file 'x'"),
        ("open(bait.FILES[0], 'a').write('x')", "changed or removed the file"),
        ("os.unlink(bait.FILES[1])", "changed or removed the file"),
        ("os.chmod(bait.FILES[1], 0)", "changed or removed the file"),
        ("socket.create_connection(('127.0.0.1', bait.PORT))", "connected to a TCP port"),
        ("socket.socket(socket.AF_UNIX).connect(bait.UNIX_SOCKET)", "connected to a Unix socket"),
        (
            "socket.socket(socket.AF_UNIX).connect(chr(0) + bait.ABSTRACT_SOCKET)",
            "connected to an abstract",
        ),
        (
            "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', bait.UDP_PORT))",
            "datagram to a UDP port",
        ),
        ("os.kill(bait.PROCESS, 9)", "killed a process"),
    ],
)
def test_silent_attacks_on_the_bait_are_noticed(bait: Bait, code: str, explanation: str) -> None:
    """An attack that prints nothing must be seen by what it did."""
    result = run_one(
        NaiveSandbox(), bait, f"import bait, os, socket\n{code}\n", expect=Expect.CONTAINED
    )
    assert result.outcome is AttackOutcome.LEAKED, result.explanation
    assert explanation in result.explanation
    assert bait.touched() == []


def test_processes_left_running_are_found(bait: Bait) -> None:
    left = []

    class Careless(NaiveSandbox):
        def execute(self, program: Program) -> Execution:
            if is_attack(program):
                left.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1))
            return super().execute(program)

    try:
        result = run_one(Careless(), bait, "pass", expect=Expect.CONTAINED)
    finally:
        for process in left:
            process.kill()
            process.communicate()
    assert result.outcome is AttackOutcome.LEAKED
    assert "1 processes were left running" in result.explanation


def test_a_disturbed_neighbour_is_found(bait: Bait) -> None:
    class Disturbed(NaiveSandbox):
        turns = itertools.count()

        def execute(self, program: Program) -> Execution:
            if next(self.turns):
                (self.work / "foreign").touch()
            return super().execute(program)

    with Disturbed() as neighbour:
        result = run_one(NaiveSandbox(), bait, "pass", neighbour=neighbour, expect=Expect.CONTAINED)
    assert result.outcome is AttackOutcome.NEIGHBOUR_HURT
    assert "foreign files" in result.explanation


def test_several_faults_are_all_told(bait: Bait) -> None:
    code = (
        "import bait, os\nopen('left', 'w').close()\n"
        "open(bait.FOLDER + '/x', 'w').close()\nos._exit(0)"
    )
    result = run_one(NaiveSandbox(wipe=False), bait, code)
    assert result.outcome is AttackOutcome.FORGED
    for part in ("passed without knowing", "files in the work directory", "made the file"):
        assert part in result.explanation


def test_a_failed_attack_can_be_followed_by_a_fresh_sandbox(bait: Bait) -> None:
    """Without one, what the first attack left would be blamed on all that follow."""
    leave, nothing = attack("open('left', 'w').close()", Expect.CONTAINED), attack("pass")
    opened: list[NaiveSandbox] = []

    def reopen() -> NaiveSandbox:
        opened.append(NaiveSandbox(wipe=False))
        return opened[-1]

    done: list[AttackResult] = []
    results = run_attacks(
        reopen(),
        [leave, nothing],
        bait=bait,
        neighbour=reopen(),
        reopen=reopen,
        on_done=done.append,
    )
    assert [result.contained for result in results] == [False, True]
    assert done == results
    assert len(opened) == 4
    assert all(sandbox.closed for sandbox in opened)


def test_a_world_that_is_dirty_from_the_start_is_no_result(bait: Bait) -> None:
    with NaiveSandbox() as sandbox:
        (sandbox.work / "foreign").touch()
        with pytest.raises(SandboxError, match=r"fails before the attack.*foreign"):
            run_attacks(sandbox, [attack("pass")], bait=bait)


def test_trouble_later_on_does_not_stop_the_others(bait: Bait) -> None:
    """A sandbox that one attack ruined for good is told for each attack that follows."""

    class Ruined(NaiveSandbox):
        ruined = False

        def execute(self, program: Program) -> Execution:
            if self.ruined and not is_attack(program):
                raise SandboxCrashError("no worker can be started")
            self.ruined = self.ruined or is_attack(program)
            return super().execute(program)

    with Ruined() as sandbox:
        attacks = [attack("pass"), attack("import numpy")]
        results = run_attacks(sandbox, attacks, bait=bait)
    assert [result.outcome for result in results] == [AttackOutcome.INFRASTRUCTURE] * 2
    assert "before the attack" in results[1].explanation


@pytest.mark.parametrize("refuse", [{"tier": "none"}, {"workers": 2}])
def test_unfit_sandboxes_are_refused(refuse: dict[str, object]) -> None:
    ran = []

    class Watched(NaiveSandbox):
        def execute(self, program: Program) -> Execution:
            ran.append(program)
            return super().execute(program)

    with Watched(**refuse) as sandbox, pytest.raises(UsageError):
        run_attacks(sandbox, [attack("pass")])
    assert not ran


def test_attacks_never_run_bare() -> None:
    with pytest.raises(UsageError, match="never run without a sandbox"):
        attack_tier("none", load_attacks(["text"]))


def test_a_missing_tier_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(tier: str, **options: object) -> None:
        raise SandboxUnavailableError(f"no {tier} here; install it")

    monkeypatch.setattr("recode_eval.sandbox.open_sandbox", unavailable, raising=False)
    outcome = attack_tier("bubblewrap", load_attacks(["text"]))
    assert outcome.unavailable == "no bubblewrap here; install it"
    assert not outcome.passed
    assert outcome.results == ()


def test_what_a_tier_leaves_behind_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("recode_eval.attacks.traces._WAIT_S", 0.2)
    left = Path(tempfile.gettempdir(), f"recode-attack-left-{os.getpid()}")

    class Careless(NaiveSandbox):
        def close(self) -> None:
            super().close()
            left.touch()

    monkeypatch.setattr(
        "recode_eval.sandbox.open_sandbox", lambda *a, **o: Careless(), raising=False
    )
    try:
        outcome = attack_tier("landlock", [attack("pass")])
    finally:
        left.unlink(missing_ok=True)
    assert outcome.results[0].contained
    assert outcome.left == (f"file {left}",)
    assert not outcome.passed


def test_traces_show_processes_and_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recode_eval.attacks.traces._WAIT_S", 0.2)
    before = take_traces()
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        found = leftovers(before)
        assert any(str(process.pid) in line and "process" in line for line in found)
        assert process.pid in descendants()
        process.communicate(b"\n")
    assert leftovers(before) == []


def test_the_bait_is_taken_away() -> None:
    before = take_traces()
    with Bait() as laid:
        names = laid.module()
        assert os.environ[str(names["VARIABLE"])]
        assert Path(str(names["FILES"][0])).read_text() == names["CONTENT"]
        assert laid.touched() == []
        assert leftovers(before, frozenset()) != []
    assert "RECODE_ATTACK_BAIT" not in os.environ
    assert leftovers(before) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(str(names["PORT"]))), timeout=1)


@pytest.mark.parametrize(
    ("clean", "world", "expected"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, []),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ["a/1/b was 2, is 3"]),
        ({"a": 1}, {"b": 1}, ["a was 1, is null", "b was null, is 1"]),
        ([1], [1, 2], [" was [1], is [1, 2]"]),
        ([1, 2], [2, 1], ["0 was 1, is 2", "1 was 2, is 1"]),
    ],
)
def test_differences_are_told_by_place(clean: object, world: object, expected: list[str]) -> None:
    assert _differences(clean, world) == expected
