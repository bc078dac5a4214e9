"""The public interface: what `import recode_eval` offers, and how it behaves for a caller."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from fake_sandbox import FakeSandbox

import recode_eval
from recode_eval import (
    Candidate,
    Evaluation,
    ProgressEvent,
    RescoreConfig,
    RewardGrader,
    RunConfig,
    SandboxOptions,
    UsageError,
    compare,
    evaluate,
    gate,
    load_task,
    rescore,
    reward,
)
from recode_eval.run.config import from_mapping, to_mapping
from recode_eval.run.progress import resolve_monitor

LANDLOCK = SandboxOptions(tier="landlock")


def small(out: Path, model: str = "baseline:reference", **more: object) -> RunConfig:
    return RunConfig(
        model=model, tasks=["arena-mini"], limit=4, k=[1], sandbox=LANDLOCK, out=out, **more
    )


def test_no_module_hides_a_public_function() -> None:
    """`recode_eval.compare` was a package once: importing it would have replaced the function."""
    for module in pkgutil.walk_packages(recode_eval.__path__, "recode_eval."):
        if not module.name.startswith(("recode_eval._resources", "recode_eval.__main__")):
            importlib.import_module(module.name)
    for name in recode_eval.__all__:
        assert not isinstance(getattr(recode_eval, name), types.ModuleType), name


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
        ({"update_note": "no"}, "update_note must be true or false"),
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
    ],
)
def test_a_call_of_the_wrong_type_is_the_callers_mistake(
    call: object, part: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=part):
        call(tmp_path)  # type: ignore[operator]


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
