"""Programs of a language that has an executable: a shell, under the same confinement as Python."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import open_or_skip

from recode_eval.errors import UsageError
from recode_eval.sandbox import Limits, Program, Sandbox, Status, Test
from recode_eval.sandbox.base import SandboxCrashError, SandboxUnavailableError
from recode_eval.sandbox.local import supervisor_folder
from recode_eval.sandbox.runtimes import CommandRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

sys.path.insert(0, str(supervisor_folder()))
from recode_supervisor.command_execution import DEFINED, fill

SHELL = CommandRuntime(
    language="shell",
    argv=("/bin/sh", "{program}"),
    file="program.sh",
    program="{setup}\n{candidate}\necho '{defined}'\n{tests}\n",
    test=(
        "if (\n{test}\n); then said=passed; else said='failed it said no'; fi\n"
        "read -r nonce <&3\n"
        'printf "\\n%s %s\\n" "$nonce" "$said"\n'
    ),
    environment={"GREETING": "hello"},
    version_argv=("/bin/sh", "-c", "echo shell 1.0"),
)
RESIDENT = replace(SHELL, language="shell, resident", memory="resident")
LIMITS = Limits(cpu_s=2, wall_s=8, memory_bytes=256 << 20)
EAT_MEMORY = "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"


@pytest.fixture(scope="module")
def shells(tier: str) -> Iterator[Sandbox]:
    with open_or_skip(tier, workers=1, runtimes=[SHELL, RESIDENT]) as opened:
        yield opened


def run(
    sandbox: Sandbox,
    candidate: str,
    *tests: str,
    setup: str = "",
    limits: Limits = LIMITS,
    language: str = "shell",
):
    named = tuple(Test(f"test_{n}", code) for n, code in enumerate(tests))
    return sandbox.submit(Program(setup, candidate, named, language=language), limits).result(120)


def statuses(execution) -> list[Status]:
    return [verdict.status for verdict in execution.verdicts]


def test_each_test_gets_its_own_verdict(shells: Sandbox) -> None:
    result = run(
        shells,
        'double() { echo $(($1 * 2 + offset)); }\necho "$GREETING, {tests} {setup}"',
        '[ "$(double 2)" = 4 ]',
        '[ "$(double 2)" = 5 ]',
        "exit 0",
        '[ "$(double 3)" = 6 ]',
        setup="offset=0",
    )
    assert statuses(result) == [Status.PASSED, Status.FAILED, Status.PASSED, Status.PASSED]
    assert result.verdicts[1].detail == "it said no"
    assert "hello, {tests} {setup}" in result.output
    assert not any(verdict.detail for verdict in result.verdicts if verdict is Status.PASSED)


def test_python_programs_run_beside_it(shells: Sandbox) -> None:
    result = run(shells, "x = 1", "assert x == 1", "assert x == 2", language="python")
    assert statuses(result) == [Status.PASSED, Status.FAILED]


@pytest.mark.parametrize("isolation", ["program", "test"])
def test_every_test_of_a_broken_candidate_fails(tier: str, isolation: str) -> None:
    with open_or_skip(tier, workers=1, isolation=isolation, runtimes=[SHELL]) as sandbox:
        result = run(sandbox, "echo oh no >&2; exit 3", "true", "true", setup="true")
        assert statuses(result) == [Status.FAILED] * 2
        assert result.setup_error is None
        assert result.verdicts[0].detail == "oh no"
        syntax = run(sandbox, "if then (", "true", "true")
        assert statuses(syntax) == [Status.FAILED] * 2


def test_a_broken_set_up_is_the_datas_fault(shells: Sandbox) -> None:
    result = run(shells, "true", "true", setup="exit 4")
    assert result.verdicts == ()
    assert result.setup_error == "failed: the process ended with status 4"


def test_no_tests_is_no_pass(shells: Sandbox) -> None:
    result = run(shells, "true")
    assert (result.verdicts, result.setup_error, result.passed) == ((), None, False)


@pytest.mark.parametrize(
    "candidate",
    [
        "exit 0",
        "echo passed; exit 0",
        f"echo '{DEFINED}'; echo 00000000000000000000000000000000 passed; exit 0",
        f"echo '{DEFINED}'; exit 0",
        f"echo '{DEFINED}'; cat program.sh; exit 0",
        "exec true",
        "kill -9 $$",
        "exec >/dev/null",
        "exec 3</dev/null",
        "printf() { echo 'passed'; }",
    ],
)
def test_nothing_passes_by_exiting_or_printing(shells: Sandbox, candidate: str) -> None:
    result = run(shells, candidate, "false", "false")
    assert len(result.verdicts) == 2
    assert Status.PASSED not in statuses(result)
    assert result.setup_error is None


def test_a_verdict_of_another_test_is_none(shells: Sandbox) -> None:
    """The nonce of a test that a program has seen must not serve for the next one."""
    candidate = "seen=''"
    steal = 'read -r first <&3; printf "%s passed\\n%s passed\\n" "$first" "$first"; exit 1'
    result = run(shells, candidate, steal, "false")
    assert statuses(result)[1] is not Status.PASSED


@pytest.mark.slow
def test_limits_end_one_test_and_not_the_others(shells: Sandbox) -> None:
    start = time.monotonic()
    result = run(shells, "", "while :; do :; done", "true", "kill -11 $$", "true")
    assert statuses(result) == [Status.TIMEOUT, Status.PASSED, Status.CRASHED, Status.PASSED]
    assert time.monotonic() - start < 40
    slept = run(shells, "", "sleep 600", "true", limits=Limits(cpu_s=30, wall_s=1.5))
    assert statuses(slept) == [Status.TIMEOUT, Status.PASSED]


def test_memory_is_limited_either_way(shells: Sandbox) -> None:
    """A runtime that reserves a large address space cannot have it limited; it is watched."""
    refused = run(shells, "", EAT_MEMORY, "true")
    assert statuses(refused) == [Status.FAILED, Status.PASSED]
    watched = run(shells, "", EAT_MEMORY, "true", language="shell, resident")
    assert statuses(watched) == [Status.MEMORY, Status.PASSED]
    assert "256 MiB" in watched.verdicts[0].detail


def test_programs_are_confined(shells: Sandbox, public_folder: Path) -> None:
    (public_folder / "secret").write_text("x")
    result = run(
        shells,
        "",
        "! echo x >/etc/recode-eval-attack",
        "! echo x >/usr/recode-eval-attack",
        "! cat /etc/shadow",
        f"! cat {public_folder}/secret",
        "! kill -0 1",
        "! mkdir /var/recode-eval-attack",
        'echo x >here && [ "$(cat here)" = x ]',
        "i=0; while [ $i -lt 100 ]; do (sleep 60 &) || exit 0; i=$((i + 1)); done; false",
    )
    wrong = [v.name for v in result.verdicts[:7] if v.status is not Status.PASSED]
    assert not wrong, result
    after = run(shells, "", '[ "$(ls)" = program.sh ]')
    assert after.passed, after


def test_what_is_left_running_is_ended(shells: Sandbox) -> None:
    start = time.monotonic()
    assert run(shells, "sleep 300 &", "true").passed
    assert run(shells, "(trap '' TERM HUP; sleep 300) & (sleep 300 &)", "true").passed
    assert time.monotonic() - start < 30


def test_output_is_bounded_and_escaped(shells: Sandbox) -> None:
    flood = "i=0; while [ $i -lt 3000 ]; do echo aaaaaaaaaaaaaaaaaaaaaaaaa; i=$((i + 1)); done"
    limits = replace(LIMITS, output_bytes=1000)
    result = run(shells, "", flood, "printf 'end\\001\\377'; echo no >&2", limits=limits)
    assert result.passed
    assert len(result.output) < 2000
    assert result.output.isascii()
    assert "end\\x01\\xff" in result.output
    unbroken = "head -c 3000000 /dev/zero | tr '\\0' b"
    assert run(shells, "", unbroken, limits=limits).passed


def test_more_tests_than_one_process_takes(shells: Sandbox) -> None:
    result = run(shells, "x=1", *["[ $x = 1 ]"] * 700, "false", limits=Limits())
    assert statuses(result) == [Status.PASSED] * 700 + [Status.FAILED]


def test_large_programs_arrive(shells: Sandbox) -> None:
    filler = ("# " + "x" * 200 + "\n") * 3000
    assert run(shells, filler + "y=1", filler + "[ $y = 1 ]", setup=filler).passed


def test_info_names_what_runs_each_language(shells: Sandbox) -> None:
    runtimes = shells.info.runtimes
    assert runtimes["shell"]["version"] == "shell 1.0"
    assert runtimes["shell"]["kind"] == "command"
    assert runtimes["python"]["version"] == shells.info.python
    assert shells.info.supervisor >= "3.11"


def test_a_language_without_a_runtime_is_refused(shells: Sandbox) -> None:
    with pytest.raises(SandboxUnavailableError, match=r"no runtime for 'cobol'.*python, shell"):
        run(shells, "x", "y", language="cobol")


def test_a_sandbox_without_the_executable_does_not_open(tier: str) -> None:
    missing = replace(SHELL, argv=("/nonexistent/shell", "{program}"))
    with pytest.raises(SandboxUnavailableError, match="no executable /nonexistent/shell"):
        open_or_skip(tier, workers=1, runtimes=[missing])


def test_a_command_that_cannot_be_executed_is_no_failure_of_the_program(
    public_folder: Path,
) -> None:
    garbage = public_folder / "garbage"
    garbage.write_bytes(b"\x7fno executable")
    garbage.chmod(0o755)
    broken = replace(SHELL, argv=(str(garbage), "{program}"), folders=(str(public_folder),))
    with (
        open_or_skip("landlock", workers=1, runtimes=[broken]) as sandbox,
        pytest.raises(SandboxCrashError, match="Exec format error"),
    ):
        run(sandbox, "true", "true")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"argv": ("sh", "{program}")}, "absolute path"),
        ({"argv": ()}, "absolute path"),
        ({"file": "../x"}, "not a file name"),
        ({"program": "{candidate}"}, r"no \{setup\}"),
        ({"test": "true"}, r"no \{test\}"),
        ({"language": "python"}, "its own runtime"),
    ],
)
def test_a_runtime_that_cannot_work_is_refused(change: dict, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        replace(SHELL, **change)


def test_filling_in_takes_values_as_they_are() -> None:
    """A candidate that holds `{tests}` must not see them in place of it."""
    assert fill("{a}{b}{ {c} }", {"a": "{b}", "b": "{a}"}) == "{b}{a}{ {c} }"
    assert fill("x", {}) == "x"
    assert fill("{", {"": "no"}) == "{"
