"""Everything that is known about a run before it starts: data, prompts, sizes, warnings.

`--dry-run` shows a plan. Every training makes one first, to refuse what cannot work.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import StorageError, UsageError
from recode_eval.terminal import plural
from recode_train import batch_math
from recode_train.fidelity import deviations
from recode_train.setting_types import FORM_REWARDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recode_eval.models.base import Prompt
    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.run.tool_sessions import Workbench
    from recode_eval.sandbox.base import Sandbox
    from recode_train.batch_math import BatchSizes
    from recode_train.config import TrainConfig
    from recode_train.data import PairSet
    from recode_train.memory_estimate import MemoryEstimate

LIBRARIES: Final = ("torch", "trl", "peft")
"""What a training needs beyond what a plan needs."""


@dataclass(frozen=True, slots=True)
class PromptLengths:
    """Tokens of the prompts that are used, and how many are not."""

    used: int
    overlong: int
    longest: int
    mean: float
    cut: int = 0
    """Left out because their answer is too long to be learnt (SFT)."""
    unusable: tuple[str, ...] = ()
    """Ids of all pairs that are left out."""

    def as_dict(self) -> dict[str, Any]:
        """Return the counts, for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "unusable"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do."""

    config: TrainConfig
    pairs: PairSet
    prompt: str
    """The prompt variant, or the template file, that is trained on."""
    prompts: PromptLengths | None
    """None where they could not be counted; `notes` says why."""
    sizes: BatchSizes
    memory: MemoryEstimate | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {
            "config": self.config.as_dict(),
            "data": {
                "source": self.pairs.source,
                "content_hash": self.pairs.content_hash,
                "pairs": len(self.pairs.pairs),
                "clusters": len({pair.cluster for pair in self.pairs.pairs}),
                "left_out": list(self.pairs.left_out),
            },
            "prompt": self.prompt,
            "prompts": self.prompts.as_dict() if self.prompts else None,
            "sizes": asdict(self.sizes),
            "memory": {**asdict(self.memory), "total": self.memory.total} if self.memory else None,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


def make_plan(config: TrainConfig) -> Plan:
    """Plan a training from its settings, the data and the headers of the model's files.

    Raises:
        UsageError: the settings do not fit together, or TRL refuses them; the model is missing or
            an adapter; no prompt is short enough; the pairs cannot give a reward.
        DataError: a row or a file of the model is malformed.
        StorageError: the checkpoints would not fit on the disk.

    >>> from recode_train import TrainConfig, make_plan
    >>> plan = make_plan(TrainConfig(algorithm="grpo", model="a/model", limit=16, max_steps=10))
    >>> plan.prompt, plan.sizes.completions_per_step, plan.sizes.completions
    ('recode', 8, 80)
    """
    from recode_eval.models.checkpoint import check_name
    from recode_train import evaluation, tool_calls
    from recode_train.data import load_pairs_of
    from recode_train.memory_estimate import estimate_memory, read_shape
    from recode_train.prompts import (
        prompt_template,
        sft_completion,
        template_context,
        training_prompt,
    )
    from recode_train.rewards import build_rewards

    batch_math.validate(config)
    if config.eval_steps is not None:
        evaluation.check(config)
    check_name(config.model)
    folder = Path(config.model).expanduser()
    shape = read_shape(folder) if folder.exists() else None
    pairs = load_pairs_of(config)
    template = prompt_template(pairs, config.prompt)
    name = training_prompt(pairs.task_object.spec, config.prompt)
    notes = []
    if pairs.left_out:
        notes.append(
            f"{plural(len(pairs.left_out), 'bad row')} left out, first: {pairs.left_out[0]}."
        )
    workbench = tool_calls.open_workbench(config, pairs, _no_sandbox)
    rendered = {pair.id: template.render(template_context(pair)) for pair in pairs.pairs}
    prefills = {key: prompt.prefill for key, prompt in rendered.items()}
    lengths, more = _prompts(config, pairs, template, folder, workbench)
    notes += more
    learnt: int | None = None
    if config.completions is not None and not config.samples:
        learnt, said = _recorded(config, pairs, prefills)
        notes.append(said)
    elif config.method.asks:
        learnt = 0
    elif not config.samples:
        for pair in pairs.pairs:
            sft_completion(pair, prefills[pair.id])
    else:
        build_rewards(
            config.rewards,
            pairs,
            prefills=prefills,
            completion_limit=config.max_completion_length,
            cache=config.overlong_cache,
        )
    notes += _check_libraries(config, folder if shape else None)
    usable = lengths.used if lengths else len(pairs.pairs)
    batch_math.validate(config, usable)
    if shape and lengths:
        batch_math.check_context(config, shape.context, lengths.longest)
    needed = estimate_memory(config, shape, accelerator=_has_gpu()) if shape else None
    if needed is None:
        why = (
            "its config.json names no sizes that are known here"
            if folder.exists()
            else "the model is not a local folder"
        )
        notes.append(f"Memory not estimated: {why}.")
    else:
        _check_space(Path(config.output), needed.checkpoints)
    return Plan(
        config=config,
        pairs=pairs,
        prompt=name,
        prompts=lengths,
        sizes=batch_math.batch_sizes(config, usable if learnt is None else learnt),
        memory=needed,
        warnings=(
            *batch_math.warnings(config),
            *deviations(config),
            *_form_warnings(config, name, rendered.values()),
        ),
        notes=tuple(notes),
    )


def _check_libraries(config: TrainConfig, folder: Path | None) -> list[str]:
    """Ask the libraries that train what they refuse; returns why they could not be asked.

    Raises `UsageError` for settings that they refuse, and for an adapter's targets that the model
    in `folder` (None: not a local one) does not have.
    """
    needed = ("transformers", *LIBRARIES)
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        return [f"Arguments of TRL not checked: {missing[0]} is missing."]
    from recode_train.trainers import loading

    loading.check_four_bits(config)
    if config.method.check is not None:
        config.method.check(config)
    if folder is not None:
        loading.check_targets_of_files(config, folder)
    return []


def _recorded(config: TrainConfig, pairs: PairSet, prefills: Mapping[str, str]) -> tuple[int, str]:
    """Return how many recorded answers, or pairs of them, are learnt, and a note about them."""
    from recode_train import recorded
    from recode_train.trainers.answers import choose

    rule = recorded.keep_rule(config, pairs.task_object)
    found = recorded.read_recorded(
        str(config.completions), pairs, prefills, rule, skip_copies=config.skip_bad_rows
    )
    used, compared = choose(config, found, pairs.task_object)
    note = f"Recorded answers (good: {rule}; their tokens are counted when the training begins): "
    return len(compared) or len(used.answers), f"{note}{used}."


def _form_warnings(config: TrainConfig, name: str, prompts: Iterable[Prompt]) -> list[str]:
    """Return a sentence if the reward `format` pays for what the prompt does not ask for."""
    from recode_train.prompts import asks_for_the_form

    form = next((one for one in FORM_REWARDS if config.rewards.get(one)), None)
    if not config.samples or form is None:
        return []
    if all(asks_for_the_form(prompt) for prompt in prompts):
        return []
    text = (
        f"the reward {form}: the prompt {name} does not ask for the think/answer form that it pays "
        f"for; leave prompt out, or set rewards.{form}=0."
    )
    return [text]


def _no_sandbox() -> Sandbox:
    raise RuntimeError("a plan runs no program")


def _prompts(
    config: TrainConfig,
    pairs: PairSet,
    template: PromptTemplate,
    folder: Path,
    workbench: Workbench | None,
) -> tuple[PromptLengths | None, list[str]]:
    """Return the prompts' lengths, and why they were not counted or which are too long."""
    from recode_train import tool_calls
    from recode_train.prompts import perfect_answers

    if not folder.exists():
        return None, ["Prompts not counted: the model is not a local folder."]
    needed = ["transformers"] if workbench is None else ["transformers", "trl"]
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        what = "Prompts not counted" if workbench is None else "Prompts and tool calls not checked"
        return None, [f"{what}: {missing[0]} is missing (pip install 'recode-eval[train]')."]
    tokenizer = _tokenizer(config)
    prompts, overlong = tool_calls.render_prompts(config, pairs, tokenizer, workbench, template)
    cut: list[str] = []
    if config.learns_references:
        known, cut = perfect_answers(pairs, prompts, tokenizer, config.max_completion_length)
        prompts = [prompt for prompt in prompts if prompt.pair_id in known]
    counts = [len(prompt.token_ids) for prompt in prompts]
    lengths = PromptLengths(
        used=len(counts),
        overlong=len(overlong),
        longest=max(counts),
        mean=sum(counts) / len(counts),
        cut=len(cut),
        unusable=(*overlong, *cut),
    )
    found = (
        (overlong, f"prompt has more than max_prompt_length={config.max_prompt_length}"),
        (cut, f"answer has more than max_completion_length={config.max_completion_length}"),
    )
    return lengths, [
        f"{len(ids)} of {len(pairs.pairs)} pairs left out: their {why} tokens."
        for ids, why in found
        if ids
    ]


