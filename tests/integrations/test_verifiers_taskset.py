"""The taskset as verifiers' own commands find it by name."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from peers import CHECKOUT, run

from recode_eval import load_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GRADE = """
import asyncio, json, sys
import verifiers.v1 as vf
from recode_taskset import RecodeTaskset
from recode_taskset import RecodeConfig
config = RecodeConfig(task_name=sys.argv[1], sandbox="landlock")
answers = json.load(open(sys.argv[2]))
class Trace:
    def __init__(self, text): self.last_reply = text
async def main():
    tasks = {task.data.id: task for task in RecodeTaskset(config)}
    found = [await tasks[key].passes(Trace(text)) for key, text in answers]
    print(json.dumps({"rewards": found, "first": tasks[answers[0][0]].data.model_dump()}))
asyncio.run(main())
"""


@pytest.mark.parametrize("task", ["arena-mini", "migration-validation"])
def test_gold_passes_and_noop_fails(
    task: str, peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    words = ["vf-validate", "recode-taskset", "--runtime.type", "subprocess",
             "--taskset.task-name", task, "--taskset.sandbox", "landlock", "--select.limit", "6",
             "--rich", "False", "-o", "out"]  # fmt: skip
    done = run(peer_python("verifiers"), words, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [summary] = (tmp_path / "out").rglob("summary.json")
    checks = json.loads(summary.read_text())["checks"]
    assert checks["gold"]["valid"] == checks["noop"]["valid"] == 6


def test_rewards_are_those_of_the_grader(peer_python: Callable[[str], str], tmp_path: Path) -> None:
    problems = load_task("arena-mini").problems[:6]
    kinds = ("reference", "stale", "nothing")
    answers = [
        (p.id, f"```python\n{p.solutions[kind]}\n```" if kind in p.solutions else "I cannot.")
        for p, kind in zip(problems, kinds * 2, strict=True)
    ]
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    (tmp_path / "grade.py").write_text(GRADE)
    words = ["python", "grade.py", "arena-mini", "answers.json"]
    done = run(peer_python("verifiers"), words, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rewards"] == [1.0, 0.0, 0.0] * 2
    text = json.dumps(found["first"])
    row = problems[0].payload
    assert row.ref_solution.strip() not in found["first"]["prompt"]
    assert all(json.dumps(test.code.strip())[1:-1] not in text for test in row.unit_tests)
    assert found["first"]["cluster"] == problems[0].cluster


def test_the_wheel_brings_the_module() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["recode_eval/integrations/verifiers_taskset.py"] == "recode_taskset.py"
