"""Everything that a run may lack, found before its first token is paid for and named at once.

A normal run makes the checks that cost nothing and opens its sandbox, which is the rest of them,
before it generates. Only if something is missing already, or if the user asks for the checks alone,
are sandbox and environments looked at from outside too, so that one message names it all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recode_eval.costs.prices import rounded
from recode_eval.documentation.arms import Kind
from recode_eval.errors import RecodeError, UsageError
from recode_eval.models.backends import backend_facts, get_backend, reject_unused
from recode_eval.models.base import ModelInfo
from recode_eval.run import readiness
from recode_eval.run.config_parts import BudgetOptions
from recode_eval.run.docs import parse_arms
from recode_eval.run.findings import Findings
from recode_eval.run.paying import Purse
from recode_eval.run.progress import SilentMonitor
from recode_eval.run.session import (
    Session,
    arm_by_arm,
    chosen_backend,
    create_run,
    load_configured,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.models.base import Completion, Model
    from recode_eval.run.config import RunConfig
    from recode_eval.run.docs import Documentation
    from recode_eval.run.evaluation import Run
    from recode_eval.run.progress import Monitor
    from recode_eval.run.readiness import Planned
    from recode_eval.tasks.loading import LoadedTask


@dataclass(slots=True)
class Report:
    """The findings of a preflight, and what the run would ask for."""

    findings: Findings = field(default_factory=Findings)
    planned: list[Planned] = field(default_factory=list)
    talks: bool = False
    """Whether samples are conversations, which may end with fewer requests."""

    def to_json(self) -> dict[str, Any]:
        """Return what `--preflight --json` prints."""
        costs = [item.cost for item in self.planned]
        known = [cost for cost in costs if cost is not None]
        whole = len(known) == len(costs) and bool(costs)
        return {
            "errors": [
                {"kind": type(error).__name__, "message": str(error)}
                for error in self.findings.errors
            ],
            "notes": list(self.findings.notes),
            "requests": sum(item.requests for item in self.planned),
            "stored": sum(item.stored for item in self.planned),
            "prompt_tokens": sum(item.prompt_tokens for item in self.planned),
            "answer_tokens": sum(item.answer_tokens for item in self.planned),
            "most_it_costs": rounded(sum(known, Decimal(0))) if whole else None,
            "currency": self.planned[0].currency if whole else None,
        }


class Unloaded:
    """Stands for a checkpoint that is not loaded: only its name is known."""

    def __init__(self, name: str, backend: str) -> None:
        """`name` is what the user typed."""
        self.info = ModelInfo(name, backend)

    def generate(self, *_: object) -> Iterator[Completion]:
        """Refuse: there is nothing that could answer."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to free."""


def load_each(config: RunConfig, monitor: Monitor, findings: Findings) -> list[LoadedTask]:
    """Load all tasks, or those that can be loaded if some cannot."""
    try:
        return load_configured(config, monitor.log)
    except RecodeError as error:
        if len(config.tasks) < 2:
            findings.errors.append(error)
            return []
    found: list[LoadedTask] = []
    for name in config.tasks:
        rows = {task: file for task, file in config.data.items() if task == name}
        with findings.collecting():
            found += load_configured(replace(config, tasks=[name], data=rows), monitor.log)
    return found


def checked(
    session: Session, findings: Findings
) -> tuple[list[tuple[Run, RunConfig, LoadedTask, Model]], Purse]:
    """Open the models and return the first run of each task and arm, with its configuration.

    Raises all that is missing at once.
    """
    config = session.config
    purse = _purse(config, findings)
    opened: list[tuple[LoadedTask, Model]] = []
    loads = _loads(config)
    if loads:
        readiness.check_prompts(config, session.loaded, findings)
    if not (findings.errors and loads):  # no minutes of loading for what will not run
        with findings.collecting():
            opened = session.open_models()
    found = []
    for loaded, model in opened:
        for single in arm_by_arm(config, loaded, session.documentation):
            with findings.collecting():
                run = _first_run(single, loaded, model, session.monitor, session.documentation)
                found.append((run, single, loaded, model))
                readiness.check_run(run, model, single, purse, findings)
    asks = any(readiness.has_work(run) for run, *_ in found)
    if config.conversation.tools and asks and not findings.errors:
        readiness.check_tools(found[0][3], findings)
    if findings.errors:
        if not opened:
            readiness.check_prompts(config, session.loaded, findings)
        readiness.check_sandbox(config, session.loaded, findings)
    findings.raise_if_any()
    return found, purse


