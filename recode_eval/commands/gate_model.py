"""`recode-eval gate --model`: the gate samples the candidate, with the baseline's settings."""

from __future__ import annotations

import argparse
import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from recode_eval.commands import options
from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_eval.gate.decision import Decision
    from recode_eval.gate.policy import Policy
    from recode_eval.gate.sampling import Draw, Side
    from recode_eval.models.base import Model
    from recode_eval.run.evaluation import Run
    from recode_eval.run.progress import Monitor
    from recode_eval.run.results_file import StoredRun
    from recode_eval.tasks.base import Task, TaskData

SETTLED = (
    "--n", "--temperature", "--top-p", "--max-tokens", "--stop", "--seed", "--k",
    "--no-update-note", "--limit", "--problems", "--isolation", "--timeout", "--memory",
)  # fmt: skip
"""Options of a run that the baseline decides."""


class _Settled(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, _namespace: Any, _values: Any, option: Any = None
    ) -> NoReturn:
        parser.error(f"{option}: the candidate is asked as the baseline was; leave it out")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the gate needs to sample a candidate."""
    options.add_model_options(parser, required=False)
    group = parser.add_argument_group(
        "sampling the candidate (with --model; all other settings are the baseline's)"
    )
    group.add_argument(
        "--tasks",
        type=options.names,
        metavar="NAME[,NAME]",
        help="tasks to gate on (default: the policy's, else all of the baseline)",
    )
    group.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="take a task's rows from a file; they must be the baseline's",
    )
    options.add_include_path(group)
    group.add_argument(
        "--skip-bad-rows", action="store_true", help="leave out malformed rows as the baseline did"
    )
    group.add_argument(
        "--prompt",
        type=options.path,
        metavar="FILE.jinja2",
        help="the baseline's template, if it is none of the task's",
    )
    group.add_argument(
        "--runs",
        type=options.path,
        default=Path("runs"),
        metavar="FOLDER",
        help="where the candidate's run is stored; the same command continues it (default: runs)",
    )
    group.add_argument(
        "--full",
        action="store_true",
        help="draw as many samples as the baseline has, and look once",
    )
    group.add_argument(
        "--baseline-model",
        metavar="MODEL",
        help="the baseline's model, loaded as --model is: samples its part of a rerun",
    )
    options.add_where_options(parser)
    for name in SETTLED:
        parser.add_argument(name, nargs="?", action=_Settled, help=argparse.SUPPRESS)


def sample_and_decide(
    arguments: argparse.Namespace, baselines: Sequence[StoredRun], policy: Policy
) -> Decision:
    """Sample the candidate until the verdict is certain, and rerun if the policy has a rerun."""
    from recode_eval.commands.run import load_tasks
    from recode_eval.gate.decision import Decision, Verdict
    from recode_eval.run.progress import create_monitor
    from recode_eval.run.results_file import load_runs
    from recode_eval.terminal import stdout_for_results

    stored = {run.task: run for run in baselines}
    names = _task_names(arguments, policy, stored)
    absent = [f"{name}: the baseline has no run of it" for name in names if name not in stored]
    if absent:
        return Decision(Verdict.INVALID, (), tuple(absent), (), policy)
    reruns = {run.task: run for run in load_runs(arguments.rerun_baseline or ())}
    if reruns and (missing := set(names) - set(reruns)):
        raise UsageError(f"--rerun-baseline has no run of the task {min(missing)}.")
    chosen = [stored[name] for name in names]
    # A sandbox that is opened early must be the one that the runs need.
    isolation = chosen[0].results["scoring"].get("isolation", "program")
    settled = argparse.Namespace(**{**vars(arguments), "tasks": names, "isolation": isolation})
    monitor = create_monitor(quiet=arguments.quiet)
    with stdout_for_results():
        loaded = load_tasks(settled, monitor.note)
        return _Sampling(settled, chosen, loaded, monitor).decide(policy, reruns)


def _task_names(
    arguments: argparse.Namespace, policy: Policy, stored: Mapping[str, StoredRun]
) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(arguments.tasks or ()))
    if policy.tasks and named and set(named) != set(policy.tasks):
        raise UsageError(
            f"--tasks {','.join(named)}: the policy's tasks are {', '.join(policy.tasks)}; leave "
            "--tasks out, or give another policy."
        )
    return policy.tasks or named or tuple(stored)


class _Sampling:
    """One gate that samples: its baselines, and how models are opened and asked."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        baselines: Sequence[StoredRun],
        loaded: Sequence[tuple[Task, TaskData]],
        monitor: Monitor,
    ) -> None:
        self._arguments = arguments
        self._baselines = {run.task: run for run in baselines}
        self._loaded = loaded
        self._monitor = monitor

    def decide(self, policy: Policy, reruns: Mapping[str, StoredRun]) -> Decision:
        """Return the verdict; `reruns` are the baseline's, by task, if they are stored already."""
        from recode_eval.gate.decision import decide_again
        from recode_eval.gate.sampling import draw_whole, gate_in_looks

        seeds = {
            task: reruns[task].results["sampling"]["seed"] if reruns else _next_seed(run)
            for task, run in self._baselines.items()
        }
        with self._opened(self._arguments.model) as (models, draw):
            sides = self._sides(models)
            looked = replace(policy, sequential=False) if self._arguments.full else policy
            first = gate_in_looks(sides, looked, draw, self._monitor.note)
            if not first.rerun_left or not (reruns or self._arguments.baseline_model):
                return first
            self._monitor.note("Inconclusive: now the one rerun that the policy declares.")
            first = draw_whole(first, sides, draw)
            candidates = [draw(side.run) for side in self._sides(models, seeds)]
        again = list(reruns.values())
        if not again:
            with self._opened(self._arguments.baseline_model) as (models, draw):
                for model in models.values():
                    self._require_baseline(model)
                again = [draw(side.run) for side in self._sides(models, seeds)]
        return decide_again(first, (again, candidates))

    @contextlib.contextmanager
    def _opened(self, spec: str) -> Iterator[tuple[Mapping[str, Model], Draw]]:
        """Open a model; yield it by task, and what draws a run's missing samples."""
        from recode_eval.commands.run import describe, open_models, work_off
        from recode_eval.run.results_file import read_run
        from recode_eval.run.store import RESULTS

        arguments = argparse.Namespace(**{**vars(self._arguments), "model": spec})
        tier = options.named_tier(arguments)
        with contextlib.ExitStack() as cleanup:
            opened, sandboxes = open_models(arguments, self._loaded, self._monitor, cleanup)
            models = {task.spec.name: model for task, _, model in opened}

            def draw(run: Run) -> StoredRun:
                name = run.task.spec.name
                self._monitor.note(f"{name}: {describe(run)}; stored in {run.folder}")
                ks = self._baselines[name].ks | {1}
                found = work_off(run, models[name], sandboxes, ks, tier)
                return read_run(Path(found["folder"]) / RESULTS)

            yield models, draw

    def _sides(
        self, models: Mapping[str, Model], seeds: Mapping[str, int] | None = None
    ) -> list[Side]:
        from recode_eval.gate.sampling import Side, run_like

        arguments = self._arguments
        sources = options.data_sources(arguments.data)
        sides = []
        for task, data in self._loaded:
            name = task.spec.name
            baseline = self._baselines[name]
            settings = {
                "tasks": [name],
                "data": sources.get(name),
                "include_path": [str(path.resolve()) for path in arguments.include_path],
                "k": sorted(baseline.ks | {1}),
            }
            run = run_like(
                baseline,
                task,
                data,
                models[name].info,
                out=arguments.runs,
                monitor=self._monitor,
                settings=settings,
                prompt_file=arguments.prompt,
                seed=seeds[name] if seeds else None,
            )
            sides.append(Side(baseline, run))
        return sides

    def _require_baseline(self, model: Model) -> None:
        identity = {"backend": model.info.backend, **model.info.identity}
        for run in self._baselines.values():
            if run.results["identity"]["model"] != json.loads(json.dumps(identity)):
                raise UsageError(
                    f"--baseline-model {self._arguments.baseline_model} is not the model of "
                    f"{run.source}, or it is loaded in another way."
                )


def _next_seed(run: StoredRun) -> int:
    return int(run.results["sampling"]["seed"]) + 1
