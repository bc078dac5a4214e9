"""The taskset as verifiers' own commands find it by name."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from peers import CHECKOUT, run
from stream_server import StreamServer

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


@pytest.mark.slow
def test_vf_eval_asks_a_server_and_grades_what_it_says(
    peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    """By default with one question and no tools: verifiers' own default gives a model a shell."""
    problems = load_task("arena-mini").problems[:4]

    def model(asked: str) -> str:
        index, problem = next(
            (i, p) for i, p in enumerate(problems) if p.context["problem"] in asked
        )
        return f"Yes.\n```python\n{problem.solutions[('reference', 'stale')[index % 2]]}\n```"

    with StreamServer(model) as server:
        words = ["vf-eval", "recode-taskset", "--env.taskset.task-name", "arena-mini",
                 "--env.taskset.sandbox", "landlock", "--env.taskset.docs", "changelog",
                 "-m", "tiny", "--client.base-url", server.url, "--client.api-key-var", "NO_KEY",
                 "--env.agent.runtime.type", "subprocess",
                 "-n", "4", "--no-push", "--no-rich", "-o", "out"]  # fmt: skip
        done = run(peer_python("verifiers"), words, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [traces] = (tmp_path / "out").rglob("traces.jsonl")
    found = [json.loads(line) for line in traces.read_text().splitlines()]
    rewards = {
        trace["task"]["data"]["id"]: trace["rewards"]["passes"]["score"] for trace in flat(found)
    }
    assert rewards == {p.id: float(i % 2 == 0) for i, p in enumerate(problems)}
    assert not any(trace["errors"] for trace in flat(found))
    assert len(server.requests) == 4
    for request in server.requests:
        assert not request.get("tools")
        text = str(request["messages"])
        assert "<documentation>" in text
        for problem in problems:  # the hidden tests reach no request
            assert all(json.dumps(t.code)[1:-1] not in text for t in problem.payload.unit_tests)


def flat(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the traces of a file's lines: one each, or an episode with several."""
    return [trace for line in lines for trace in line.get("traces", [line])]


def test_an_arm_is_one_or_the_other(peer_python: Callable[[str], str], tmp_path: Path) -> None:
    words = ["vf-validate", "recode-taskset", "--runtime.type", "subprocess",
             "--taskset.task-name", "arena-mini", "--taskset.docs", "changelog",
             "--taskset.update-note", "False", "--rich", "False", "-o", "out"]  # fmt: skip
    done = run(peer_python("verifiers"), words, tmp_path)
    assert done.returncode != 0
    assert "give one of them" in done.stdout + done.stderr
