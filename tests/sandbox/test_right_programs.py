"""What people write must pass: the programs of `right_programs`, on every tier, split or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import NEW_PYTHON, OLD_PYTHON, OTHER_PYTHONS, open_or_skip
from sandbox.right_programs import RIGHT_PROGRAMS, program

from recode_eval.sandbox import Limits, landlock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.sandbox import Execution, Sandbox

LIMITS = Limits(cpu_s=30, wall_s=60, memory_bytes=2 << 30)
OPTIONAL = {"pictures of matplotlib": "matplotlib"}
"""Programs that only an environment with this library can run."""


def run_all(sandbox: Sandbox, names: Iterable[str]) -> dict[str, Execution]:
    """Run the programs of these names, as far as the environment has what they need."""
    waiting = {
        name: sandbox.submit(program(RIGHT_PROGRAMS[name]), LIMITS)
        for name in names
        if OPTIONAL.get(name, "numpy") in sandbox.info.libraries
    }
    return {name: future.result(300) for name, future in waiting.items()}


def failures(found: dict[str, Execution]) -> list[str]:
    """The programs that did not pass, with what their tests say."""
    return [
        f"{name}: {execution.setup_error} "
        f"{[(v.status.value, v.detail) for v in execution.verdicts]} {execution.output[-300:]}"
        for name, execution in found.items()
        if not execution.passed
    ]


def test_there_are_enough_and_each_tests_something() -> None:
    assert len(RIGHT_PROGRAMS) >= 60
    for name, text in RIGHT_PROGRAMS.items():
        tests = program(text).tests
        assert tests, name
        assert all("assert" in test.code for test in tests), name


@pytest.mark.parametrize("isolation", ["program", "split"])
@pytest.mark.parametrize("environment", ["mini", pytest.param(OLD_PYTHON, marks=pytest.mark.slow)])
def test_right_programs_pass(tier: str, isolation: str, environment: str) -> None:
    """Threads, shared memory, scripts and files in /tmp failed, on some tiers or on all."""
    with open_or_skip(tier, environment=environment, isolation=isolation, workers=2) as sandbox:
        told = failures(run_all(sandbox, RIGHT_PROGRAMS))
    assert not told, "\n".join(told)


C_CODE_STOPS = {"3.12", "3.13"}
"""Pythons whose own limit on calls through C code, some thousands, no program can raise."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "environment"),
    [
        ("landlock", NEW_PYTHON),
        pytest.param("bubblewrap", NEW_PYTHON, marks=pytest.mark.exhaustive),
        pytest.param("docker", NEW_PYTHON, marks=[pytest.mark.docker, pytest.mark.exhaustive]),
        *(
            pytest.param(tier, environment, marks=pytest.mark.exhaustive)
            for environment in OTHER_PYTHONS
            for tier in ("landlock", "bubblewrap")
        ),
    ],
)
@pytest.mark.parametrize("isolation", ["program", "split"])
def test_right_programs_pass_on_other_pythons(kind: str, environment: str, isolation: str) -> None:
    """On 3.14 `multiprocessing` asked for a server behind a socket, which no program has."""
    with open_or_skip(kind, environment=environment, isolation=isolation, workers=2) as sandbox:
        python = environment.rpartition("-py")[2]
        assert sandbox.info.python.startswith(f"{python}.")
        beyond = {"deep recursion"} if python in C_CODE_STOPS else set()
        told = failures(run_all(sandbox, RIGHT_PROGRAMS.keys() - beyond))
    assert not told, "\n".join(told)


NEED_MOUNTS = {
    "a file in /tmp",
    "multiprocessing process and queue",
    "multiprocessing pool",
    "multiprocessing locks and shared values",
    "multiprocessing spawn",
    "process pool executor",
    "shared memory",
}
"""What cannot work on the tier landlock where it may not mount; `docs/sandbox.md` says why."""


def test_where_nothing_can_be_mounted_the_others_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ThreadPool` failed there as well, for want of a lock that threads do not need."""
    monkeypatch.setattr(landlock, "PRIVATE_DISK", False)
    assert RIGHT_PROGRAMS.keys() > NEED_MOUNTS
    with open_or_skip("landlock", workers=2) as sandbox:
        told = failures(run_all(sandbox, RIGHT_PROGRAMS.keys() - NEED_MOUNTS))
    assert not told, "\n".join(told)


def test_a_newer_syntax_is_named(tier: str) -> None:
    """Right answers in the Python of tomorrow looked like broken ones."""
    newer = "def first[T](values: list[T]) -> T:\n    return values[0]\n"
    broken = "def first(values):\n    return values[0\n"
    with (
        open_or_skip(tier, workers=1, isolation="split") as split,
        open_or_skip(tier, workers=1, isolation="program") as whole,
    ):
        if split.info.python >= "3.12":
            pytest.skip("this Python knows it")
        for sandbox in (split, whole):
            details = [
                sandbox.submit(program(f"{text}\n# test\nassert first([1]) == 1"), LIMITS)
                .result(60)
                .verdicts[0]
                .detail
                for text in (newer, broken)
            ]
            assert details[0].startswith("SyntaxError: "), details
            assert "(needs Python 3.12, this is 3." in details[0], details
            assert "needs" not in details[1], details
