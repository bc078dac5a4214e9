"""The gate that samples the candidate itself: stops early, continues, refuses what must not differ.

Models are files of saved completions; the sandbox knows which answers are right.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from arena_rows import REFERENCE, STALE, arena_row, write_rows
from command_line import own_task
from stored_runs import KnownSandbox

from recode_eval import cli
from recode_eval.errors import ExitCode
from recode_eval.models.replay import ReplayModel
from recode_eval.sandbox.base import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).parents[2] / "recode_eval" / "schemas" / "verdict.schema.json"
PROBLEMS, N = 40, 10
WIDE = "version: 1\nmargins: {default: {pass@1: 12}}\n"

MODELS: dict[str, Callable[[int], int]] = {
    "base": lambda p: 5 + p % 3,
    "better": lambda p: 8 + p % 2,
    "worse": lambda p: 1 + p % 2,
    "noisy": lambda p: 9 if p % 4 < 2 else 3,
}
"""How many of the ten samples of a problem are right; which ones is drawn per problem."""


def saved_model(folder: Path, name: str, *, problems: int = PROBLEMS, n: int = N) -> str:
    """Write the completions of a model and return its name for the command line."""
    lines = []
    for index in range(problems):
        order = random.Random(f"{name} {index}").sample(range(N), N)
        for sample in range(n):
            code = REFERENCE if order[sample] < MODELS[name](index) else STALE
            row = {"problem_id": arena_row(index, index // 2)["prog_syn_id"], "sample": sample}
            lines.append({**row, "completion": f"```python\n{code}```"})
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"replay:{file}"


class World:
    """A folder with rows, saved models and runs, and the command line."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.models = {name: saved_model(folder, name) for name in MODELS}
        self.rows = write_rows(folder / "rows.jsonl", PROBLEMS)
        self.task = ["--data", f"arena={self.rows}", "--sandbox", "landlock", "--quiet"]

    def call(self, *words: object) -> int:
        code = cli.run([str(word) for word in words])
        captured = self.capsys.readouterr()
        self.out, self.error = captured.out, captured.err
        return code

    def run(self, name: str, *more: object) -> Path:
        """Evaluate and return the run's folder."""
        out = self.folder / "baselines" / str(len(list(self.folder.glob("baselines/*"))))
        words = ["--model", self.models[name], "--tasks", "arena", *self.task]
        assert self.call(*words, "--out", out, *more) == 0, self.error
        (results,) = out.glob("*/*/results.json")
        return results.parent

    def gate(self, *words: object) -> tuple[int, dict[str, Any]]:
        """Gate with --model and return the exit code and the verdict."""
        report = self.folder / "report"
        code = self.call(
            "gate", *words, *self.task, "--runs", self.folder / "runs", "--out", report, "--json"
        )
        if not self.out:
            return code, {}
        verdict = json.loads(self.out)
        jsonschema.validate(verdict, json.loads(SCHEMA.read_text()))
        assert json.loads((report / "verdict.json").read_text()) == verdict
        assert verdict["exit_code"] == code
        return code, verdict

    def drawn(self) -> list[int]:
        """Return the completions that each run of a candidate has; no sample twice."""
        counts = []
        for file in sorted(self.folder.glob("runs/*/*/completions.jsonl")):
            records = [json.loads(line) for line in file.read_text().splitlines()]
            assert len({(r["problem_id"], r["sample"]) for r in records}) == len(records)
            counts.append(len(records))
        return counts

    def policy(self, text: str) -> Path:
        file = self.folder / "policy.yaml"
        file.write_text(text)
        return file


