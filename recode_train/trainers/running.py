"""Run a training from its settings to the weights; the same call continues it after a kill.

The folder of a run: `train.jsonl` (the log over the steps), `train.json` (what was trained, on
what, with which versions, at what cost), `checkpoint-N`, `evaluations`, and `final`, the trained
model or adapter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError, StorageError, UsageError
from recode_train import checkpoints
from recode_train.budget import Budget
from recode_train.budget_stop import BudgetStop
from recode_train.callbacks import Keeper, OnLog, as_callback
from recode_train.divergence import Guard, check_weights
from recode_train.hub_upload import upload
from recode_train.idle_updates import IdleUpdates
from recode_train.locks import only_writer
from recode_train.model_card import write_card
from recode_train.planning import LIBRARIES
from recode_train.progress import TrainEvent, resolve_progress, step_event
from recode_train.stopping import TrainingStoppedError
from recode_train.trackers import Trackers
from recode_train.trainers import extras
from recode_train.trainers.refusals import refusals
from recode_train.trainers.reporting import new_report, run_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from recode_train.config import TrainConfig
    from recode_train.progress import Progress
    from recode_train.trainers.loading import ModelSource
    from recode_train.trainers.training_data import TrainingData

GATE: Final = "gate"
"""What a report names as having stopped a run that has a result all the same."""
_NOT_THE_MODEL: Final = (
    "optimizer*", "scheduler.pt", "scaler.pt", "rng_state*", "trainer_state.json", "global_step*",
    checkpoints.MARK,
)  # fmt: skip
"""Files of a checkpoint that only a continued training needs."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Result of a training."""

    output: Path
    """The run's folder."""
    final: Path
    """The trained model, or the adapter."""
    steps: int
    resumed_from: int | None
    """Step of the checkpoint that this call continued from; None: it began anew."""
    budgets: Mapping[str, Any]
    """Counts of tokens, groups and seconds (`recode_train.budget.Budget`)."""
    report: Mapping[str, Any]
    """The content of `train.json`."""
    stopped: str | None = None
    """Why the gate ended the training, or would have; None: it did not."""


def train(config: TrainConfig, *, resume: bool = True, progress: Progress = None) -> TrainResult:
    """Train a model; returns where its weights are and what they cost.

    With `resume`, an interrupted run in the output folder continues from its last whole checkpoint
    and ends with the weights of an uninterrupted one, and a finished run is only reported. Without
    it, what an earlier run left there is removed. Ctrl-C leaves a run that the same call continues.
    `progress` is a callback for `TrainEvent`s, or True for lines on standard error; in several
    processes the first one reports. By default nothing is printed.

    Raises:
        UsageError: settings, model, data and libraries do not fit together, or the output folder
            holds another run, or another process trains there.
        TrainingStoppedError: the training diverges (its loss, its gradients or its weights are no
            finite numbers any more: `DivergedError`), or learns nothing (`BarrenError`).
        DataError: a training pair is malformed.
        InfrastructureError: the sandbox, the hub, the memory or the disk (`StorageError`) fails.

    >>> from recode_train import TrainConfig, train
    >>> steps = []
    >>> config = TrainConfig(
    ...     algorithm="sft", model=model, output=folder, limit=4, max_steps=2, tuning="full",
    ...     per_device_train_batch_size=1, max_prompt_length=8000, max_completion_length=8000,
    ... )
    >>> result = train(config, progress=lambda event: steps.append(event.step))
    >>> steps, result.steps, result.final.name
    ([1, 2], 2, 'final')
    """
    from recode_train.batch_math import validate
    from recode_train.data import load_pairs_of
    from recode_train.trainers import loading, training_data

    require_libraries()
    config = with_processes(config)
    validate(config)
    _check_start(config)
    source = loading.find(config)
    pairs = load_pairs_of(config)
    prepared = training_data.prepare(config, pairs, loading.tokenizer(source))
    return run(
        config,
        source,
        prepared,
        resume=resume,
        on_log=_teller(config, progress),
        on_message=_messenger(config, progress),
    )


