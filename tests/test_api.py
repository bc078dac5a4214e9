"""The public interface: what `import recode_eval` offers, and how it behaves for a caller."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest
from fake_sandbox import FakeSandbox

import recode_eval
from recode_eval import (
    Candidate,
    Evaluation,
    Limits,
    Program,
    ProgressEvent,
    RescoreConfig,
    RewardGrader,
    RunConfig,
    SandboxOptions,
    Test,
    UsageError,
    compare,
    evaluate,
    gate,
    load_task,
    open_sandbox,
    rescore,
    reward,
)
from recode_eval.run.config import from_mapping, to_mapping
from recode_eval.run.progress import resolve_monitor

pytestmark = pytest.mark.usefixtures("closed_rewards")

LANDLOCK = SandboxOptions(tier="landlock")


def small(out: Path, model: str = "baseline:reference", **more: object) -> RunConfig:
    return RunConfig(
        model=model, tasks=["arena-mini"], limit=4, k=[1], sandbox=LANDLOCK, out=out, **more
    )


def test_no_module_hides_a_public_function() -> None:
    """`recode_eval.compare` was a package once: importing it would have replaced the function."""
    for module in pkgutil.walk_packages(recode_eval.__path__, "recode_eval."):
        # Those of integrations and serving need programs of other environments.
        if not module.name.startswith(
            (
                "recode_eval._resources",
                "recode_eval.__main__",
                "recode_eval.integrations.",
                "recode_eval.serving.",
            )
        ):
            importlib.import_module(module.name)
    modules = [
        n for n in recode_eval.__all__ if isinstance(getattr(recode_eval, n), types.ModuleType)
    ]
    assert modules == ["rewards"]  # meant to be one
    assert recode_eval.rewards.__name__ == "recode_eval.integrations.rewards"


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, recode_eval; from recode_eval import RunConfig\n"
        "heavy = {'numpy', 'scipy', 'rapidfuzz', 'torch', 'rich', 'docker'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"temprature": 1}, "Did you mean temperature?"),
        ({"tasks": "arena"}, "tasks must be a list of texts"),
        ({"tasks": None}, "tasks must be a list of texts"),
        ({"tasks": [["a"]]}, "is not one"),
        ({"model": None}, "model must be a name, a path or a model object"),
        ({"k": []}, "k must name at least one number"),
        ({"k": 1}, "k must be a list of whole numbers"),
        ({"seed": "a"}, "seed must be a whole number"),
        ({"stop": [1]}, "stop must be a list of texts"),
        ({"docs": 3}, "docs must be of the type DocsOptions"),
        ({"data": [1]}, "data must map tasks to files"),
        ({"out": None}, "out must be a path"),
        ({"sandbox": 3}, "sandbox must be of the type SandboxOptions"),
        ({"model_options": {"base_ur": "x"}}, "Did you mean base_url"),
        ({"timeout_s": "5"}, "timeout_s must be a number above 0"),
        ({"n": 0}, "n must be a whole number of at least 1"),
        ({"n": 20_000}, "at most 10000"),
        ({"n": True}, "n must be a whole number"),
        ({"temperature": float("nan")}, "temperature must be a number at least 0"),
        ({"top_p": 0}, "top_p must be a number above 0"),
        ({"isolation": "tests"}, "Did you mean test?"),
        ({"memory_mib": 1}, "memory_mib must be a number at least 64"),
        ({"k": [0]}, "k must be a whole number"),
        ({"data": {"other": "x.jsonl"}}, "the task other is not among the tasks"),
        ({"data": {"arena": "~no-such-user/x"}}, "data of arena must be a path"),
        ({"timeout_s": 10**400}, "timeout_s must be a number above 0"),
        ({"memory_mib": 10**400}, "memory_mib must be a number at least 64"),
        ({"k": [10_001]}, "k must be at most 10000"),
        ({"out": "runs\0"}, "no file can be called"),
        ({"out": "x" * 256}, "no file can be called"),
        ({"sandbox": {1: 2}}, "Unknown option of SandboxOptions '1'"),
        ({"sandbox": {"tier": None}}, "tier must be a name"),
        ({"sandbox": {"allow_unsafe": "no"}}, "allow_unsafe must be true or false"),
        ({"model": type("Half", (), {"generate": print})()}, r"needs a function close\(\)"),
        (
            {"model": type("Nobody", (), {"generate": print, "close": print})()},
            "needs an `info` of the type ModelInfo",
        ),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], part: str) -> None:
    with pytest.raises(UsageError, match=part):
        RunConfig(**{"model": "m", "tasks": ["arena"], **options})  # type: ignore[arg-type]


def test_nested_options_are_checked_too() -> None:
    with pytest.raises(UsageError, match="Did you mean workers"):
        SandboxOptions(worker=2)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="need the executor ray"):
        recode_eval.ExecutorOptions(replicas=2)
    with pytest.raises(UsageError, match="Did you mean model"):
        Candidate(mode="x")  # type: ignore[call-arg]


def test_the_option_that_matters_most_may_stand_for_its_group() -> None:
    config = RunConfig(model=Path("m"), tasks=["arena"], sandbox="landlock", executor="ray")  # type: ignore[arg-type]
    assert (config.model, config.sandbox.tier, config.executor.name) == ("m", "landlock", "ray")
    with pytest.raises(UsageError, match="RunConfig needs the option tasks"):
        RunConfig(model="m")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "options",
    [{"timeout_s": -1}, {"timeout_s": "5"}, {"memory_mib": 1}, {"isolation": "xx"}, {"k": [0]}],
)
def test_a_run_is_never_graded_under_limits_that_cannot_be_right(
    options: dict[str, object], tmp_path: Path
) -> None:
    """`rescore` took a limit of -1 s, failed every program, and the run kept the limit."""
    [result] = evaluate(small(tmp_path))
    before = (result.folder / "manifest.json").read_bytes()
    with pytest.raises(UsageError):
        rescore(result.folder, RescoreConfig(**options))  # type: ignore[arg-type]
    assert (result.folder / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda run: evaluate({}), "config must be a RunConfig"),
        (lambda run: evaluate(small(run), progress="bar"), "progress must be a function"),
        (lambda run: rescore([]), "name at least one stored run"),
        (lambda run: rescore(None), "runs must be a list of paths"),
        (lambda run: rescore(run, {"everything": True}), "config must be a RescoreConfig"),
        (lambda run: compare(run, None), "runs must be a list of paths, and None is not one"),
        (lambda run: compare([run, run], metrics="pass@1"), "metrics must be a list of texts"),
        (lambda run: compare(run, run, confidence=95), "confidence must be a number above 0"),
        (lambda run: gate([], run), "baseline: name at least one stored run"),
        (lambda run: gate(run, run, policy={}), "policy must be a path"),
        (lambda run: gate(run, run, rerun_baseline=run), "A rerun needs both"),
        (lambda run: load_task("arena-mini", include_path="tasks"), "include_path must be a list"),
        (lambda run: load_task([]), "must be a text"),
        (lambda run: load_task("arena-mini", "~no-such-user/x"), "must be a path"),
        (lambda run: load_task("arena-mini", skip_bad_rows="no"), "must be true or false"),
        (lambda run: rescore(run, {}), "config must be a RescoreConfig"),
        (lambda run: compare(run, run, confidence=None), "confidence must be a number"),
        (lambda run: compare(run, "x" * 256), "no file can be called"),
        (lambda run: RunConfig("m", ["arena"]), "RunConfig takes its options by name: model="),
        (lambda run: open_sandbox(["landlock"]), "tier must be a name"),
        (lambda run: open_sandbox("landlock", workers="2"), "workers must be a whole number"),
        (lambda run: reward(None, "x", "y"), "the task's name must be a text"),
        (lambda run: RewardGrader(3), "the task's name must be a text"),
        (lambda run: RewardGrader("arena-mini", "docer"), "Did you mean docker"),
        (lambda run: RewardGrader("arena-mini").rewards([("x", 3)]), "must be a text"),
        (lambda run: RewardGrader("arena-mini").rewards(None), "answers must be a list"),
        (lambda run: RewardGrader("arena-mini").rewards([("x",)]), r"must be \(problem id, text"),
        (lambda run: Limits(cpu_s=float("nan")), "cpu_s must be a number"),
        (lambda run: Limits(memory_bytes=1e9), "memory_bytes must be a whole number"),
        (lambda run: Limits(cpu=5), "Did you mean cpu_s"),
        (lambda run: Test("t", None), "code of a test must be a text"),
        (lambda run: Program("", None, ()), "candidate of a program must be a text"),
        (lambda run: Program("", "", ["assert 1"]), "must be a list of Test"),
    ],
)
def test_a_call_of_the_wrong_type_is_the_callers_mistake(
    call: object, part: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=part):
        call(tmp_path)  # type: ignore[operator]


def test_numbers_of_numpy_are_numbers() -> None:
    """`n=np.int64(2)` was refused as 'no whole number'; JSON must get Python's own."""
    import numpy as np

    config = RunConfig(
        model="m", tasks=["arena"], n=np.int64(2), k=np.array([1, 2]), seed=np.int32(3),
        temperature=np.float32(0.5), skip_bad_rows=np.False_, sandbox={"workers": np.int64(1)},
    )  # fmt: skip
    assert (config.n, config.k, config.seed, config.temperature) == (2, (1, 2), 3, 0.5)
    assert config.skip_bad_rows is False
    json.dumps(to_mapping(config))
    assert Limits(cpu_s=np.float32(2)).cpu_s == 2


