"""The tasks as inspect_ai finds them by name, with its own command and its mock model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from peers import SOLVER, run

from recode_eval import compare, load_task
from recode_eval.run.results_file import load_runs
from recode_eval.tasks.registry import find_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWERS = '''
import json, sys
import inspect_ai
from inspect_ai.model import ModelOutput, ModelUsage, get_model
name, answers, limit = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3])
def outputs(messages, tools, choice, config):
    asked = messages[-1].text
    text = next(text for mark, text in answers if mark in asked)
    output = ModelOutput.from_content("mockllm/model", text)
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return output
inspect_ai.eval(f"recode_eval/{name}", model=get_model("mockllm/model", custom_outputs=outputs),
                limit=limit, log_dir="logs", log_format="json", display="none",
                task_args={"sandbox": sys.argv[4]})
'''  # fmt: skip


def log_of(folder: Path) -> dict[str, Any]:
    [file] = (folder / "logs").glob("*.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def answers_for(task: str, limit: int, kinds: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return what to answer by a mark of the question; every fourth answer has no code."""
    found = []
    for index, problem in enumerate(load_task(task).problems[:limit]):
        kind = kinds[index % len(kinds)]
        code = problem.solutions.get(kind)
        text = "I do not know." if code is None else f"```python\n{code}\n```"
        found.append((problem.context.get("problem") or problem.context["old_code"], text))
    return found


@pytest.mark.parametrize("task", ["arena-mini", "migration-validation"])
def test_verdicts_are_those_of_the_grader_and_errors_are_clustered(
    task: str, peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    kinds = ("reference", "stale", "reference", "none at all")
    answers = answers_for(task, 8, kinds)
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    (tmp_path / "go.py").write_text(ANSWERS)
    words = ["python", "go.py", task.replace("-", "_"), "answers.json", "8", "landlock"]
    done = run(peer_python("inspect_ai"), words, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    log = log_of(tmp_path)
    assert log["status"] == "success", log.get("error")
    problems = {problem.id: problem for problem in load_task(task).problems}
    samples = sorted(log["samples"], key=lambda sample: list(problems).index(sample["id"]))
    expected = ["C" if kinds[i % 4] == "reference" else "I" for i in range(8)]
    assert values(samples) == expected
    assert all(s["metadata"]["cluster"] == problems[s["id"]].cluster for s in samples)
    metrics = log["eval"]["scorers"][0]["metrics"]
    assert {"cluster": "cluster"} in [m["options"] for m in metrics]
    [stored] = load_runs((tmp_path / "logs").glob("*.json"))
    assert {p.cluster for p in stored.scores.values()} == {
        problems[s["id"]].cluster for s in samples
    }
    text = json.dumps(log)
    for sample in samples:
        row = problems[sample["id"]].payload
        for test in row.unit_tests if task == "arena-mini" else row.tests:
            assert json.dumps(test.code.strip())[1:-1] not in text


def values(samples: list[dict[str, Any]]) -> list[str]:
    return [sample["scores"]["recode_grader"]["value"] for sample in samples]


def test_the_command_finds_the_task_by_name(
    peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "fixed.py").write_text(SOLVER)
    words = ["inspect", "eval", "recode_eval/arena_mini", "--solver", "fixed.py@fixed",
             "--model", "mockllm/model", "--limit",
             "2", "-T", "sandbox=landlock", "--log-format", "json", "--log-dir", "logs",
             "--display", "plain"]  # fmt: skip
    done = run(peer_python("inspect_ai"), words, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    again = run(peer_python("inspect_ai"), [*words, "--log-dir", "again"], tmp_path)
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr[-2000:]
    one, other = (load_runs((tmp_path / name).glob("*.json")) for name in ("logs", "again"))
    assert set(one[0].scores) == set(other[0].scores)  # messages have other ids in each log
    log = log_of(tmp_path)
    assert log["eval"]["task"] == "recode_eval/arena_mini"
    assert values(log["samples"]) == ["I", "I"]
    assert list(log["samples"][0]["scores"]) == ["recode_grader"]


def test_two_evaluations_of_one_task_are_compared(
    peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    """inspect_ai draws ids for messages; with them no sample of the second log was the first's."""
    (tmp_path / "fixed.py").write_text(SOLVER)
    for name in ("old", "new"):
        words = ["inspect", "eval", "recode_eval/arena_mini", "--solver", "fixed.py@fixed",
                 "--model", "mockllm/model", "--limit", "4", "--epochs", "2", "-T",
                 "sandbox=landlock", "--log-dir", name, "--display", "none"]  # fmt: skip
        done = run(peer_python("inspect_ai"), words, tmp_path)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    [found] = compare(tmp_path / "old", tmp_path / "new", metrics=["pass@1"])
    estimate = found.differences[0].estimate
    assert (estimate.n, estimate.mean) == (4, 0)
    assert not any("prompt" in text for text in found.cautions)


def test_every_task_with_tests_is_there() -> None:
    """A task that is added must be added to the plugin as well."""
    from recode_eval.tasks.registry import create_task

    source = Path(__file__).parents[2] / "recode_eval" / "integrations"
    text = (source / "inspect_tasks.py").read_text()
    for name in find_tasks():
        assert bool(create_task(name).conditions) == (f'"{name}"' in text), name
