"""A candidate that the gate samples itself, with the baseline's settings."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.checks import named_fields_only, of_type, path
from recode_eval.errors import UsageError
from recode_eval.models.options import ModelOptions
from recode_eval.run.config import ExecutorOptions, RunConfig, SandboxOptions, data_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_eval.gating.decision import Decision
    from recode_eval.gating.policy import Policy
    from recode_eval.gating.sampling import Draw, Side
    from recode_eval.models.base import Model
    from recode_eval.run.evaluation import Run
    from recode_eval.run.progress import Monitor
    from recode_eval.run.results_file import ResultsFile
    from recode_eval.tasks.loading import LoadedTask


@named_fields_only
@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model for the gate to sample. Everything else that a run has is the baseline's.

    >>> Candidate(model="train-runs/grpo/final").tasks
    ()
    """

    model: str | Model
    """As in `RunConfig`."""
    backend: str = "auto"
    model_options: ModelOptions = field(default_factory=ModelOptions)
    tasks: Sequence[str] = ()
    """Tasks to gate on; empty: the policy's, else all of the baseline."""
    data: Mapping[str, str | Path] = field(default_factory=dict)
    include_path: Sequence[Path | str] = ()
    skip_bad_rows: bool = False
    prompt_file: Path | None = None
    """The baseline's template, if it is not a prompt of the task."""
    out: Path | str = Path("runs")
    """Where the candidate's run is stored; the same call continues it."""
    full: bool = False
    """Draw as many samples as the baseline has, and look once."""
    baseline_model: str | None = None
    """The baseline's model, loaded as the candidate is; it samples its part of a rerun."""
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)
    executor: ExecutorOptions = field(default_factory=ExecutorOptions)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", data_files(self.data))
        # What a run has in common with it is checked as a run's.
        checked = self.run_config(self.tasks, "program")
        for name in ("model", "tasks", "include_path", "model_options", "sandbox", "executor",
                     "out"):  # fmt: skip
            object.__setattr__(self, name, getattr(checked, name))
        of_type("full", self.full, bool, "true or false")
        if self.prompt_file is not None:
            object.__setattr__(self, "prompt_file", path("prompt_file", self.prompt_file))

    def run_config(self, tasks: Sequence[str], isolation: str) -> RunConfig:
        """Return how tasks are loaded and models opened; sampling comes from the baseline."""
        return RunConfig(
            model=self.model,
            tasks=tasks,
            backend=self.backend,
            model_options=self.model_options,
            # A gate may look at fewer tasks than rows were given for.
            data={task: file for task, file in self.data.items() if not tasks or task in tasks},
            include_path=self.include_path,
            skip_bad_rows=self.skip_bad_rows,
            isolation=isolation,
            sandbox=self.sandbox,
            executor=self.executor,
            out=self.out,
        )


def sample_and_decide(
    candidate: Candidate,
    baselines: Sequence[ResultsFile],
    policy: Policy,
    monitor: Monitor,
    rerun_baselines: Sequence[ResultsFile] = (),
) -> Decision:
    """Sample the candidate until the verdict is certain, and rerun if the policy has a rerun.

    Raises:
        UsageError: the tasks are not the policy's, or the candidate cannot be asked as the
            baseline was.
        DataError, InfrastructureError: those of a run.
    """
    from recode_eval.gating.decision import Decision
    from recode_eval.gating.rule import Verdict

    stored = {run.task: run for run in baselines}
    names = _task_names(candidate, policy, stored)
    absent = [f"{name}: the baseline has no run of it" for name in names if name not in stored]
    if absent:
        return Decision(Verdict.INVALID, (), tuple(absent), (), policy)
    reruns = {run.task: run for run in rerun_baselines}
    if reruns and (missing := set(names) - set(reruns)):
        raise UsageError(f"--rerun-baseline has no run of the task {min(missing)}.")
    chosen = [stored[name] for name in names]
    # A sandbox that is opened early must be the one that the runs need.
    isolation = chosen[0].results["scoring"].get("isolation", "program")
    return _Sampling(candidate, candidate.run_config(names, isolation), chosen, monitor).decide(
        policy, reruns
    )


