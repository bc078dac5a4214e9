"""Another package adds a language by one class under an entry point; nothing here knows it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recode_eval import RunConfig, SandboxOptions, UsageError, evaluate, open_sandbox
from recode_eval.languages import LANGUAGES, get_language
from recode_eval.run.store import SCORES
from recode_eval.sandbox import Limits, Program, Test

if TYPE_CHECKING:
    from collections.abc import Iterator

TASK = """\
name: toy
version: 1
description: One problem in a toy language.
kind: kind.py:ToyTask
language: toy-shell
environment: mini
data: {file: none}
prompts:
  plain: {template: plain.jinja2, sampling: {n: 3}}
"""
KIND = '''\
"""The task's kind."""

from recode_eval.languages import get_language
from recode_eval.sandbox import Program, Test
from recode_eval.tasks.base import Problem, task_data


class ToyTask:
    """Doubling a number."""

    conditions = ("with_update",)

    def __init__(self, spec):
        self.spec = spec

    def load(self, source, *, skip_bad_rows):
        reference = {"reference": "double() { echo $(($1 * 2)); }  # the reference"}
        problem = Problem("double", "double", {}, {}, reference, None, "double")
        return task_data("bundled", [problem], [("double", 1)], [], skip_bad_rows=skip_bad_rows)

    def programs(self, problem, code):
        language = get_language(self.spec.language)
        tests = language.split_tests('[ "$(double 2)" = 4 ]\\n[ "$(double 5)" = 10 ]')
        tests = tuple(Test(test.name, test.code) for test in tests)
        return {"with_update": Program("", code, tests, language=self.spec.language)}
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with the entry point, as pip would leave it."""
    info = tmp_path / "site" / "recode_toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: recode-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[recode_eval.languages]\ntoy-shell = toy_language:Shell\nbroken = nowhere:Nothing\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(info.parent)])
    get_language.cache_clear()
    yield tmp_path
    get_language.cache_clear()


def toy_task(folder: Path) -> Path:
    """Write the task into a folder of its own."""
    task = folder / "toy"
    task.mkdir()
    (task / "task.yaml").write_text(TASK)
    (task / "kind.py").write_text(KIND)
    (task / "plain.jinja2").write_text("Double a number in shell.")
    return task


def test_a_run_in_a_language_of_another_package(installed: Path) -> None:
    folder = toy_task(installed)
    right, wrong = "double() { echo $(($1 * 2)); }", "double() { echo $1; }"
    texts = [f"```sh\n{right}\n```", f"```python\n{right}\n```\n```sh\n{wrong}\n```", "no code"]
    answers = installed / "answers.jsonl"
    answers.write_text("\n".join(json.dumps({"task_id": "double", "completion": t}) for t in texts))
    [result] = evaluate(
        RunConfig(
            model=f"replay:{answers}",
            tasks=["toy"],
            include_path=[folder],
            k=[1],
            sandbox=SandboxOptions(tier="landlock", workers=1),
            out=installed / "runs",
        )
    )
    assert result.content["problems"][0]["passed"] == 1
    lines = (result.folder / SCORES).read_text().splitlines()
    scores = {score["sample"]: score for score in map(json.loads, lines)}
    assert scores[0]["code"] == right
    assert scores[0]["similarity"]["em"] == 1  # normalized without the reference's comment
    assert [test[1] for test in scores[1]["conditions"]["with_update"]["tests"]] == ["failed"] * 2
    assert scores[2]["code"] is None
    assert scores[2]["similarity"]["es_star"] == -2


def test_a_baseline_answers_in_its_language(installed: Path) -> None:
    """A baseline's fence was tagged python; and this language's name is none of its own tags."""
    [result] = evaluate(
        RunConfig(
            model="baseline:reference",
            tasks=["toy"],
            include_path=[toy_task(installed)],
            k=[1],
            sandbox=SandboxOptions(tier="landlock", workers=1),
            out=installed / "runs",
        )
    )
    assert result.value("pass@1") == 1


def test_its_programs_run_beside_python(installed: Path) -> None:
    language = get_language("toy-shell")
    with open_sandbox("landlock", workers=1, runtimes=[language.runtime()]) as sandbox:
        shell = Program("", "x=1", (Test("t", '[ "$x" = 1 ]'),), language="toy-shell")
        python = Program("", "x = 1", (Test("t", "assert x == 1"),))
        assert sandbox.submit(shell, Limits()).result(60).passed
        assert sandbox.submit(python, Limits()).result(60).passed


def test_languages_are_named_and_misspelt_ones_refused(installed: Path) -> None:
    assert {"python", "toy-shell"} <= set(LANGUAGES.names())
    with pytest.raises(UsageError, match=r"Did you mean toy-shell\?"):
        get_language("toy-shel")
    assert get_language("toy-shell").tamper_flags("cat <&3") == ("file descriptors",)