def test_a_home_is_a_home_wherever_a_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """`out="~/runs"` made a folder named `~`, though `data` and the command line knew better."""
    monkeypatch.setenv("HOME", "/home/me")
    config = RunConfig(model="m", tasks=["arena"], out="~/runs", include_path=["~/tasks"])
    assert config.folder == Path("/home/me/runs")
    assert list(config.include_path) == [Path("/home/me/tasks")]


def test_a_coroutine_is_no_callback() -> None:
    """It was called for every event and never awaited: progress was lost with a warning each."""

    async def tell(event: ProgressEvent) -> None:
        del event

    with pytest.raises(UsageError, match="progress must be a function"):
        resolve_monitor(tell)


def test_an_empty_list_of_reruns_is_none_whatever_holds_it(tmp_path: Path) -> None:
    """An empty array of numpy was asked for its truth, and a generator is always true."""
    import numpy as np

    runs = [evaluate(small(tmp_path, f"baseline:{k}"))["arena-mini"].folder
            for k in ("reference", "stale")]  # fmt: skip
    decision = gate(*runs, rerun_baseline=np.array([]), rerun_candidate=(x for x in ()))  # type: ignore[arg-type]
    assert decision.invalid


def test_a_metric_is_compared_once_and_a_wrong_name_is_not_passed_over(tmp_path: Path) -> None:
    """Next to a right name a wrong one was dropped; a name given twice counted twice in Holm's."""
    runs = [evaluate(small(tmp_path, f"baseline:{k}"))["arena-mini"].folder
            for k in ("reference", "stale")]  # fmt: skip
    with pytest.raises(UsageError, match=r"'pas@1'\. Did you mean pass@1"):
        compare(*runs, metrics=["pass@1", "pas@1"])
    [found] = compare(*runs, metrics=["pass@1", "pass@1"])
    assert [item.metric for item in found.differences] == ["pass@1"]
    with pytest.raises(UsageError, match="Unknown metric"):
        evaluate(small(tmp_path))["arena-mini"].value([])  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_forked_process_opens_a_sandbox_of_its_own() -> None:
    """After a fork `reward` waited for ever: the sandbox's threads stay in the parent.

    The child's end must not close what the parent still uses.
    """
    code = """
        import multiprocessing, os, sys
        from recode_eval import RewardGrader, SandboxOptions, load_task, reward
        problem = load_task("arena-mini").problems[0]
        text = f"```python\\n{problem.solutions['reference']}\\n```"
        grader = RewardGrader("arena-mini", SandboxOptions(tier="landlock", workers=1))
        found = [reward("arena-mini", problem.id, text), grader(problem.id, text)]
        child = os.fork()
        if not child:
            both = reward("arena-mini", problem.id, text), grader(problem.id, text)
            sys.exit(0 if both == (1.0, 1.0) else 3)  # runs what the parent registered
        assert os.waitpid(child, 0)[1] == 0
        found += [reward("arena-mini", problem.id, text), grader(problem.id, text)]
        grader.close()
        assert found == [1.0] * 4, found
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_a_sandbox_says_that_it_belongs_to_another_process() -> None:
    """A program submitted after a fork was never run, and its future never ended."""
    with open_sandbox("landlock", workers=1) as sandbox:
        child = os.fork()
        if not child:
            said = ""
            try:
                program = Program("", "x = 1", (Test("t", "assert x"),))
                said = str(sandbox.submit(program, Limits()).exception(timeout=10))
            finally:
                os._exit("open one after the fork" not in said)
        assert os.waitpid(child, 0)[1] == 0


def test_a_configuration_survives_json() -> None:
    config = RunConfig(
        model="m", tasks=["arena"], include_path=["a"], stop=["x"], data={"arena": "r.jsonl"}
    )
    assert from_mapping(RunConfig, to_mapping(config)) == config
    from recode_eval.models.baselines import BaselineModel

    with pytest.raises(UsageError, match="cannot be written down"):
        to_mapping(RunConfig(model=BaselineModel("empty", {}), tasks=["arena"]))


def test_nothing_is_printed_and_progress_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[ProgressEvent] = []
    found = evaluate(small(tmp_path), progress=events.append)
    assert capfd.readouterr() == ("", "")
    assert isinstance(found, Evaluation)
    kinds = [event.kind for event in events if event.kind != "log"]
    assert (kinds[0], kinds[-1]) == ("begin", "end")
    assert (kinds.count("generated"), kinds.count("graded")) == (4, 4)
    assert (events[-1].samples, events[-1].generated, events[-1].graded) == (4, 4, 4)
    assert "pass@1" in found.table()
    with pytest.raises(UsageError, match=r"Did you mean pass@1\?"):
        found["arena-mini"].value("pas@1")
    with pytest.raises(UsageError, match="Did you mean arena-mini"):
        found["arena-mni"]


def test_a_notebook_shows_one_bar_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a kernel of Jupyter `progress=True` draws HTML; what a run says is escaped."""
    shown: list[str] = []

    class Handle:
        def update(self, progress: object) -> None:
            shown.append(progress._repr_html_())  # type: ignore[attr-defined]

    class ZMQInteractiveShell:
        pass

    module = types.ModuleType("IPython")
    module.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    display = types.ModuleType("IPython.display")
    display.display = lambda *_, **__: Handle()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monitor = resolve_monitor(True)
    monitor.begin(samples=4, generated=1, graded=0)
    monitor.log("<script>alert(1)</script>")
    monitor.end()
    assert "1 of 4" in shown[0]
    assert "&lt;script&gt;" in shown[-1]
    assert "<script>" not in "".join(shown)