@pytest.fixture
def world(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> World:
    sandbox = KnownSandbox("landlock")
    monkeypatch.setattr("recode_eval.sandbox.open_router", lambda *_, **__: sandbox)
    return World(tmp_path, capsys)


# --- stopping early


def test_a_clear_improvement_needs_few_samples(world: World) -> None:
    base = world.run("base")
    code, verdict = world.gate("--baseline", base, "--model", world.models["better"])
    assert (code, verdict["verdict"]) == (0, "pass")
    assert world.drawn() == [2 * PROBLEMS]
    assert verdict["sampling"] == {
        "samples": 2 * PROBLEMS, "planned": N * PROBLEMS, "saved": 8 * PROBLEMS,
        "tasks": [{"task": "arena", "looks": [2, 4, 6, 8, 10], "n": 2,
                   "samples": 2 * PROBLEMS, "planned": N * PROBLEMS}],
    }  # fmt: skip
    (check,) = verdict["checks"]
    assert check["confidence"] > 0.99
    assert check["p_drop_looks"] >= check["p_drop"]
    (task,) = verdict["tasks"]
    assert (task["baseline"]["n"], task["candidate"]["n"]) == (N, 2)
    assert "the candidate has 2 samples per problem and the baseline 10" in task["remarks"][0]
    assert (
        "2 of 10 samples per problem (80 % not needed"
        in (world.folder / "report" / "summary.md").read_text()
    )


def test_a_clear_regression_needs_few_samples(world: World) -> None:
    base = world.run("base")
    code, verdict = world.gate("--baseline", base, "--model", world.models["worse"])
    assert (code, verdict["verdict"]) == (1, "regress")
    assert world.drawn() == [2 * PROBLEMS]
    assert verdict["checks"][0]["p_drop_holm"] <= 0.05


def test_what_stays_uncertain_is_sampled_to_the_end(world: World) -> None:
    base = world.run("base")
    code, verdict = world.gate("--baseline", base, "--model", world.models["noisy"])
    assert (code, verdict["verdict"]) == (3, "inconclusive")
    assert world.drawn() == [N * PROBLEMS]
    assert verdict["sampling"]["saved"] == 0
    assert 0.9 < verdict["checks"][0]["confidence"] < 0.93


@pytest.mark.parametrize("how", ["policy", "option"])
def test_all_samples_can_be_asked_for(world: World, how: str) -> None:
    """One look at everything has the fixed rule's interval."""
    base = world.run("base")
    words: list[object] = ["--baseline", base, "--model", world.models["better"]]
    file = world.policy("version: 1\nsequential: false\nmargins: {default: {pass@1: 3}}\n")
    words += ["--policy", file] if how == "policy" else ["--full"]
    code, verdict = world.gate(*words)
    assert code == 0
    assert world.drawn() == [N * PROBLEMS]
    assert verdict["checks"][0]["confidence"] == pytest.approx(0.9)
    assert verdict["sampling"]["tasks"][0]["looks"] == [N]
    (candidate,) = world.folder.glob("runs/*/*/results.json")
    words = ["gate", "--baseline", base, "--candidate", candidate, "--json"]
    assert world.call(*words, "--out", world.folder / "stored") == 0
    (stored,) = json.loads(world.out)["checks"]
    assert stored == verdict["checks"][0] | {"p_drop_looks": None}


def test_the_policy_names_the_looks(world: World) -> None:
    base = world.run("base")
    file = world.policy(f"{WIDE}looks: [1, 5, 7, 30]\n")
    _, verdict = world.gate("--baseline", base, "--model", world.models["better"], "--policy", file)
    assert verdict["sampling"]["tasks"][0]["looks"] == [5, 7, 10]
    assert world.drawn() == [5 * PROBLEMS]
    for looks in ("[2, 2]", "[4, 2]", "[0, 2]", "3", "[a]", "[]"):
        file = world.policy(f"{WIDE}looks: {looks}\n")
        code, _ = world.gate("--baseline", base, "--model", "replay:gone", "--policy", file)
        assert (code, "`looks`" in world.error) == (ExitCode.USAGE, True)


def test_a_metric_of_k_samples_is_looked_at_when_there_are_k(world: World) -> None:
    """With two samples there is no pass@5: that must not make the comparison invalid."""
    base = world.run("base")
    file = world.policy("version: 1\nmargins: {default: {pass@1: 3, pass@5: 90}}\n")
    code, verdict = world.gate(
        "--baseline", base, "--model", world.models["better"], "--policy", file
    )
    assert (code, verdict["invalid"]) == (0, [])
    assert verdict["sampling"]["tasks"][0]["looks"] == [5, 6, 8, 10]
    assert world.drawn() == [5 * PROBLEMS]


def test_a_task_that_has_passed_is_not_sampled_further(world: World) -> None:
    """Two tasks: the one that is clear stops, the other goes on."""
    own_task(
        world.folder, "mine", [arena_row(i, i // 2) for i in range(PROBLEMS)], environment="default"
    )
    base = world.run("base")
    own = world.folder / "both"
    more = ["--include-path", world.folder]
    words = ["--tasks", "mine", *world.task[2:], *more, "--out", own, "--n", N]
    assert world.call("--model", world.models["base"], *words) == 0, world.error
    both = [base, *(path.parent for path in own.glob("*/*/results.json"))]
    text = "version: 1\nmargins: {arena: {pass@1: 60}, mine: {pass@1: 3}}\n"
    code, verdict = world.gate(
        "--baseline", *both, "--model", world.models["noisy"], *more, "--policy", world.policy(text)
    )
    assert code == 3
    by_task = {item["task"]: item["n"] for item in verdict["sampling"]["tasks"]}
    assert by_task == {"arena": 2, "mine": 10}
    assert sorted(world.drawn()) == [2 * PROBLEMS, N * PROBLEMS]
    assert {c["task"]: c["verdict"] for c in verdict["checks"]} == {
        "arena": "pass", "mine": "inconclusive",
    }  # fmt: skip


# --- the same command continues


@pytest.mark.parametrize("after", [30, 100, 330])
def test_a_killed_gate_goes_on(world: World, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    base = world.run("base")
    words = ["--baseline", base, "--model", world.models["noisy"]]
    generate = ReplayModel.generate
    left = [after]

    def interrupted(self: ReplayModel, *arguments: Any) -> Iterator[Any]:
        for completion in generate(self, *arguments):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            yield completion

    monkeypatch.setattr(ReplayModel, "generate", interrupted)
    assert world.gate(*words)[0] == ExitCode.INTERRUPTED
    assert "the same command continues" in world.error
    assert world.drawn() == [after]
    monkeypatch.setattr(ReplayModel, "generate", generate)
    code, verdict = world.gate(*words)
    assert (code, world.drawn()) == (3, [N * PROBLEMS])
    again, same = world.gate(*words)
    assert (again, same["checks"]) == (3, verdict["checks"])
    assert world.drawn() == [N * PROBLEMS]


# --- what must not differ


@pytest.mark.parametrize(
    "option",
    [("--temperature", "0.2"), ("--n", "5"), ("--seed", "3"), ("--no-update-note",),
     ("--limit", "3"), ("--timeout", "9"), ("--isolation", "test"), ("--max-tokens", "5")],
)  # fmt: skip
def test_what_the_baseline_decides_is_refused(world: World, option: tuple[str, ...]) -> None:
    code, _ = world.gate("--baseline", "runs", "--model", "m", *option)
    assert code == ExitCode.USAGE
    assert f"{option[0]}: the baseline sets this" in world.error


def test_the_settings_are_the_baselines(world: World) -> None:
    base = world.run("base", "--temperature", 0.3, "--seed", 7, "--limit", 30, "--n", 6,
                     "--no-update-note", "--timeout", 9, "--k", "1,3")  # fmt: skip
    code, verdict = world.gate("--baseline", base, "--model", world.models["noisy"])
    assert (code, verdict["invalid"]) == (3, [])
    first, second = (
        json.loads(file.read_text())
        for file in (base / "results.json", *world.folder.glob("runs/*/*/results.json"))
    )
    for key in ("sampling", "prompt", "scoring", "selection", "task"):
        assert first[key] == second[key], key
    assert list(first["metrics"]) == list(second["metrics"])


def test_other_rows_are_invalid_before_anything_is_drawn(world: World) -> None:
    base = world.run("base")
    world.rows.write_text(world.rows.read_text().replace("Somebody", "Someone"))
    code, verdict = world.gate("--baseline", base, "--model", world.models["better"])
    assert (code, verdict["verdict"]) == (4, "invalid")
    assert any("the data's hash differs" in reason for reason in verdict["invalid"])
    assert verdict["sampling"] is None
    assert world.drawn() == []


def test_a_single_sample_is_refused_before_anything_is_drawn(world: World) -> None:
    base = world.run("base", "--n", 1)
    code, verdict = world.gate("--baseline", base, "--model", world.models["better"])
    assert (code, world.drawn()) == (4, [])
    assert "n = 1 is too few samples" in verdict["invalid"][0]


def test_missing_tasks_and_metrics_are_invalid(world: World) -> None:
    base = world.run("base")
    words = ["--baseline", base, "--model", world.models["better"]]
    code, verdict = world.gate(*words, "--tasks", "humaneval")
    assert (code, verdict["invalid"]) == (4, ["humaneval: the baseline has no run of it"])
    file = world.policy("version: 1\nmargins: {other: {pass@1: 3}}\n")
    code, verdict = world.gate(*words, "--policy", file)
    assert (code, "has no metric" in verdict["invalid"][0]) == (4, True)
    file = world.policy("version: 1\ntasks: [arena]\nmargins: {default: {pass@1: 3}}\n")
    code, _ = world.gate(*words, "--policy", file, "--tasks", "humaneval")
    assert (code, "the policy's tasks are arena" in world.error) == (ExitCode.USAGE, True)


def test_unscored_samples_are_invalid(world: World) -> None:
    """A candidate that gives no answers is no regression: the comparison is invalid."""
    base = world.run("base")
    few = saved_model(world.folder, "worse", n=1)
    code, verdict = world.gate("--baseline", base, "--model", few)
    assert code == 4
    assert "samples of the candidate are unscored" in verdict["invalid"][0]


def test_what_the_sandbox_lost_is_graded_again_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of 80 samples are more than one percent; the machine's trouble is no verdict."""
    base = world.run("base")
    calls: list[object] = []

    class Shaky(KnownSandbox):
        def submit(self, program: Any, limits: Any) -> Any:
            calls.append(program)
            # The references come first, for the limits.
            if len(calls) in {PROBLEMS + 1, PROBLEMS + 2, PROBLEMS + 3}:
                raise SandboxError("gone")
            return super().submit(program, limits)

    monkeypatch.setattr("recode_eval.sandbox.open_router", lambda *_, **__: Shaky("landlock"))
    code, verdict = world.gate("--baseline", base, "--model", world.models["better"])
    assert (code, verdict["invalid"]) == (0, [])
    assert verdict["tasks"][0]["candidate"]["unscored_share"] == 0
    assert world.drawn() == [2 * PROBLEMS]


def test_a_template_of_ones_own_must_be_given_again(world: World) -> None:
    mine, other = world.folder / "mine.jinja2", world.folder / "other.jinja2"
    mine.write_text("{{ problem }} {{ docstring }}")
    other.write_text("{{ problem }}, now: {{ docstring }}")
    words = ["--baseline", world.run("base", "--prompt", mine), "--model", world.models["better"]]
    code, _ = world.gate(*words)
    assert code == ExitCode.USAGE
    assert "mine.jinja2 is not a variant of arena" in world.error
    code, verdict = world.gate(*words, "--prompt", other)
    assert (code, "the prompt's hash differs" in verdict["invalid"][0]) == (4, True)
    assert world.gate(*words, "--prompt", mine)[0] == 0


def test_wrong_usage(world: World) -> None:
    for words, part in [
        (["--model", "m"], "--model needs --baseline"),
        (["--model", "m", "--baseline", "a", "--candidate", "b"], "excludes --candidate"),
        (["--model", "m", "--self-check", "a"], "--model needs"),
        (["--model", "m", "--baseline", "a", "--rerun-candidate", "b"], "leave it out"),
        (["--model", "m", "--baseline", "a", "--rerun-baseline", "b", "--baseline-model", "c"],
         "A rerun has one baseline"),
    ]:  # fmt: skip
        assert world.gate(*words)[0] == ExitCode.USAGE
        assert part in world.error


# --- the one rerun

RERUN = "version: 1\nrerun: true\nmargins: {default: {pass@1: 3}}\n"


def test_an_inconclusive_verdict_triggers_the_declared_rerun(world: World) -> None:
    base = world.run("base")
    policy = world.policy(RERUN)
    words = ["--baseline", base, "--model", world.models["noisy"], "--policy", policy]
    code, first = world.gate(*words)
    assert (code, first["look"], first["rerun_left"]) == (3, 1, True)
    code, second = world.gate(*words, "--baseline-model", world.models["base"])
    assert (second["look"], second["rerun_left"]) == (2, False)
    (task,) = second["tasks"]
    assert (task["baseline"]["n"], task["candidate"]["n"]) == (2 * N, 2 * N)
    assert second["checks"][0]["confidence"] == pytest.approx(0.95)
    assert sorted(world.drawn()) == [N * PROBLEMS] * 3
    seeds = {
        json.loads(file.read_text())["sampling"]["seed"]
        for file in world.folder.glob("runs/*/*/results.json")
    }
    assert seeds == {0, 1}


def test_a_stored_rerun_of_the_baseline_will_do(world: World) -> None:
    base, again = world.run("base"), world.run("base", "--seed", 5)
    words = ["--baseline", base, "--model", world.models["noisy"], "--rerun-baseline", again]
    _, verdict = world.gate(*words, "--policy", world.policy(RERUN))
    assert verdict["look"] == 2
    assert world.drawn() == [N * PROBLEMS] * 2


def test_a_rerun_needs_the_baselines_own_model(world: World) -> None:
    base = world.run("base")
    words = ["--baseline", base, "--model", world.models["noisy"]]
    words += ["--policy", world.policy(RERUN), "--baseline-model", world.models["worse"]]
    code, _ = world.gate(*words)
    assert code == ExitCode.USAGE
    assert "is not the model of" in world.error


def test_a_verdict_needs_no_rerun(world: World) -> None:
    base = world.run("base")
    code, verdict = world.gate("--baseline", base, "--model", world.models["worse"], "--policy",
                               world.policy(RERUN), "--baseline-model", "replay:gone")  # fmt: skip
    assert (code, verdict["look"]) == (1, 1)