def preflight(config: RunConfig, monitor: Monitor) -> Report:
    """Check everything that a run needs, without generating, grading or loading weights."""
    report = Report(talks=not config.conversation.is_single)
    found = report.findings
    with found.collecting():
        parse_arms(config.docs.arms)
    if found.errors:  # what else is missing does not depend on it
        config = replace(config, docs=replace(config.docs, arms=(Kind.NOTE.value,)))
    with Session(config, monitor, load_each(config, monitor, found)) as session:
        purse = _purse(config, found)
        opened: list[tuple[LoadedTask, Model]] = []
        loads = _loads(config)
        with found.collecting():
            if loads:
                backend = chosen_backend(str(config.model), config, monitor.log)
                reject_unused(backend, config.model_options)
                found.note("the checkpoint is not loaded: its context and its stored answers are "
                           "not known")  # fmt: skip
                stand_in = Unloaded(str(config.model), backend)
                session.prepare_alone()
                opened = [(loaded, stand_in) for loaded in session.loaded]
            else:
                opened = session.open_models()
        if not opened:
            readiness.check_prompts(config, session.loaded, found)
        for loaded, model in opened:
            for single in arm_by_arm(config, loaded, session.documentation):
                with found.collecting():
                    run = _first_run(single, loaded, model, monitor, session.documentation)
                    readiness.check_run(run, model, single, purse, found)
                    readiness.note_builds(run, found)
                    report.planned += _planned(
                        run, loaded, model, single, purse, session.documentation
                    )
        readiness.check_sandbox(config, session.loaded, found)
        if config.conversation.tools and opened and not loads:
            readiness.check_tools(opened[0][1], found)
    return report


def _purse(config: RunConfig, findings: Findings) -> Purse:
    """Check what needs neither data nor model; return the prices and the budget."""
    with findings.collecting():
        readiness.check_place(config.folder)
    try:
        return Purse(config.budget)
    except UsageError as error:
        findings.errors.append(error)
    return Purse(BudgetOptions())


def _loads(config: RunConfig) -> bool:
    """Whether opening the model takes minutes; False if it cannot even be said which it is."""
    try:
        return isinstance(config.model, str) and bool(
            get_backend(chosen_backend(config.model, config, lambda _: None)).loads_checkpoint
        )
    except RecodeError:
        return False


def _first_run(
    config: RunConfig,
    loaded: LoadedTask,
    model: Model,
    monitor: Monitor,
    documentation: Documentation,
) -> Run:
    facts = backend_facts(model.info.backend)
    if config.repeats > 1 and (facts.deterministic or not facts.generates):
        raise UsageError(
            f"{model.info.name} gives the same answers whatever the seed: leave out --repeats."
        )
    return create_run(config, loaded, model, monitor, documentation)


def _planned(
    run: Run,
    loaded: LoadedTask,
    model: Model,
    config: RunConfig,
    purse: Purse,
    documentation: Documentation,
) -> list[Planned]:
    """Return what a task's run and its repeats will ask for."""
    seeds = range(config.seed + 1, config.seed + config.repeats)
    others = (
        create_run(replace(config, seed=seed), loaded, model, SilentMonitor(), documentation)
        for seed in seeds
    )
    batched = config.budget.batch
    return [readiness.planned(one, purse, batched=batched) for one in (run, *others)]


def told(report: Report) -> Sequence[str]:
    """Return a preflight's findings and figures as lines for people."""
    content = report.to_json()
    lines = [f"missing: {error}" for error in report.findings.errors]
    lines += [f"note: {note}" for note in report.findings.notes]
    if not report.findings.errors:
        lines.append("Nothing is missing.")
    if not report.planned:
        return lines
    most = "at most " if report.talks else ""
    lines.append(
        f"requests: {most}{content['requests']:,} ({content['stored']:,} answers are stored)"
    )
    lines.append(
        f"tokens: at most about {content['prompt_tokens']:,} of prompts (a generous estimate) and "
        f"{content['answer_tokens']:,} of answers"
    )
    if content["most_it_costs"] is not None:
        lines.append(f"cost: at most about {content['most_it_costs']:,.4g} {content['currency']}")
    elif content["requests"]:
        lines.append("cost: unknown (no price of tokens)")
    return lines
