"""The demonstration: make a start from scratch, then compare SFT, GRPO and DAPO from it.

Everything is kept in one folder; the same call continues after an interruption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_train.demo import making

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from recode_train.comparing import CompareConfig
    from recode_train.progress import Progress

KINDS: Final = ("renamed", "moved")
ARMS: Final = ("sft", "grpo", "dapo")
OVERRIDES: Final = (
    "max_steps=24",
    "save_steps=24",
    "learning_rate=3e-4",
    "rewards.es_star=0",
    "rewards.em_star=1",
)
"""Of every arm, over the preset `cpu-demo`. Chosen after others had failed (docs/training.md)."""
_PRESET: Final = "cpu-demo"
_START_MARK: Final = "complete"
"""A file in the start's folder, written last."""

READING: Final = """\
What this shows: the machinery works. All arms start from the same weights and made the same number
of updates from the same number of answers, and were graded by running their programs on names that
were in no training row. SFT saw more different pairs for that: the table of budgets has the counts.
What it does not show:
- anything about the ReCode paper's claim: the model has half a million weights and no language
- that reinforcement learning is better or worse than SFT: the targets of SFT are perfect here, and
  nothing has to be reasoned out, which favours SFT
- that a new ability was learnt: greedily the start solves (nearly) all of it already; training
  makes the right answer the likely one
- how stable this is, with one start: another start is another draw (--starts 3 trains from three
  and counts their variance), another machine or number of threads gives other figures, and the
  settings were picked because they work (with a learning rate of 1e-3 GRPO fell below its start in
  one of two trials)
- other kinds of change: the start was taught two of the seven kinds"""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What is compared, and how large."""

    folder: Path
    kinds: Sequence[str] = KINDS
    pairs: int = 400
    problems: int = 32
    samples: int = 4
    """Of each problem, at temperature 1."""
    steps: int = 170
    """In which the start is taught."""
    seeds: Sequence[int] = (1, 2)
    starts: int = 1
    """Start models, each taught with a seed of its own (0, 1, ...)."""
    sandbox: str = "auto"


def run_demo(
    demo: Demonstration, log: Callable[[str], None], progress: Progress = None
) -> list[dict[str, Any]]:
    """Make, train and evaluate what is not there yet, start by start.

    Returns the content of each start's `comparison.json`. Raises UsageError, DataError or
    InfrastructureError as training and evaluation do.
    """
    import torch

    from recode_train.comparing import compare_methods

    torch.set_num_threads(1)  # A model this small only loses by more.
    files = making.write_files(demo.folder, demo.pairs, demo.problems, demo.kinds)
    return [
        compare_methods(config, progress=progress)
        for number in range(demo.starts)
        for config in [_config(demo, files, str(make_start(demo, files, log, number)), number)]
    ]


def comparison_folder(demo: Demonstration, start: int) -> Path:
    """Return the folder of a start's comparison."""
    return demo.folder / ("comparison" if start == 0 else f"comparison-start{start}")


def _config(demo: Demonstration, files: making.DemoFiles, model: str, start: int) -> CompareConfig:
    from recode_train.comparing import CompareConfig, EvaluationSettings

    return CompareConfig(
        model=model,
        out=comparison_folder(demo, start),
        arms=ARMS,
        seeds=demo.seeds,
        data=f"recode-train-data={files.pairs}",
        presets=dict.fromkeys(ARMS, _PRESET),
        overrides=(
            *OVERRIDES,
            f"prompt={making.PROMPT}",
            f"max_completion_length={making.LONGEST_ANSWER}",
        ),
        evaluated=EvaluationSettings(
            tasks=(f"{making.TASK}={files.problems}",),
            include_paths=(str(making.TASK_FOLDER),),
            samples=demo.samples,
            max_tokens=making.LONGEST_ANSWER,
            sandbox=demo.sandbox,
        ),
    )


def make_start(
    demo: Demonstration, files: making.DemoFiles, log: Callable[[str], None], number: int = 0
) -> Path:
    """Return a model that all arms start from; make it if it is not there."""
    from recode_train.demo.warm_start import Shape, WarmStart

    folder = demo.folder / ("start" if number == 0 else f"start{number}")
    mark, taught = folder / _START_MARK, f"{','.join(demo.kinds)}, {demo.steps} steps\n"
    if mark.exists():
        if mark.read_text(encoding="utf-8") != taught:
            raise UsageError(
                f"{folder} holds a start model trained with other settings; choose another folder, "
                "or remove it."
            )
        return folder
    settings = WarmStart(steps=demo.steps, seed=number)

    def report(step: int, loss: float) -> None:
        if step % 10 == 0:
            log(f"training the start model: step {step} of {settings.steps}, loss {loss:.2f}")

    making.make_start(folder, files.taught, Shape(), settings, report)
    mark.write_text(taught, encoding="utf-8")
    return folder
