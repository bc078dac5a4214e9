"""What people write in JavaScript and TypeScript must pass, on every tier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import open_or_skip
from sandbox.right_javascript import JAVASCRIPT, TYPESCRIPT

from recode_eval.sandbox import Limits, Program, Test

if TYPE_CHECKING:
    from recode_eval.sandbox import Execution

LIMITS = Limits(cpu_s=30, wall_s=60, memory_bytes=1 << 30)
LANGUAGES = {"javascript": JAVASCRIPT, "typescript": TYPESCRIPT}


def program(text: str, language: str) -> Program:
    """The program that a text stands for."""
    candidate, *tests = text.split("\n// test\n")
    named = tuple(Test(f"test {n}", code) for n, code in enumerate(tests, 1))
    return Program("", candidate, named, language=language)


def failures(found: dict[str, Execution]) -> list[str]:
    """The programs that did not pass, with what their tests say."""
    return [
        f"{name}: {execution.setup_error} "
        f"{[(v.status.value, v.detail) for v in execution.verdicts]} {execution.output[-300:]}"
        for name, execution in found.items()
        if not execution.passed
    ]


def test_there_are_enough_and_each_tests_something() -> None:
    assert len(JAVASCRIPT) + len(TYPESCRIPT) >= 40
    for language, texts in LANGUAGES.items():
        for name, text in texts.items():
            tests = program(text, language).tests
            assert tests, name
            assert all("assert" in test.code for test in tests), name


@pytest.mark.parametrize("isolation", ["program", "test"])
def test_right_programs_pass(tier: str, isolation: str) -> None:
    with open_or_skip(tier, environment="node", isolation=isolation, workers=2) as sandbox:
        waiting = {
            name: sandbox.submit(program(text, language), LIMITS)
            for language, texts in LANGUAGES.items()
            for name, text in texts.items()
        }
        told = failures({name: future.result(300) for name, future in waiting.items()})
    assert not told, "\n".join(told)


def test_typescript_runs_as_javascript_too(tier: str) -> None:
    """A model that answers in TypeScript where JavaScript was asked for is not failed for it."""
    with open_or_skip(tier, environment="node", workers=1) as sandbox:
        found = {
            name: sandbox.submit(program(text, "javascript"), LIMITS).result(60)
            for name, text in TYPESCRIPT.items()
        }
    assert not failures(found)
