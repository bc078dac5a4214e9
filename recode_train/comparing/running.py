"""A comparison from its settings to its results; the same call continues it after a kill.

The folder: `plan.json` (what was asked), `arms/ARM-seedN` (trainings), `runs/greedy/NAME` and
`runs/sampled/NAME` (evaluations, ordinary runs of recode-eval), `models.yaml` (for the
leaderboard), `comparison.json` and `comparison.md`.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.run.results_file import ResultsFile, read_run
from recode_eval.run.store import RESULTS
from recode_train.comparing.settings import (
    BASE,
    Comparing,
    arm_configs,
    changed,
    identity,
    revision,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PLAN: Final = "plan.json"
_INTERRUPTED: Final = 130
_METHODS: Final = {BASE: "untrained", "sft": "SFT", "grpo": "GRPO", "dapo": "DAPO"}

Runs = dict[str, dict[str, list[Path]]]
"""How it was sampled -> arm -> folder of the evaluations of each seed."""


def compare(plan: Comparing, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Train and evaluate what is not there yet, and return the content of `comparison.json`.

    Raises:
        UsageError: settings do not fit together, or differ from those that the folder began with
            (the message names them).
        DataError: training pairs or a task's data are malformed.
        InfrastructureError: training or evaluation could not be done.
    """
    from recode_eval.run.store import write_json, write_text
    from recode_train.comparing.report import make, markdown
    from recode_train.planning import make_plan
    from recode_train.trainers import train

    first = [make_plan(config) for config in arm_configs(plan, plan.seeds[0]).values()]
    _begin(plan, first[0].pairs.content_hash)
    runs: Runs = {how: {} for how in _sampling(plan)}
    budgets: dict[str, list[Mapping[str, Any]]] = {}
    _evaluate(plan, BASE, BASE, Path(plan.model), runs, say)
    for seed in plan.seeds:
        for arm, config in arm_configs(plan, seed).items():
            say(f"training: {arm}, seed {seed}, {config.max_steps} steps")
            result = train(config)
            budgets.setdefault(arm, []).append({"steps": result.steps, **result.budgets})
            _evaluate(plan, arm, f"{arm}-seed{seed}", result.final, runs, say)
    _write_models(plan, runs)
    evaluated = {
        how: {arm: [run for folder in folders for run in stored_runs(folder)]
              for arm, folders in arms.items()}
        for how, arms in runs.items()
    }  # fmt: skip
    content = make(plan, evaluated, budgets)
    write_json(plan.out / "comparison.json", content)
    write_text(plan.out / "comparison.md", markdown(content))
    return content


def _begin(plan: Comparing, data_hash: str) -> None:
    """Note what is asked; refuse to mix it with something else."""
    from recode_eval.run.store import read_json, write_json

    asked = json.loads(json.dumps(identity(plan, data_hash)))
    file = plan.out / PLAN
    if file.exists():
        if names := changed(read_json(file), asked):
            raise UsageError(
                f"{plan.out} holds a comparison with other settings: {', '.join(names)} differ. "
                "Give the same command, or another --out."
            )
        return
    plan.out.mkdir(parents=True, exist_ok=True)
    write_json(file, asked)


def _sampling(plan: Comparing) -> dict[str, list[str]]:
    """Return the arguments of each way to sample."""
    evaluated = plan.evaluated
    ways = {"greedy": ["--n", "1", "--temperature", "0", "--k", "1"]}
    if n := evaluated.samples:
        ks = ",".join(str(k) for k in sorted({1, min(5, n), n}))
        ways["sampled"] = [
            "--n", str(n), "--temperature", str(evaluated.temperature),
            "--top-p", str(evaluated.top_p), "--k", ks,
        ]  # fmt: skip
    return ways


def _evaluate(
    plan: Comparing, arm: str, name: str, model: Path, runs: Runs, say: Callable[[str], None]
) -> None:
    for how, words in _sampling(plan).items():
        folder = plan.out / "runs" / how / name
        runs[how].setdefault(arm, []).append(folder)
        for task in plan.evaluated.tasks:
            say(f"evaluating: {name}, {how}, {task.partition('=')[0]}")
            _evaluate_on(plan, task, model, folder, words)


def _evaluate_on(plan: Comparing, task: str, model: Path, out: Path, sampling: list[str]) -> None:
    """Evaluate on one task with recode-eval, unless that was done."""
    from recode_eval import cli

    name, separator, _ = task.partition("=")
    if _is_done(out, name):
        return
    evaluated = plan.evaluated
    words = ["run", "--model", str(model), "--tasks", name, *sampling, "--quiet"]
    words += ["--sandbox", evaluated.sandbox, "--out", str(out)]
    words += ["--data", task] if separator else []
    if str(model) == plan.model and (wanted := revision(plan)) is not None:
        words += ["--revision", wanted]
    for path in evaluated.include_paths:
        words += ["--include-path", path]
    if evaluated.max_tokens is not None:
        words += ["--max-tokens", str(evaluated.max_tokens)]
    if evaluated.limit is not None:
        words += ["--limit", str(evaluated.limit)]
    with contextlib.redirect_stdout(io.StringIO()):
        code = cli.run(words)
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    if code != 0:
        raise InfrastructureError(
            f"The evaluation of {model} on {name} ended with exit code {code}; its reason is "
            "above. The same command goes on from here."
        )


def stored_runs(folder: Path) -> list[ResultsFile]:
    """Return the runs of one model; raises `DataError` for results that are damaged."""
    return [read_run(file) for file in sorted(folder.glob(f"*/*/{RESULTS}"))]


def _is_done(out: Path, task: str) -> bool:
    """Tell whether the folder has a whole result of the task."""
    return any(
        run.task == task and not run.results["counts"]["unscored"] for run in stored_runs(out)
    )


def _write_models(plan: Comparing, runs: Runs) -> None:
    """Tell the leaderboard the base and the method of every model."""
    import yaml

    names: dict[str, dict[str, str]] = {}
    base = stored_runs(runs["greedy"][BASE][0])[0].model
    for arm, folders in runs["greedy"].items():
        for folder in folders:
            name = stored_runs(folder)[0].model
            entry = {"match": _literal(name), "base": base, "method": _METHODS[arm]}
            if arm != BASE:
                entry["training"] = f"arms/{folder.name}"
            names[name] = entry
    text = yaml.safe_dump({"models": list(names.values())}, sort_keys=False)
    (plan.out / "models.yaml").write_text(text, encoding="utf-8")


def _literal(name: str) -> str:
    """Return a pattern that matches the name alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