def _task_names(
    candidate: Candidate, policy: Policy, stored: Mapping[str, ResultsFile]
) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(candidate.tasks))
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
        candidate: Candidate,
        config: RunConfig,
        baselines: Sequence[ResultsFile],
        monitor: Monitor,
    ) -> None:
        from recode_eval.run.session import load_configured

        self._candidate = candidate
        self._config = config
        self._baselines = {run.task: run for run in baselines}
        self._monitor = monitor
        self._loaded: list[LoadedTask] = load_configured(config, monitor.log)

    def decide(self, policy: Policy, reruns: Mapping[str, ResultsFile]) -> Decision:
        """Return the verdict; `reruns` are the baseline's, by task, if they are stored already."""
        from recode_eval.gating.decision import decide_again
        from recode_eval.gating.sampling import draw_whole, gate_in_looks

        seeds = {
            task: reruns[task].results["sampling"]["seed"] if reruns else _next_seed(run)
            for task, run in self._baselines.items()
        }
        baseline_model = self._candidate.baseline_model
        with self._opened(self._candidate.model) as (models, draw):
            sides = self._sides(models)
            for side in sides:
                _refuse_own_run(side.baseline, side.run)
            looked = replace(policy, sequential=False) if self._candidate.full else policy
            first = gate_in_looks(sides, looked, draw, self._monitor.log)
            if not first.rerun_left or not (reruns or baseline_model):
                return first
            self._monitor.log("Inconclusive: starting the one rerun that the policy declares.")
            first = draw_whole(first, sides, draw)
            second = self._sides(models, seeds)
            for side in second:
                if side.task in reruns:
                    _refuse_own_run(reruns[side.task], side.run)
            candidates = [draw(side.run) for side in second]
        again = list(reruns.values())
        if not again:
            assert baseline_model is not None
            with self._opened(baseline_model) as (models, draw):
                for model in models.values():
                    self._require_baseline(model)
                fresh = self._sides(models, seeds)
                for one, other in zip(fresh, second, strict=True):
                    if one.run.folder == other.run.folder:
                        raise _own_run(str(other.run.folder), one.run)
                again = [draw(side.run) for side in fresh]
        return decide_again(first, (again, candidates))

    @contextlib.contextmanager
    def _opened(self, model: str | Model) -> Iterator[tuple[Mapping[str, Model], Draw]]:
        """Open a model; yield it by task, and what draws a run's missing samples."""
        from recode_eval.run.results_file import read_run
        from recode_eval.run.session import Session, announce, complete
        from recode_eval.run.store import RESULTS

        config = self._config.with_model(model)
        with Session(config, self._monitor, self._loaded) as session:
            opened = session.open_models()
            models = {loaded.name: model for loaded, model in opened}

            def draw(run: Run) -> ResultsFile:
                name = run.task.spec.name
                announce(run)
                ks = self._baselines[name].ks | {1}
                tier = config.sandbox.named_tier
                found = complete(run, models[name], session.sandboxes, ks, tier)
                return read_run(Path(found["folder"]) / RESULTS)

            yield models, draw

    def _sides(
        self, models: Mapping[str, Model], seeds: Mapping[str, int] | None = None
    ) -> list[Side]:
        from recode_eval.gating.sampling import Side, run_like
        from recode_eval.run.session import stored_settings

        config = self._config
        sides = []
        for task, data in self._loaded:
            name = task.spec.name
            baseline = self._baselines[name]
            run = run_like(
                baseline,
                task,
                data,
                models[name].info,
                out=config.folder,
                monitor=self._monitor,
                settings=stored_settings(config, name, sorted(baseline.ks | {1})),
                prompt_file=self._candidate.prompt_file,
                seed=seeds[name] if seeds else None,
            )
            sides.append(Side(baseline, run))
        return sides

    def _require_baseline(self, model: Model) -> None:
        identity = {"backend": model.info.backend, **model.info.identity}
        for run in self._baselines.values():
            if run.results["identity"]["model"] != json.loads(json.dumps(identity)):
                raise UsageError(
                    f"--baseline-model {self._candidate.baseline_model} is not the model of "
                    f"{run.source}, or is loaded differently."
                )


def _refuse_own_run(baseline: ResultsFile, run: Run) -> None:
    """Raise `UsageError` if the samples of a candidate are those of its baseline.

    A served model is known by its name: another one behind the same name would get the baseline's
    answers, and the gate would pass it without asking.
    """
    from recode_eval.run.store import MANIFEST, RESULTS

    same = Path(baseline.source).resolve() in {
        (run.folder / RESULTS).resolve(),
        run.folder.resolve(),
    }
    if not same:  # a pack or a copy of it
        try:
            manifest = json.loads((run.folder / MANIFEST).read_bytes())
            # Other runs may have begun in the same second.
            same = (
                manifest["identity"] == baseline.results.identity
                and manifest["invocations"][0] == baseline.results.invocations[0]
            )
        except (OSError, ValueError, LookupError, TypeError):
            return  # nothing is stored yet
    if same:
        raise _own_run(baseline.source, run)


def _own_run(source: str, run: Run) -> UsageError:
    return UsageError(
        f"The candidate is the same model, asked in the same way, as the baseline {source}: its run"
        f" {run.folder} holds the baseline's own answers, and the gate would compare them with"
        " themselves. Name another model; or, if another one is served under this name now, store"
        " its answers elsewhere with --runs FOLDER."
    )


def _next_seed(run: ResultsFile) -> int:
    return int(run.results["sampling"]["seed"]) + 1
