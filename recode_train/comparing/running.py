"""Run a comparison from its settings to its results; the same call continues it after a kill.

The folder: `plan.json` (what was asked), `pairs.json` (the pairs, where they are a part),
`tuning` and `learning_rates.json` (rates tried, and the choice), `arms/ARM-seedN` (trainings),
`runs/greedy/NAME` and `runs/sampled/NAME` (evaluations, ordinary runs of recode-eval),
`models.yaml` (for the leaderboard), `comparison.json` and `comparison.md`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_train.comparing.arms import BASE
from recode_train.comparing.configs import PAIRS, Prepared, as_now, changed, identity, prepare
from recode_train.comparing.evaluating import Evaluations, Runs, evaluation_prompts, stored_runs
from recode_train.comparing.training import Trainings
from recode_train.comparing.tuning import check_validation, choose_rates
from recode_train.locks import only_writer
from recode_train.progress import TrainEvent, resolve_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_train.comparing.settings import CompareConfig
    from recode_train.progress import Progress, ProgressCallback

PLAN: Final = "plan.json"


def compare_methods(config: CompareConfig, *, progress: Progress = None) -> dict[str, Any]:
    """Train a model in several ways, evaluate all alike, and compare; does what is not done yet.

    Returns the content of `comparison.json` (docs/training-compare.md). A training that ends early
    (it diverges, or learns nothing) is named in `stopped`, and the others go on. `progress` is a
    callback for `TrainEvent`s, or True for lines on standard error. By default nothing is printed.
    After an interruption (Ctrl-C, a kill) the same call continues there.

    Raises:
        UsageError: settings do not fit together, or differ from those that the folder began with
            (the message names them), or another process writes there.
        DataError: training pairs or a task's data are malformed.
        InfrastructureError: training or evaluation cannot be done here.

    >>> from recode_train import CompareConfig, EvaluationSettings, compare_methods
    >>> config = CompareConfig(
    ...     model=model, arms=["sft"], seeds=[1], data=f"recode-train-data={pairs}", out=folder,
    ...     overrides=["max_steps=2", "tuning=full", "per_device_train_batch_size=1"],
    ...     evaluated=EvaluationSettings(
    ...         tasks=[f"recode-train-data={pairs}"], samples=0, max_tokens=8
    ...     ),
    ... )
    >>> content = compare_methods(config)
    >>> content["arms"], content["prompts"]
    (['base', 'sft'], {'recode-train-data': 'recode'})
    """
    tell = resolve_progress(progress)
    prepared = prepare(config)
    prompts = evaluation_prompts(config, prepared.prompt)
    evaluations = Evaluations(config, prompts, tell)
    evaluations.check()
    check_validation(config, prepared.prompt)
    asked = identity(config, prepared, prompts)
    with only_writer(config.folder):
        return _compare(config, prepared, asked, evaluations, tell)


def _compare(
    config: CompareConfig,
    prepared: Prepared,
    asked: Mapping[str, Any],
    evaluations: Evaluations,
    tell: ProgressCallback,
) -> dict[str, Any]:
    """Do what is not done yet, in a folder that nobody else writes to."""
    from recode_eval.run.store import write_json, write_text
    from recode_train.comparing.report import Found, make, markdown

    _begin(config, prepared, asked)
    tell(TrainEvent("log", message=f"matched by {prepared.matched.text}"))
    choices = choose_rates(config, prepared, evaluations, tell)
    rates = {choice.arm: choice.chosen for choice in choices}
    trainings = Trainings(config, prepared, rates, tell)
    evaluations.evaluate(BASE, BASE, config.model)
    for seed in config.seeds:
        for arm in trainings.in_order():
            result = trainings.train(arm, seed)
            if result is not None:
                evaluations.evaluate(arm.name, f"{arm.name}-seed{seed}", str(result.final))
    _write_models(config, evaluations.folders)
    evaluated = {
        how: {arm: [run for folder in folders for run in stored_runs(folder)]
              for arm, folders in arms.items()}
        for how, arms in evaluations.folders.items()
    }  # fmt: skip
    found = Found(evaluated, trainings.budgets, trainings.stopped, choices, evaluations.prompts)
    content = make(config, prepared, found)
    write_json(config.folder / "comparison.json", content)
    write_text(config.folder / "comparison.md", markdown(content))
    return content


def _begin(config: CompareConfig, prepared: Prepared, identified: Mapping[str, Any]) -> None:
    """Write down the settings; refuse to mix them with others."""
    from recode_eval.run.store import read_json, write_json, write_text
    from recode_train.prompts import THINK_ANSWER

    asked = json.loads(json.dumps(identified))
    file = config.folder / PLAN
    if file.exists():
        before = as_now(read_json(file))
        # Comparisons of earlier versions evaluated on `recode`, then every task's default.
        usual = evaluation_prompts(config, THINK_ANSWER)
        evaluated = before.setdefault("evaluated", {})
        evaluated.setdefault("prompts", usual)
        evaluated.setdefault("problems", [])
        if names := changed(before, asked):
            raise UsageError(
                f"{config.out} holds a comparison with other settings: {', '.join(names)} differ. "
                "Repeat the original command, or choose another --out."
            )
    config.folder.mkdir(parents=True, exist_ok=True)
    # Always: an arm that has not begun must not be trained on a list that was edited meanwhile.
    if prepared.restricted:
        write_text(config.folder / PAIRS, json.dumps(prepared.matched.pairs, indent=1) + "\n")
    if not file.exists():
        write_json(file, asked)


def _write_models(config: CompareConfig, runs: Runs) -> None:
    """Write down the base and the method of every model, for the leaderboard."""
    import yaml

    names: dict[str, dict[str, str]] = {}
    labels = {arm.name: arm.label for arm in config.ways}
    base = stored_runs(runs["greedy"][BASE][0])[0].model
    for arm, folders in runs["greedy"].items():
        for folder in folders:
            name = stored_runs(folder)[0].model
            entry = {
                "match": _literal(name),
                "base": base,
                "method": "untrained" if arm == BASE else labels[arm],
            }
            if arm != BASE:
                entry["training"] = f"arms/{folder.name}"
            names[name] = entry
    text = yaml.safe_dump({"models": list(names.values())}, sort_keys=False)
    (config.folder / "models.yaml").write_text(text, encoding="utf-8")


def _literal(name: str) -> str:
    """Return a pattern that matches the name alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
