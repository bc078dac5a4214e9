"""GRPO and DAPO with tools: real steps whose sampled text a script writes (see `tiny_tools`)."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from launched import in_two_processes
from tiny_tools import answer, call, save_tool_model, scripted, tool_config, train_pairs
from tiny_training import KilledError, weights_hash
from training_pairs import NEW, OLD, pair_set, training_row

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.sandbox import landlock, open_sandbox
from recode_eval.sandbox.base import SandboxBuildError, SandboxCrashError, SandboxUnavailableError
from recode_train.checkpoints import LOG, read_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.sandbox.base import Sandbox
    from recode_train.data import PairSet

pytestmark = pytest.mark.slow
TIMES = {"seconds", "step_time", "cpu_seconds"}
TWO_TESTS = (
    "def test_word():\n    assert shout('a') == 'A'\n\n\n"
    "def test_phrase():\n    assert shout('a b') == 'A B'\n"
)
RUN = call("run", {"code": "print(6 * 7)"})


@pytest.fixture(scope="module")
def tool_model(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tool_model(tmp_path_factory.mktemp("tool-model"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    if reason := landlock.reason_against():
        pytest.skip(f"Landlock does not work here: {reason}")
    with contextlib.ExitStack() as closing:
        try:
            # The environment of the task has libraries that these programs do not use.
            opened = closing.enter_context(
                open_sandbox("landlock", environment="mini", isolation="split", workers=1)
            )
        except SandboxBuildError as error:
            pytest.skip(f"the sandbox's environment cannot be built here: {error}")
        # A run closes what it opened; this one is for all tests.
        yield cast(
            "Sandbox", SimpleNamespace(info=opened.info, submit=opened.submit, close=lambda: None)
        )


@pytest.fixture
def pairs(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PairSet:
    """Three pairs; programs of tools and rewards run in the shared sandbox."""
    monkeypatch.setattr("recode_eval.run.sandboxes.Sandboxes._get", lambda *_: sandbox)
    rows = [training_row(id=name, tests=TWO_TESTS) for name in ("a", "b", "c")]
    return pair_set(tmp_path, *rows)


def test_one_step(
    tool_model: Path, tmp_path: Path, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tools gave is in the conversation and earns no loss; the weights move."""
    shown: list[str] = []

    def script(text: str, results: int, number: float) -> str:
        right = len(shown) % 2 == 0  # the conversation was logged before: 5, 6, 7, 8 answer
        return RUN if results == 0 else answer(NEW if right else OLD)

    scripted(monkeypatch, script, shown)
    result = train_pairs(tool_config(tool_model, tmp_path / "run", num_generations=4), pairs)
    assert len(shown) == 8
    assert all("Output:\n42\n</tool_response>" in text for text in shown[4:])
    assert '"name": "read"' in shown[0]
    line = result.report["last_log"]
    assert line["rewards/tests/mean"] == 0.5
    assert line["tools/call_frequency"] == 1.0
    assert line["grad_norm"] > 0
    assert weights_hash(result.final) != weights_hash(tool_model)
    # Each of four rollouts: the call and the answer, with one end of turn each; bytes are tokens.
    said = [len(answer(code)) + 1 + _tokens(RUN) + 1 for code in (OLD, NEW, OLD, NEW)]
    assert result.budgets["tokens_generated"] == result.budgets["tokens_trained"] == sum(said)
    assert result.budgets["tool_calls"] == 4
    assert result.report["data"]["conversations"]["tools"]["names"] == ["run", "read"]


def _tokens(text: str) -> int:
    for name in ("<tool_call>", "</tool_call>"):
        text = text.replace(name, "t")
    return len(text)


def test_a_real_sampled_step(tool_model: Path, tmp_path: Path, pairs: PairSet) -> None:
    """Nothing scripted: a random model calls nothing, and its bytes are graded as they are."""
    settings = tool_config(
        tool_model, tmp_path / "run", max_completion_length=24, rewards={"es_star": 1, "tests": 1}
    )
    result = train_pairs(settings, pairs)
    assert result.steps == result.report["config"]["max_steps"]
    assert result.budgets["tool_calls"] == 0
    assert result.report["last_log"]["rewards/tests/mean"] == 0.0


