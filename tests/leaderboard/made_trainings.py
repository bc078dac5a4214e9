"""Folders of trainings for tests of the leaderboard: logs as the trainer writes them, no training.

The curves are made up; the evaluations beside them are real runs of made-up answers.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from made_runs import make_run

PAPER = {"format": 1.0, "es_star": 1.0}


def config(algorithm: str, **more: Any) -> dict[str, Any]:
    """Settings of a training, those that matter here."""
    return {
        "algorithm": algorithm, "model": "/home/somebody/models/Tiny-1B", "data": "migration",
        "output": f"/home/somebody/{algorithm}", "preset": None, "seed": 0, "max_steps": 40,
        "learning_rate": 5e-5, "rewards": PAPER if algorithm != "sft" else {}, "eval_steps": 20,
        "eval_tasks": ["arena-mini"], **more,
    }  # fmt: skip


def report(settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The content of train.json."""
    return {
        "schema_version": 1,
        "config": settings,
        "model": {"path": settings["model"], "sha256": "5" * 64},
        "data_hash": "d" * 64,
        "finished": True,
        "steps": settings["max_steps"],
        "budgets": {"tokens_generated": 5000, "tokens_trained": 4000, "groups_sampled": 40,
                    "groups_flat": 10, "cpu_seconds": 12.5},
        **more,
    }  # fmt: skip


def lines(settings: dict[str, Any], chances: dict[int, float]) -> list[dict[str, Any]]:
    """The lines of train.jsonl; `chances` are the values of evaluations by step."""
    luck = random.Random(json.dumps(settings, sort_keys=True))
    found: list[dict[str, Any]] = []
    for step in range(settings["max_steps"] + 1):
        rise = 1 - math.exp(-step / 15)
        line: dict[str, Any] = {"step": step, "loss": 2.5 - rise, "entropy": 2 - rise}
        if settings["algorithm"] != "sft":
            names = [name for name, weight in settings["rewards"].items() if weight]
            parts = {f"rewards/{name}/mean": rise + luck.uniform(-0.2, 0.2) for name in names}
            line |= {**parts, "reward": sum(parts.values()), "kl": 0.02 * rise,
                     "frac_reward_zero_std": 0.4 * rise + luck.uniform(0, 0.1),
                     "completions/mean_length": 200 + 50 * rise}  # fmt: skip
        if step:
            found.append({**line, "tokens_trained": 100 * step, "seconds": step / 2})
        if step in chances:
            figures = {"pass@1": chances[step], "folder": "/etc"}
            found.append({"step": step, "evaluation": {"arena-mini": figures}})
    return found


def make_training(
    folder: Path, settings: dict[str, Any], chances: dict[int, float] | None = None
) -> Path:
    """Write a training whose checkpoints pass with the chances given by step."""
    folder.mkdir(parents=True)
    values = {}
    for step, chance in (chances or {}).items():
        identity = {"training": f"{folder.name}-{settings['seed']}", "step": step}
        run = make_run(folder / "evaluations", f"{folder.name}/step-{step}", chance, n=2,
                       identity=identity)  # fmt: skip
        results = json.loads((run / "results.json").read_text())
        values[step] = results["metrics"]["pass@1"]["value"]
    write_log(folder, report(settings), lines(settings, values))
    return folder


def write_log(folder: Path, content: Any, log: list[Any]) -> None:
    """Write the two files of a training's log."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.json").write_text(json.dumps(content))
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))


def humaneval_rows(path: Path, count: int = 30) -> Path:
    """Write problems in HumanEval's schema, all alike: nobody solves them here."""
    row = {
        "prompt": 'def one() -> int:\n    """Return 1."""\n', "entry_point": "one",
        "canonical_solution": "    return 1\n",
        "test": "def check(candidate):\n    assert candidate() == 1\n",
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps({"task_id": f"Own/{i}", **row}) + "\n" for i in range(count))
    )
    return path


def make_comparison(folder: Path, *, seeds: int = 2, base: str = "Tiny-1B") -> Path:
    """Write a comparison of trainings: runs, arms and facts about the models."""
    chances = {"sft": 0.6, "grpo": 0.75, "dapo": 0.9}
    entries = [{"match": f"{base}/base", "base": base, "method": "untrained"}]
    kept = {"base": 0.7, "sft": 0.4, "grpo": 0.65, "dapo": 0.7}
    rows = humaneval_rows(folder / "rows.jsonl")

    def runs(method: str, name: str, chance: float) -> None:
        make_run(folder / "runs", name, chance, n=5)
        make_run(folder / "runs", name, 0.8 * chance, n=5, task_name="arena-multi")
        make_run(folder / "runs", name, kept[method], n=5, task_name="humaneval", rows=rows)

    runs("base", f"{base}/base", 0.35)
    for method, chance in chances.items():
        for seed in range(seeds):
            name = f"{method}-seed{seed}"
            entries.append({"match": f"{base}/{name}", "base": base, "method": method.upper(),
                            "training": f"arms/{name}"})  # fmt: skip
            runs(method, f"{base}/{name}", chance)
            make_training(folder / "arms" / name, config(method, seed=seed),
                          {0: 0.35, 20: (0.35 + chance) / 2, 40: chance})  # fmt: skip
    (folder / "models.yaml").write_text(json.dumps({"models": entries}))
    return folder