def test_an_interruption_leaves_a_run_that_the_same_call_continues(tmp_path: Path) -> None:
    def interrupt(event: ProgressEvent) -> None:
        if event.graded == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(small(tmp_path), progress=interrupt)
    begun: list[ProgressEvent] = []
    [result] = evaluate(small(tmp_path), progress=begun.append)
    assert result.value("pass@1") == 1
    assert next(event.generated for event in begun if event.kind == "begin") > 0


def test_a_model_object_is_evaluated_and_left_open(tmp_path: Path) -> None:
    from recode_eval.models.baselines import BaselineModel

    class Watched(BaselineModel):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    answers = {p.id: p.solutions for p in load_task("arena-mini").problems}
    model = Watched("reference", answers)
    [result] = evaluate(small(tmp_path, model))  # type: ignore[arg-type]
    assert (result.value("pass@1"), model.closed) == (1, 0)


def test_rewards_are_1_0_or_unscored() -> None:
    task = load_task("arena-mini")
    problem = task.problems[0]
    right = f"```python\n{problem.solutions['reference']}\n```"
    stale = f"```python\n{problem.solutions['stale']}\n```"
    with RewardGrader("arena-mini", LANDLOCK) as grader:
        asked = [
            (problem.id, right),
            (problem.id, stale),
            (problem.id, "no code"),
            (problem.id, ""),
        ]
        assert grader.rewards(asked) == [1.0, 0.0, 0.0, 0.0]
        assert grader.rewards([]) == []
        with pytest.raises(UsageError, match="Unknown problem of arena-mini"):
            grader("gone", "x")
    with pytest.raises(UsageError, match="Did you mean arena-mini"):
        reward("arena-mni", problem.id, right)


def test_what_the_sandbox_cannot_run_has_no_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward of 0 for the machine's trouble would teach a model to avoid what is right."""
    from concurrent.futures import Future

    from recode_eval.sandbox.base import Execution, SandboxCrashError

    class Crashing(FakeSandbox):
        def submit(self, program: object, limits: object) -> Future[Execution]:
            future: Future[Execution] = Future()
            future.set_exception(SandboxCrashError("the worker died twice"))
            return future

    monkeypatch.setattr("recode_eval.run.sandboxes.Sandboxes._get", lambda *_: Crashing())
    problem = load_task("arena-mini").problems[0]
    with RewardGrader("arena-mini") as grader:
        assert grader(problem.id, f"```python\n{problem.solutions['reference']}\n```") is None


def test_argparse_stays_in_the_commands() -> None:
    root = Path(recode_eval.__file__).parents[1]
    found = {
        str(path.relative_to(root))
        for package in ("recode_eval", "recode_train")
        for path in (root / package).rglob("*.py")
        if "argparse" in path.read_text(encoding="utf-8")
    }
    assert all(name.endswith("/cli.py") or "/commands/" in name for name in found), sorted(found)
