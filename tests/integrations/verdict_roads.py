"""The roads from an answer to a verdict: a function each, from a batch to 1.0, 0.0 or None by id.

A new road is one more function in `ROADS`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tomllib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from image_builds import BUILD, LOCKED, lost_a_step
from peers import run

from recode_eval import RewardGrader, RunConfig, SandboxOptions, evaluate
from recode_eval.cli import run as command
from recode_eval.sandbox.requirements import get_environment
from recode_eval.tasks.answers import find_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from integrations.answer_batches import Batch

    Verdicts = dict[str, float | None]
    Road = Callable[[Batch, Path, Callable[[str], str]], Verdicts]

BASE_IMAGE = "recode-eval-base:bookworm"


def by_reward_grader(batch: Batch, folder: Path, peer: Callable[[str], str]) -> Verdicts:
    """`RewardGrader`."""
    del folder, peer
    with RewardGrader(batch.loaded, SandboxOptions(tier="landlock")) as grader:
        return dict(zip(batch.answers, grader.rewards(batch.answers.items()), strict=True))


def by_evaluate(batch: Batch, folder: Path, peer: Callable[[str], str]) -> Verdicts:
    """`evaluate`, whose model replays the answers."""
    del peer
    saved = folder / "answers.jsonl"
    lines = [{"task_id": key, "completion": text} for key, text in batch.answers.items()]
    saved.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    config = RunConfig(
        model=f"replay:{saved}", tasks=[batch.loaded.name], n=1, k=[1], out=folder / "runs",
        data={} if batch.data is None else {batch.loaded.name: batch.data},
        sandbox=SandboxOptions(tier="landlock"), temperature=0,
    )  # fmt: skip
    [result] = evaluate(config).results
    condition = batch.loaded.task.conditions[0]
    found: Verdicts = dict.fromkeys(batch.answers)
    for line in (result.folder / "scores.jsonl").read_text().splitlines():
        score = json.loads(line)
        if score["problem_id"] in found:
            done = score["conditions"].get(condition, {"passed": False})
            found[score["problem_id"]] = float(done["passed"])
    return found


VERIFIERS = """
import asyncio, json, sys
from recode_eval.errors import InfrastructureError
from recode_taskset import RecodeConfig, RecodeTaskset
config = RecodeConfig(task_name=sys.argv[1], data=sys.argv[3] or None, sandbox="landlock")
answers = json.load(open(sys.argv[2]))
class Trace:
    def __init__(self, text): self.last_reply = text
async def grade(task, text, slots):
    async with slots:
        try: return await task.passes(Trace(text))
        except InfrastructureError: return None
async def main():
    slots = asyncio.Semaphore(8)
    tasks = {task.data.id: task for task in RecodeTaskset(config)}
    found = await asyncio.gather(*(grade(tasks[k], t, slots) for k, t in answers.items()))
    print(json.dumps(dict(zip(answers, found))))
asyncio.run(main())
"""


def by_verifiers(batch: Batch, folder: Path, peer: Callable[[str], str]) -> Verdicts:
    """The reward of the taskset, in verifiers' Python."""
    (folder / "grade.py").write_text(VERIFIERS)
    return _printed(run(peer("verifiers"), _words(batch, folder), folder, timeout=3000))


INSPECT = """
import json, sys
import inspect_ai
from inspect_ai import task_with
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.solver import solver
from recode_eval.integrations import inspect_tasks
answers = json.load(open(sys.argv[2]))
@solver
def known():
    async def solve(state, generate):
        state.output = ModelOutput.from_content("mockllm/model", answers[str(state.sample_id)])
        return state
    return solve
task = inspect_tasks.make_task(sys.argv[1], data=sys.argv[3] or None, sandbox="landlock")
asked = task.dataset.filter(lambda sample: str(sample.id) in answers)
task = task_with(task, dataset=asked, solver=known())
[log] = inspect_ai.eval(task, model="mockllm/model", log_dir="logs", log_format="json",
                        display="none")
assert log.status == "success", log.error
values = {"C": 1.0, "I": 0.0}
print(json.dumps({str(s.id): values.get(s.scores["recode_grader"].value) for s in log.samples}))
"""


def by_inspect(batch: Batch, folder: Path, peer: Callable[[str], str]) -> Verdicts:
    """inspect_ai's own evaluation, with a solver that knows the answers."""
    (folder / "grade.py").write_text(INSPECT)
    return _printed(run(peer("inspect_ai"), _words(batch, folder), folder, timeout=3000))


LM_EVAL = """
import json, sys
import lm_eval
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
answers = json.load(open(sys.argv[2]))
class Known(LM):
    def generate_until(self, requests, disable_tqdm=False):
        return [answers[request.doc["id"]] for request in requests]
    def loglikelihood(self, requests, disable_tqdm=False): raise NotImplementedError
    def loglikelihood_rolling(self, requests, disable_tqdm=False): raise NotImplementedError
results = lm_eval.simple_evaluate(
    model=Known(), tasks=[sys.argv[1]], log_samples=True,
    task_manager=TaskManager(include_path="tasks", include_defaults=False))
samples = results["samples"][sys.argv[1]]
print(json.dumps({s["doc"]["id"]: s.get("pass") for s in samples}))
"""


