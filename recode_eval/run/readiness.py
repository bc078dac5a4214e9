"""Single checks of what a run needs: each keeps what it finds (`findings`) and changes nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.conversations.tools import schemas
from recode_eval.costs.spending import estimate_tokens
from recode_eval.errors import InfrastructureError, RecodeError, StorageError, UsageError
from recode_eval.models.backends import backend_facts
from recode_eval.models.base import (
    FinishReason,
    Message,
    Prompt,
    Request,
    SamplingParameters,
    Tool,
)
from recode_eval.run.paying import check_batches
from recode_eval.run.records import CompletionRecord
from recode_eval.run.store import COMPLETIONS, RESULTS, read_json, read_records
from recode_eval.tasks.base import OwnEnvironments

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from recode_eval.models.base import Model
    from recode_eval.run.config import RunConfig
    from recode_eval.run.evaluation import Run
    from recode_eval.run.findings import Findings
    from recode_eval.run.paying import Purse
    from recode_eval.run.records import Key
    from recode_eval.tasks.loading import LoadedTask

_BYTES_PER_TOKEN = 4
"""What text usually has; a prompt longer than the context by this count surely does not fit."""
_ROOM = 5 << 30
"""Free bytes below which building environments may fail."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Planned:
    """What one run will ask for, at most."""

    requests: int = 0
    stored: int = 0
    prompt_tokens: int = 0
    """A generous estimate."""
    answer_tokens: int = 0
    """As many as `max_tokens` allows."""
    cost: Decimal | None = None
    """None: unknown."""
    currency: str = ""


def check_place(out: Path) -> None:
    """Raise `StorageError` if no run can be stored there; leaves nothing behind."""
    place = next((path for path in (out, *out.absolute().parents) if path.exists()), Path("/"))
    if not place.is_dir():
        raise StorageError(f"Cannot write runs below {place}: it is a file; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StorageError(
            f"Cannot write runs below {place}: no permission; correct it, or choose another --out"
        )
    try:  # root may write anywhere by its rights, and yet not in /proc
        with tempfile.TemporaryDirectory(prefix=".recode-eval-", dir=place):
            pass
    except OSError as error:
        raise StorageError(
            f"Cannot write runs below {place}: {error.strerror}; choose another --out"
        ) from error


def check_prompts(config: RunConfig, loaded: Iterable[LoadedTask], findings: Findings) -> None:
    """Render the prompt of every problem; for where no model is there to make a `Run` with."""
    from recode_eval.run.session import prompt_settings
    from recode_eval.run.settings import Selection

    for task, data in loaded:
        with findings.collecting():
            settings, _ = prompt_settings(config, task)
            chosen = Selection(1, config.limit, tuple(config.problems), config.since, config.until)
            for problem in chosen.problems(data):
                settings.render(problem)


def check_run(run: Run, model: Model, config: RunConfig, purse: Purse, findings: Findings) -> None:
    """Check what one run needs of its model: a price, batch jobs, tools, room for its prompts."""
    with findings.collecting():
        purse.spending(run.model_info)
    if config.budget.batch:
        with findings.collecting():
            check_batches(model)
            if has_work(run) and hasattr(model, "check_batches"):
                model.check_batches()
    note_context(run, findings)
    note_environments(run, findings)


def check_tools(model: Model, findings: Findings) -> None:
    """Ask a server for one token with a tool at hand, which is the only way to know; costs that."""
    with findings.collecting():
        if not backend_facts(model.info.backend).calls_tools:
            raise UsageError(
                f"{model.info.name} ({model.info.backend}) has no tool calls: --tools is for "
                "servers that have them (the back-end openai); leave it out"
            )
        tool = Tool("run", "Runs code.", {"type": "object", "properties": {}})
        prompt = Prompt((Message("user", "Say hello."),))
        asked = Request("preflight", prompt, (0,), (0,), tools=(tool,))
        parameters = SamplingParameters(temperature=0, max_tokens=1)
        for answer in model.generate([asked], parameters):
            if answer.finish_reason is FinishReason.UNANSWERED:
                raise UsageError(f"{model.info.name} takes no tools: {answer.detail}")


def note_context(run: Run, findings: Findings) -> None:
    """Say how many prompts leave no room for a whole answer in the model's context."""
    context = run.model_info.details.get("context")
    if type(context) is not int or not backend_facts(run.model_info.backend).generates:
        return
    room = context - run.sampling.max_tokens
    sizes = [_usual_tokens(prompt) for prompt in run.prompts.values()]
    tight = sum(size > room for size in sizes)
    if tight:
        findings.note(
            f"{run.task.spec.name}: {tight} of {len(sizes)} prompts (the longest has about "
            f"{max(sizes):,} tokens) and --max-tokens {run.sampling.max_tokens} together exceed "
            f"the context of {context:,}: their answers will be cut off or recorded as "
            "prompt_too_long"
        )