def require_libraries() -> None:
    """Raise `UsageError` if a library is missing that training needs."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"Training needs {', '.join(missing)}: pip install 'recode-eval[train]'. --dry-run "
            "works without them."
        )


def _teller(config: TrainConfig, progress: Progress) -> OnLog:
    """Return what gets each line of the log and tells the caller."""
    tell, name = resolve_progress(progress), Path(config.output).resolve().name
    return lambda line: tell(step_event(name, config.max_steps, line))


def _messenger(config: TrainConfig, progress: Progress) -> Callable[[str], None]:
    """Return what gets each sentence before the first step and tells the caller."""
    tell, name = resolve_progress(progress), Path(config.output).resolve().name
    return lambda text: tell(TrainEvent("log", name, 0, config.max_steps, message=text))


def run(
    config: TrainConfig,
    source: ModelSource,
    data: TrainingData,
    *,
    resume: bool = True,
    on_log: OnLog | None = None,
    on_message: Callable[[str], None] = lambda _: None,
) -> TrainResult:
    """Train on prepared data; `config.num_processes` is the true number. Errors as `train`."""
    from accelerate import PartialState

    output, state = Path(config.output), PartialState()
    identity = run_identity(config, source, data)
    # The first process writes for all of them.
    alone = only_writer(output) if state.is_main_process else contextlib.nullcontext()
    with data.closing, alone, _blaming(config):
        start = None
        if resume:
            finished = _finished(config, identity)
            if finished is not None:
                return finished
            start = checkpoints.latest(output)
            if start is not None:
                checkpoints.check_same_run(output, start[1], identity)
        state.wait_for_everyone()
        if state.is_main_process:
            if start is None:
                checkpoints.remove_all(output, samples=not resume)
            else:
                checkpoints.remove_after(output, start[1]["step"])
        state.wait_for_everyone()
        if config.method.asks and config.completions is None:
            if state.is_main_process and start is None:
                checkpoints.write_report(output, new_report(config, source, data))
            data = _answered(config, source, data, on_message)
            if start is not None:
                checkpoints.check_same_run(output, start[1], run_identity(config, source, data))
        return _run(config, source, data, start, on_log)


def _answered(
    config: TrainConfig, source: ModelSource, data: TrainingData, tell: Callable[[str], None]
) -> TrainingData:
    """Let the model answer the pairs; returns the data with what is learnt of the answers."""
    from recode_train.trainers import answers, sampling

    folder, spent = sampling.sample(config, source, data, tell)
    found = answers.read(config, str(folder), data)
    made = answers.learnt(config, found, data)
    tell(f"{config.label}: {made.provenance['answers']['used']} answers are learnt")
    spent.completions_generated, spent.tokens_generated = found.samples, found.tokens
    return dataclasses.replace(made, sampled=spent)


def with_processes(config: TrainConfig) -> TrainConfig:
    """Return the configuration with the real number of processes."""
    from accelerate import PartialState

    processes = PartialState().num_processes
    if config.num_processes not in {1, processes}:
        raise UsageError(
            f"num_processes is {config.num_processes}, but {processes} process(es) run; use: "
            f"accelerate launch --num_processes {config.num_processes} -m recode_train.cli ..."
        )
    return dataclasses.replace(config, num_processes=processes)


def _check_start(config: TrainConfig) -> None:
    import torch

    from recode_train import evaluation

    if config.num_processes == 1 and torch.cuda.device_count() > 1:
        raise UsageError(
            f"This process sees {torch.cuda.device_count()} GPUs but uses one: start one process "
            "per GPU (accelerate launch), or select one GPU (CUDA_VISIBLE_DEVICES=0)."
        )
    if config.eval_steps is not None:
        evaluation.check(config)


def _run(
    config: TrainConfig,
    source: ModelSource,
    data: TrainingData,
    start: tuple[Path, dict[str, Any]] | None,
    on_log: OnLog | None,
) -> TrainResult:
    from recode_train.evaluation import check_whole
    from recode_train.trainers import loading

    output = Path(config.output)
    budget = Budget.from_dict(start[1]["progress"] if start else data.sampled.as_dict())
    longest = max(len(prompt.token_ids) for prompt in data.prompts)
    model = loading.model(source, config, longest)
    loading.check_tokens(model, data.tokenizer, source)
    algorithm = config.method
    count = algorithm.trained_tokens
    trained = None if count is None else count(config, data)
    identity = run_identity(config, source, data)
    keeper = as_callback(Keeper(output, budget, identity, on_log, trained))
    keeper.trackers = trackers = Trackers(config.report_to, output)
    evaluator = extras.evaluator(config, data, keeper)
    guard, idle = Guard(), IdleUpdates(budget, config.max_barren_batches)
    stop = BudgetStop(config, budget)
    own = [as_callback(one) for one in (guard, idle, stop)]
    callbacks = [keeper, *evaluator, *own, *extras.gate(config)]
    with refusals():
        trainer = algorithm.build(config, data, model, callbacks, budget)
    for watching in (guard, idle, stop, trackers):
        watching.watch(trainer)
    extras.prepare(trainer, config, data)
    trainer.on_samples = trackers.show_completions
    keeper.accelerator = trainer.accelerator
    if evaluator:
        check_whole(trainer.accelerator)
    loading.name_base(trainer.model, source)
    report = new_report(config, source, data)
    main = trainer.is_world_process_zero()
    repository = extras.repository(config) if main else None
    if main and start is None:
        checkpoints.write_report(output, report)
    step = start[1]["step"] if start else 0
    # A run that was killed after its last step has nothing left to train.
    trains = step < config.max_steps and not (start is not None and stop.spent)
    stopped = None
    try:
        if trains:
            with _no_report_of_nothing(output, guard, new=main and start is None):
                trainer.train(resume_from_checkpoint=str(start[0]) if start else None)
            step, stopped = trainer.state.global_step, extras.gated(config, trainer)
            check_weights(trainer.model, step)
        idle.check(step)
    except TrainingStoppedError as error:
        if main:
            ended = {"stopped": str(error), "budgets": budget.as_dict(), "last_log": keeper.last}
            checkpoints.write_report(output, {**report, **ended})
        raise
    if trains:
        keeper.count_time()
        trainer.save_model(str(output / checkpoints.FINAL))
    elif main and start is not None:
        _copy_model(start[0], output / checkpoints.FINAL)
    report = {
        **report,
        "finished": stopped is None,
        **({} if stopped is None else {"stopped": stopped, "stopped_by": GATE}),
        "steps": step,
        "budgets": budget.as_dict(),
        "last_log": keeper.last,
    }
    if main:
        _publish(output, report, repository)
    trainer.accelerator.wait_for_everyone()
    return _result(config, report, start[1]["step"] if start else None)


@contextlib.contextmanager
def _no_report_of_nothing(output: Path, guard: Guard, *, new: bool) -> Iterator[None]:
    """Blame libraries for what they refuse before the first step; then there was no run."""
    try:
        with refusals(until=lambda: guard.begun):
            yield
    except BaseException:
        if new and not guard.begun:
            (output / checkpoints.REPORT).unlink(missing_ok=True)
        raise


def _publish(output: Path, report: Mapping[str, Any], repository: str | None) -> None:
    """Write the card and the report of a result, and upload it if it has a repository."""
    lines = checkpoints.read_log(output / checkpoints.LOG)
    last = [line["evaluation"] for line in lines if "evaluation" in line][-1:]
    write_card(output / checkpoints.FINAL, report, last[0] if last else {})
    checkpoints.write_report(output, report)
    if repository is not None:
        upload(output / checkpoints.FINAL, repository)


def _finished(config: TrainConfig, identity: Mapping[str, Any]) -> TrainResult | None:
    """Return the result of a finished run in the output folder."""
    output = Path(config.output)
    report = checkpoints.read_report(output)
    ended = report.get("finished") or report.get("stopped_by") == GATE
    if not ended or not (output / checkpoints.FINAL).is_dir():
        return None
    checkpoints.check_same_run(output, report, identity)
    return _result(config, report, report["steps"])


def _result(config: TrainConfig, report: Mapping[str, Any], resumed: int | None) -> TrainResult:
    output = Path(config.output)
    return TrainResult(
        output,
        output / checkpoints.FINAL,
        report["steps"],
        resumed,
        report["budgets"],
        report,
        report.get("stopped"),
    )


def _copy_model(checkpoint: Path, final: Path) -> None:
    """Make the result from the last checkpoint: the run was killed before it could write one."""
    shutil.rmtree(final, ignore_errors=True)
    shutil.copytree(checkpoint, final, ignore=shutil.ignore_patterns(*_NOT_THE_MODEL))


@contextlib.contextmanager
def _blaming(config: TrainConfig) -> Iterator[None]:
    """Turn a library's error into ours when memory or disk run out."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InfrastructureError(
            "Memory ran out during a step; lower per_device_train_batch_size (and raise "
            "gradient_accumulation_steps), lower max_completion_length, or train an adapter."
        ) from error
    except (OSError, RuntimeError) as error:
        full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
        if full or "no space left" in str(error).lower():
            raise StorageError(
                f"The disk of {config.output} is full; free some space and repeat the command: it "
                "continues from the last checkpoint."
            ) from error
        raise