def _tokenizer(config: TrainConfig) -> Any:
    from recode_eval.models.checkpoint import resolve_checkpoint
    from recode_eval.models.loading import load_tokenizer
    from recode_eval.models.options import ModelOptions

    options = ModelOptions(
        revision=config.model_revision, trust_remote_code=config.trust_remote_code
    )
    return load_tokenizer(resolve_checkpoint(config.model, options), options)


def _has_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None


def _check_space(output: Path, needed: int) -> None:
    existing = next(p for p in (output.absolute(), *output.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise UsageError(f"output {output}: {existing} is a file; name a folder.")
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise StorageError(
            f"The checkpoints would take up to {size(needed)}, but {existing} has only "
            f"{size(free)} free; free some space, choose another --out, or lower save_total_limit."
        )


def size(number: float) -> str:
    """Return a number of bytes with a unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def describe(plan: Plan) -> list[tuple[str, str]]:
    """Return the lines of a plan: names, and values with their units."""
    config = plan.config
    preset = f", preset {config.preset}" if config.preset else ""
    clusters = len({pair.cluster for pair in plan.pairs.pairs})
    data = f"{plan.pairs.source}: {len(plan.pairs.pairs)} pairs of {clusters} updates"
    warm_up = f"warm-up of {config.warmup_steps} steps"
    exact = f"exact at multiples of {plan.sizes.resume_unit}"
    kept = f"the last {config.save_total_limit} are kept"
    rows = [
        ("algorithm", f"{config.label}{preset}"),
        ("model", f"{config.model} ({config.tuning})"),
        ("data", f"{data}, sha256 {plan.pairs.content_hash[:12]}"),
    ]
    rows.append(("prompt", plan.prompt))
    if plan.prompts:
        rows.append(("prompts", _prompts_text(plan.prompts, config.max_prompt_length)))
    if config.samples:
        weights = ", ".join(
            f"{name} x {weight:g}" if weight else f"{name} (logged only)"
            for name, weight in config.rewards.items()
        )
        rows += [("rewards", weights), *_rollout(config), ("a generation", _generation(plan))]
    if config.method.asks and config.completions is None:
        rows.append(("before", _asked(plan)))
    rows += [
        ("a step", _step(plan)),
        ("the run", _run(plan)),
        ("learning rate", f"{config.learning_rate:g}, {config.lr_scheduler_type}, {warm_up}"),
        ("checkpoints", f"every {config.save_steps} steps, {exact}, {kept}"),
    ]
    return rows + (_memory(plan.memory) if plan.memory else [])


def _prompts_text(prompts: PromptLengths, limit: int) -> str:
    answers = f", {prompts.cut} with too long an answer" if prompts.cut else ""
    return (
        f"{prompts.used} used, {prompts.overlong} too long{answers}; tokens: mean "
        f"{prompts.mean:.0f}, longest {prompts.longest}, limit {limit}"
    )


def _rollout(config: TrainConfig) -> list[tuple[str, str]]:
    """Return what a rollout may do besides answering once."""
    parts = []
    if config.tools:
        budgets = f"{config.tool_calls} calls and {config.tool_seconds:g} s at most"
        parts.append(f"tools {', '.join(dict.fromkeys(config.tools))} ({budgets})")
    if config.turns > 1:
        parts.append(f"up to {config.turns} programs by the tool submit")
    if not parts:
        return []
    limit = f"{config.max_completion_length} tokens, tools' results included"
    return [("a rollout", f"{'; '.join(parts)}; {limit}")]


def _asked(plan: Plan) -> str:
    """Return what the model is asked before it is trained."""
    from recode_train.recorded import keep_rule

    config = plan.config
    prompts = plan.prompts.used if plan.prompts else len(plan.pairs.pairs)
    answers = prompts * config.num_generations
    use = "pairs of a good and a bad one" if config.method.compares else "good ones"
    rule = keep_rule(config, plan.pairs.task_object)
    return (
        f"{prompts} prompts x {config.num_generations} = {answers} answers of at most "
        f"{config.max_completion_length} tokens at temperature {config.temperature:g}; learnt are "
        f"{use} (good: {rule}), {config.completions_per_problem} of a prompt at most"
    )


def _generation(plan: Plan) -> str:
    config, sizes = plan.config, plan.sizes
    return (
        f"{plural(sizes.prompts_per_generation, 'prompt')} x {config.num_generations} = "
        f"{plural(sizes.completions_per_generation, 'completion')} of at most "
        f"{config.max_completion_length} tokens; "
        f"feeds {plural(sizes.updates_per_generation, 'step')}"
    )


def _step(plan: Plan) -> str:
    config, sizes = plan.config, plan.sizes
    what = "pairs of answers" if config.method.compares else "examples"
    count = f"{sizes.completions_per_step} {what}"
    if config.samples:
        count = f"{sizes.completions_per_step} completions = {sizes.prompts_per_step:g} prompts"
    return (
        f"{count} ({config.per_device_train_batch_size} a backward pass x "
        f"{config.gradient_accumulation_steps} passes x {config.num_processes} process(es))"
    )


def _run(plan: Plan) -> str:
    sizes = plan.sizes
    what = f"{sizes.completions} examples"
    if plan.config.samples:
        what = (
            f"{sizes.completions} completions of {sizes.prompts} prompts in {sizes.generations} "
            "generations"
        )
    passes = "" if sizes.epochs is None else f", {sizes.epochs:.2f} passes over the pairs"
    return f"{sizes.steps} steps, {what}{passes}; at most {sizes.tokens_at_most} tokens"


def _memory(needed: MemoryEstimate) -> list[tuple[str, str]]:
    parts = {
        "weights": needed.weights,
        "gradients": needed.gradients,
        "optimizer": needed.optimizer,
        "reference model": needed.reference,
        "backward pass": needed.backward,
        "or generation": needed.generation,
    }
    memory = ", ".join(f"{name} {size(value)}" for name, value in parts.items() if value)
    return [
        ("trained", f"{needed.trainable:,} parameters"),
        ("weights in memory", f"{needed.width} bytes each"),
        ("memory, roughly", f"{size(needed.total)} a process without sharding: {memory}"),
        ("disk, at most", size(needed.checkpoints)),
    ]