def _usual_tokens(prompt: Prompt) -> int:
    texts = [*(message.content for message in prompt.messages), prompt.prefill]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) // _BYTES_PER_TOKEN


def note_environments(run: Run, findings: Findings) -> None:
    """Say which environments nobody can build, as they have no lock."""
    from recode_eval.sandbox.requirements import has_environment

    unknown = sorted(name for name in _environments(run) if not has_environment(name))
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        findings.note(
            f"{run.task.spec.name}: no lock for the environments "
            f"{', '.join(unknown[:_SHOWN])}{more}; what runs in them stays unscored"
        )


def _environments(run: Run) -> set[str]:
    if not run.task.conditions:
        return set()
    names = {run.task.spec.environment}
    if isinstance(run.task, OwnEnvironments):
        names.update(name for problem in run.problems for name in run.task.environments(problem))
    return names


def has_work(run: Run) -> bool:
    """Whether something may be left to ask for or to grade; a complete run needs nothing."""
    try:
        counts = read_json(run.folder / RESULTS)["counts"]
        return bool(counts["unscored"]) or counts["samples"] < len(run.keys)
    except (RecodeError, KeyError, TypeError):
        return True


def check_sandbox(config: RunConfig, loaded: Iterable[LoadedTask], findings: Findings) -> None:
    """Look from outside whether the sandbox can open; builds and starts nothing."""
    from recode_eval.sandbox.factory import AUTO, check_tier, probe
    from recode_eval.sandbox.tier import TIERS_BY_NAME

    tier = config.sandbox.tier
    if config.executor.name != "local" or not any(task.conditions for task, _ in loaded):
        return
    with findings.collecting():
        if tier == AUTO:
            reports = probe()
            if not any(report.available for report in reports):
                told = "; ".join(f"{r.tier}: {r.reason} ({r.fix})" for r in reports)
                raise InfrastructureError(f"no sandbox works here: {told}")
            return
        check_tier(tier, allow_unsafe=config.sandbox.allow_unsafe)
        if (reason := TIERS_BY_NAME.get(tier).reason_against()) is not None:
            raise InfrastructureError(
                f"the sandbox {tier} cannot work here: {reason}; {TIERS_BY_NAME.get(tier).FIX}"
            )


def note_builds(run: Run, findings: Findings) -> None:
    """Say which Pythons must be fetched, and whether there is room to build environments."""
    from recode_eval.sandbox.buildlog import cache_dir
    from recode_eval.sandbox.interpreters import can_be_had
    from recode_eval.sandbox.requirements import get_environment, has_environment

    names = [name for name in sorted(_environments(run)) if has_environment(name)]
    pythons = set()
    for name in names:
        with findings.collecting():
            pythons.add(get_environment(name).python)
    for python in sorted(one for one in pythons if one is not None):
        if not can_be_had(python, fetch=False):
            findings.note(
                f"{run.task.spec.name}: Python {python[0]}.{python[1]} is not on this machine; "
                "outside of Docker it must be fetched (by uv), or named by an environment variable"
            )
    free = shutil.disk_usage(cache_dir("venvs")).free
    if names and free < _ROOM:
        findings.note(
            f"only {free / 2**30:.1f} GiB are free where environments are built; building one may "
            "take several"
        )


def planned(run: Run, purse: Purse, *, batched: bool) -> Planned:
    """Return what a run will ask for: every sample that is not stored."""
    if not backend_facts(run.model_info.backend).generates:
        return Planned()
    stored = _stored_keys(run)
    missing = [key for key in run.keys if key not in stored]
    worst = {name: _worst(run, prompt) for name, prompt in run.prompts.items()}
    requests, asked, answers = (
        sum(worst[problem][part] for problem, _ in missing) for part in range(3)
    )
    pricing = purse.pricing(run.model_info)
    price = None if pricing is None else pricing.price
    cost = None
    if price is not None and price.per_hour is None and (price.batch is not None or not batched):
        cost = price.most_of_tokens(asked, answers, batched=batched)
    currency = "" if price is None else price.currency
    return Planned(requests, len(stored), asked, answers, cost, currency)


def _worst(run: Run, prompt: Prompt) -> tuple[int, int, int]:
    """Return the most that a sample takes: requests, tokens of its prompts and of its answers."""
    talk, most = run.conversation, run.sampling.max_tokens
    if talk is None:
        return 1, estimate_tokens(prompt), most
    first = estimate_tokens(prompt, schemas(talk.tools, run.task.spec.language))
    context = run.model_info.details.get("context")
    return talk.worst(first, most, context if type(context) is int else None)


def _stored_keys(run: Run) -> set[Key]:
    records = read_records(run.folder / COMPLETIONS, CompletionRecord)
    return {
        record.key
        for record in records
        if run.hashes.get(record.problem_id) == record.prompt_hash
        and 0 <= record.sample < run.selection.n
    }