def test_settings_of_the_template_reach_every_turn(
    tool_model: Path, tmp_path: Path, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokens are checked prompt by prompt, so one that only TRL knew of ended the run."""
    shown: list[str] = []
    scripted(monkeypatch, lambda _, results, __: RUN if results == 0 else answer(NEW), shown)
    more = {"trainer_args": {"chat_template_kwargs": {"enable_thinking": False}}}
    train_pairs(tool_config(tool_model, tmp_path / "run", **more), pairs)
    assert all(text.endswith("assistant\n<think>\n\n</think>\n\n") for text in shown)
    with pytest.raises(UsageError, match="chat_template_kwargs must be a mapping"):
        train_pairs(
            tool_config(
                tool_model, tmp_path / "bad", trainer_args={"chat_template_kwargs": "thinking"}
            ),
            pairs,
        )
    with pytest.raises(UsageError, match="sets max_tool_calling_iterations itself"):
        train_pairs(
            tool_config(
                tool_model, tmp_path / "bad", trainer_args={"max_tool_calling_iterations": 3}
            ),
            pairs,
        )


def test_turns_hand_in_programs(
    tool_model: Path, tmp_path: Path, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed program, the words of its visible test, a right one: the last one is graded."""
    shown: list[str] = []

    def script(text: str, results: int, number: float) -> str:
        if results == 0:
            return call("submit", {"code": OLD})
        if results == 1 and text.count("<tool_response>") == 1 and len(shown) % 2:
            return call("submit", {"code": NEW})
        return "Done."

    scripted(monkeypatch, script, shown)
    settings = tool_config(
        tool_model, tmp_path / "run", tools=(), turns=3, per_device_train_batch_size=4
    )
    result = train_pairs(settings, pairs)
    told = "\n".join(shown)
    assert "AttributeError" in told
    assert "assert shout('a') == 'A'" in told
    assert "assert shout('a b')" not in told
    assert "Your program is taken as your answer" in told
    assert result.budgets["programs_submitted"] == 6
    assert result.report["last_log"]["rewards/tests/mean"] == 0.5


@pytest.mark.parametrize("algorithm", ["grpo", "dapo"])
def test_exact_resume(
    tool_model: Path,
    tmp_path: Path,
    pairs: PairSet,
    monkeypatch: pytest.MonkeyPatch,
    algorithm: str,
) -> None:
    """Killed after the third of four steps; ends with the same weights, log and counts."""

    def script(shown: str, results: int, number: float) -> str:
        if results == 0:
            return RUN
        return answer(NEW if number < 0.3 else OLD)

    scripted(monkeypatch, script)
    more: dict[str, Any] = {"max_steps": 4, "save_steps": 2, "num_generations": 2, "optim": "sgd"}
    more |= {"steps_per_generation": 2, "per_device_train_batch_size": 2}
    whole = train_pairs(tool_config(tool_model, tmp_path / "whole", algorithm, **more), pairs)
    settings = tool_config(tool_model, tmp_path / "killed", algorithm, **more)

    def on_log(line: Any) -> None:
        if line["step"] == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train_pairs(settings, pairs, on_log=on_log)
    again = train_pairs(settings, pairs)
    assert again.resumed_from == 2
    assert weights_hash(again.final) == weights_hash(whole.final) != weights_hash(tool_model)
    logs = [
        [{k: v for k, v in line.items() if k not in TIMES} for line in read_log(r.output / LOG)]
        for r in (whole, again)
    ]
    assert logs[0] == logs[1]
    for name, value in whole.budgets.items():
        assert name in TIMES or again.budgets[name] == value, name
    assert whole.budgets["tool_calls"] == whole.budgets["completions_generated"]
    if algorithm == "dapo":
        assert whole.budgets["groups_flat"] > 0
    with pytest.raises(UsageError, match="another tool_calls"):
        train_pairs(
            tool_config(tool_model, tmp_path / "killed", algorithm, **more, tool_calls=3), pairs
        )


def test_unscored_rollouts_leave_their_group(
    tool_model: Path,
    tmp_path: Path,
    pairs: PairSet,
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Sandbox,
) -> None:
    """The machine fails a tool of one rollout, whose answer is right: it gets no advantage.

    The others get those of a group without it, and not those of a group with a 0.
    """
    _fail_programs_with(monkeypatch, sandbox, "fail_me", SandboxCrashError("lost"))
    shown: list[str] = []

    def script(text: str, results: int, number: float) -> str:
        place = (len(shown) - 1) % 4
        if results == 0:
            return call("run", {"code": "fail_me()" if place == 0 else "print(1)"})
        return answer(OLD if place == 3 else NEW)

    scripted(monkeypatch, script, shown)
    seen = _advantages(monkeypatch)
    result = train_pairs(tool_config(tool_model, tmp_path / "run"), pairs)
    assert "The machine failed, not you" in shown[4]
    assert result.budgets["rollouts_unscored"] == 1
    assert result.report["last_log"]["tools/unscored"] == 1.0
    assert result.report["last_log"]["rewards/tests/mean"] == pytest.approx(2 / 3)
    [advantages] = seen
    assert advantages[0] == 0.0
    mean, deviation = 2 / 3, (1 / 3) ** 0.5
    assert advantages[1:] == pytest.approx(
        [(1 - mean) / deviation, (1 - mean) / deviation, -mean / deviation], rel=1e-3
    )


def test_two_processes(tool_model: Path, tmp_path: Path) -> None:
    """Each has half of a group, and in one of them the machine fails a tool."""
    if reason := landlock.reason_against():
        pytest.skip(f"Landlock does not work here: {reason}")
    found = in_two_processes("two_processes_with_tools.py", tool_model, tmp_path)
    mean, deviation = 2 / 3, (1 / 3) ** 0.5
    right, wrong = (1 - mean) / deviation, -mean / deviation
    assert found["advantages"][0] == pytest.approx([wrong, right], rel=1e-3)
    assert found["advantages"][1] == pytest.approx([0.0, right], rel=1e-3)
    assert len(set(found["weights"])) == 1
    budgets = found["budgets"]
    assert (budgets["completions_generated"], budgets["rollouts_unscored"]) == (4, 1)
    said = [answer(code) for code in (OLD, NEW, NEW, NEW)]
    calls = [call("run", {"code": code}) for code in ("print(1)",) * 3 + ("fail_me()",)]
    assert budgets["tokens_generated"] == sum(_tokens(text) + 1 for text in said + calls)
    assert found["log"]["rewards/tests/mean"] == pytest.approx(mean)


def _advantages(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """Return a list that gets the advantages of each batch."""
    from recode_train.trainers.recording import Recording

    seen: list[list[float]] = []
    inner = Recording._batch

    def batch(self: Any, inputs: Any) -> Any:
        output = inner(self, inputs)
        seen.append(output["advantages"].tolist())
        return output

    monkeypatch.setattr(Recording, "_batch", batch)
    return seen


def _fail_programs_with(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, word: str, error: Exception
) -> None:
    """Let the sandbox fail the programs that hold a word."""

    def submit(program: Any, limits: Any) -> Any:
        if word not in repr(program):
            return sandbox.submit(program, limits)
        future: Future[Any] = Future()
        future.set_exception(error)
        return future

    failing = SimpleNamespace(info=sandbox.info, submit=submit, close=lambda: None)
    monkeypatch.setattr("recode_eval.run.sandboxes.Sandboxes._get", lambda *_: failing)


def test_a_dead_sandbox_ends_the_run(
    tool_model: Path,
    tmp_path: Path,
    pairs: PairSet,
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Sandbox,
) -> None:
    """TRL tells an exception of a tool to the model and goes on. The same command continues."""

    def script(text: str, results: int, number: float) -> str:
        return RUN if results == 0 else answer(NEW if number < 0.5 else OLD)

    scripted(monkeypatch, script)
    with monkeypatch.context() as dead:
        _fail_programs_with(dead, sandbox, "6 * 7", SandboxUnavailableError("the daemon is gone"))
        with pytest.raises(InfrastructureError, match="the daemon is gone"):
            train_pairs(tool_config(tool_model, tmp_path / "run"), pairs)
    assert train_pairs(tool_config(tool_model, tmp_path / "run"), pairs).report["finished"]


HOSTILE = [
    call("run", {"code": "print('\ud800')"}),
    call("run", "print(1)"),
    call("run", None),
    call("run", ["x"]),
    call("run", {"code": "print('<|im_end|></tool_response>')"}),
    call("\ud800<|im_end|>", {"a": 1}),
    call("reset", {"pair_id": "b"}),
    call("get_reward", {}),
    call("session", {}),
    call("read", {"name": "x" * 1000}),
    call("submit", {"code": "x = 1"}),
    "<tool_call>\n{broken",
    "<tool_call>\n[]\n</tool_call>",
    "<tool_call>\n" + json.dumps({"name": 3, "arguments": {}}) + "\n</tool_call>",
    "<tool_call>\n" + json.dumps({"name": ["run"], "arguments": {}}) + "\n</tool_call>",
    "<tool_call>\n" + json.dumps({"arguments": {}}) + "\n</tool_call>",
    "<tool_call>\n" + "[" * 2000 + "\n</tool_call>",
    "<tool_call>\n" + '{"name": "run", "arguments": {"code": ' + "[" * 2000 + "\n</tool_call>",
    RUN * 70,
    "<think>" + RUN,
]


@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_calls_end_no_training(
    tool_model: Path,
    tmp_path: Path,
    pairs: PairSet,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
) -> None:
    """They are the model's mistake: it is told, or its text is its answer, which fails."""

    def script(text: str, results: int, number: float) -> str:
        return said if text.count("<|im_start|>assistant") == 1 else answer(NEW)

    scripted(monkeypatch, script)
    result = train_pairs(
        tool_config(tool_model, tmp_path / "run", num_generations=2, per_device_train_batch_size=2),
        pairs,
    )
    assert result.steps == result.report["config"]["max_steps"]
    assert result.budgets["rollouts_unscored"] == 0
    assert result.report["last_log"]["rewards/tests/mean"] in {0.0, 1.0}


def test_budgets_end_a_rollout_that_only_calls(
    tool_model: Path, tmp_path: Path, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls are heeded; the message after the last one is the answer, whatever it is."""
    shown: list[str] = []
    scripted(monkeypatch, lambda *_: RUN, shown)
    settings = tool_config(
        tool_model, tmp_path / "run", tool_calls=2, num_generations=2, per_device_train_batch_size=2
    )
    result = train_pairs(settings, pairs)
    assert len(shown) == 2 * 3
    assert "There are no more tools: all 2 calls are made." in shown[-1]
    assert result.budgets["tool_calls"] == 2 * 2


def test_results_count_as_length(
    tool_model: Path, tmp_path: Path, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that does not fit `max_completion_length` is dropped, and the rollout ends."""
    shown: list[str] = []
    scripted(monkeypatch, lambda *_: call("run", {"code": "print('y' * 900)"}), shown)
    settings = tool_config(tool_model, tmp_path / "run", max_completion_length=600)
    result = train_pairs(settings, pairs)
    assert len(shown) == 4
    assert result.report["last_log"]["rewards/tests/mean"] == 0.0


def test_a_program_handed_in_counts_though_its_result_does_not_fit(
    tool_model: Path, tmp_path: Path, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room ends within the words of its visible test; the call was made."""
    shown: list[str] = []
    scripted(monkeypatch, lambda *_: call("submit", {"code": NEW + "raise ValueError"}), shown)
    more = {"tools": (), "turns": 2, "rewards": {"es": 1.0}}
    # Each byte is a token: the call fits, and what it is told does not.
    settings = tool_config(tool_model, tmp_path / "run", max_completion_length=200, **more)
    result = train_pairs(settings, pairs)
    assert len(shown) == 4
    assert result.budgets["programs_submitted"] == 4
    assert result.report["last_log"]["rewards/es/mean"] > 0.5


def test_a_plain_trainer_of_trl(
    tool_model: Path, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of docs/integrations.md: reward of the last message, and that of `get_reward`."""
    import trl
    from datasets import Dataset
    from tiny_tools import make_tool_tokenizer

    import recode_eval

    monkeypatch.setattr("recode_eval.run.sandboxes.Sandboxes._get", lambda *_: sandbox)
    task = recode_eval.load_task("arena-mini")
    by_id = {problem.id: problem for problem in task.problems}
    for turns in (1, 2):
        environments = recode_eval.trl_environment(task, turns=turns)
        rows = recode_eval.rewards.trl_rows(task)[:1]
        reference = by_id[rows[0]["problem_id"]].solutions["reference"]

        def script(
            text: str, results: int, number: float, code: str = reference, turns: int = turns
        ) -> str:
            if results == 0:
                return RUN
            if turns == 1:
                return answer(code)
            return call("submit", {"code": code}) if results == 1 else "Done."

        with monkeypatch.context() as patch:
            scripted(patch, script)
            trainer = trl.GRPOTrainer(
                model=str(tool_model),
                processing_class=make_tool_tokenizer(),
                reward_funcs=environments.reward_funcs,
                environment_factory=environments,
                train_dataset=Dataset.from_list(rows * 4),
                args=trl.GRPOConfig(
                    output_dir=str(tmp_path / f"out{turns}"),
                    max_tool_calling_iterations=environments.max_tool_calling_iterations,
                    max_completion_length=4000,
                    per_device_train_batch_size=2,
                    num_generations=2,
                    max_steps=1,
                    use_cpu=True,
                    bf16=False,
                    report_to="none",
                    save_strategy="no",
                ),
            )
            trainer.train()
        line = next(line for line in trainer.state.log_history if "reward" in line)
        assert line["reward"] == 1.0
        name = "reward" if turns == 1 else "RecodeEnvironment"
        assert line[f"rewards/{name}/mean"] == 1.0
        assert line["tools/call_frequency"] == float(turns)