def by_lm_eval(batch: Batch, folder: Path, peer: Callable[[str], str]) -> Verdicts:
    """lm-eval's own evaluation of the exported task, with a model that knows the answers."""
    _export(batch, "lm-eval", folder / "tasks")
    (folder / "grade.py").write_text(LM_EVAL)
    words = _words(batch, folder)
    words[2] = f"recode_{batch.loaded.name.replace('-', '_')}"
    return _printed(run(peer("lm_eval"), words, folder, timeout=3000))


GRADE_ALL = """
for one in /batch/*/; do
    rm -rf /app/answer /logs/verifier && mkdir -p /app/answer /logs/verifier
    if [ -e "$one/solution.py" ]; then cp "$one/solution.py" /app/answer/; fi
    cp "$one/problem.json" /tests/problem.json
    sh /tests/test.sh >"$one/said.txt" 2>&1
    if [ -e /logs/verifier/reward.json ]; then cp /logs/verifier/reward.json "$one"; fi
done
"""


def by_harbor(batch: Batch, folder: Path, peer: Callable[[str], str]) -> Verdicts:
    """The verifier's image of the exported task: one per environment, an answer after the other.

    `test_harbor.py` shows that harbor itself brings an answer there and the reward back.
    """
    del peer
    exported = _export(batch, "harbor", folder / "harbor", "--wheels", "--base-image", BASE_IMAGE)
    by_environment = defaultdict(list)
    found: Verdicts = dict.fromkeys(batch.answers)
    for one in sorted((exported / batch.loaded.name).iterdir()):
        metadata = tomllib.loads((one / "task.toml").read_text())["metadata"]
        assert get_environment(metadata["environment"]).key == metadata["environment_hash"]
        if metadata["problem_id"] in found:
            by_environment[metadata["environment"]].append((metadata["problem_id"], one))
    for name, tasks in by_environment.items():
        answers = folder / "batches" / name
        for number, (key, one) in enumerate(tasks):
            place = answers / f"{number:04}"
            place.mkdir(parents=True)
            shutil.copy(one / "tests" / "problem.json", place)
            code = find_code(batch.loaded.task, batch.loaded.problem(key), batch.answers[key]).code
            if code is not None:
                (place / "solution.py").write_bytes(code.encode("utf-8", "surrogatepass"))
        with verifier_image(tasks[0][1]) as image:
            docker("run", "--rm", "--init", "--network", "none", "--volume", f"{answers}:/batch",
                   image, "sh", "-c", GRADE_ALL)  # fmt: skip
        for number, (key, _) in enumerate(tasks):
            reward = answers / f"{number:04}" / "reward.json"
            found[key] = json.loads(reward.read_text())["reward"] if reward.exists() else None
    return found


@contextlib.contextmanager
def verifier_image(task: Path) -> Iterator[str]:
    """The image of an exported task's verifier, until the end."""
    words = [*BUILD, str(task / "tests")]
    try:
        image = output_of(*words)
    except AssertionError as error:
        if not lost_a_step(str(error)):
            raise
        image = output_of(*words)
    try:
        yield image
    finally:
        subprocess.run([*LOCKED, "rmi", image], capture_output=True, check=False)


def remove_labelled(label: str) -> None:
    """Remove the containers and images that `harbor_docker` made under a label."""
    chosen = ["--filter", f"label=recode-eval-harbor={label}", "--quiet"]
    if left := docker("ps", "--all", *chosen).split():
        docker("rm", "--force", "--volumes", *left)
    if images := docker("images", *chosen).split():
        # One that is the parent of another goes with it.
        subprocess.run([*LOCKED, "rmi", *images], capture_output=True, check=False)


def docker(*words: str) -> str:
    return output_of("docker", *words)


def output_of(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          timeout=3000)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip()


def _export(batch: Batch, form: str, out: Path, *more: str) -> Path:
    words = ["export-tasks", "--format", form, "--tasks", batch.loaded.name, "--out", str(out)]
    if batch.data is not None:
        words += ["--data", f"{batch.loaded.name}={batch.data}"]
    if len(batch.answers) < len(batch.loaded.problems):
        words += ["--problems", ",".join(batch.answers)]
    assert command([*words, "--quiet", *more]) == 0
    return out


def _words(batch: Batch, folder: Path) -> list[str]:
    (folder / "answers.json").write_text(json.dumps(batch.answers))
    return ["python", "grade.py", batch.loaded.name, "answers.json", str(batch.data or "")]


def _printed(done: subprocess.CompletedProcess[str]) -> Verdicts:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {key: None if value is None else float(value) for key, value in found.items()}


ROADS: dict[str, Road] = {
    "RewardGrader": by_reward_grader,
    "evaluate": by_evaluate,
    "verifiers": by_verifiers,
    "inspect_ai": by_inspect,
    "lm-eval": by_lm_eval,
    "harbor": by_harbor,
}
NEEDS_DOCKER = {"harbor"}
