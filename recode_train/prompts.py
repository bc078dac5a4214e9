"""Turn a pair into what the trainer sees: the prompt with its opened turn, and SFT's answer.

The prompt is one of the task's own templates, rendered as `recode_eval` renders it for evaluation.
The default is the variant that asks for the think/answer form, which the reward `format` pays for.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, UsageError
from recode_eval.languages import fence_tag, get_language
from recode_eval.scoring import is_well_formed, normalize
from recode_eval.scoring.extraction import ANSWER, END_ANSWER, END_THINK, THINK, extract

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.models.base import Prompt
    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.tasks.base import TaskSpec
    from recode_train.data import Pair, PairSet

THINK_ANSWER: Final = "recode"
"""The prompt variant that asks for thoughts in `<think>` and the program in `<answer>`."""
_MOST_LINES: Final = 8
"""Changed lines that the thoughts of an SFT example quote."""


@dataclass(frozen=True, slots=True)
class TrainingPrompt:
    """One prompt as the trainer gets it."""

    pair_id: str
    text: str
    """Ends in the open prefill. It has no BOS if the tokenizer puts one before every text."""
    prefill: str
    """The text that opens the model's turn; the completion continues it."""
    token_ids: tuple[int, ...]
    """The ids of `text`, special tokens included: those that `recode_eval` gives the model."""
    messages: tuple[Mapping[str, str], ...] = ()
    """What the trainer gets instead of a text where the model has tools (`tool_calls`)."""


def training_prompt(spec: TaskSpec, name: str | None = None) -> str:
    """Return the prompt to train on: `name`, else `recode` if the task has it, else its default."""
    if name is not None:
        return name
    return THINK_ANSWER if THINK_ANSWER in spec.prompts else spec.default_prompt


def evaluation_prompt(spec: TaskSpec, trained: str) -> str:
    """Return the variant to evaluate on: the one trained on if the task has it, else its default.

    A model that has learnt one form of answer is not measured by its luck with another.
    """
    return trained if trained in spec.prompts else spec.default_prompt


def prompt_template(pairs: PairSet, name: str | None = None) -> PromptTemplate:
    """Return a prompt variant of the pairs' task, or a template file (None: `training_prompt`).

    Raises `UsageError` if there is no such variant and no such file.
    """
    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.run.session import TEMPLATE_SUFFIXES

    spec = pairs.task_object.spec
    name = training_prompt(spec, name)
    variant = spec.prompts.get(name)
    if variant is not None:
        return PromptTemplate.from_file(variant.path)
    path = Path(name).expanduser()
    if path.suffix not in TEMPLATE_SUFFIXES:
        first = training_prompt(spec)
        known = [first, *(other for other in spec.prompts if other != first)]
        raise UsageError(
            f"prompt {name} is neither a prompt of {spec.name} ({', '.join(known)}) nor a .jinja2 "
            "file."
        )
    return PromptTemplate.from_file(path)


def template_context(pair: Pair) -> dict[str, Any]:
    """Return what a template is filled with; training always tells of the update."""
    return {**pair.problem.context, "update_note": True}


def asks_for_the_form(prompt: Prompt) -> bool:
    """Whether a prompt opens the thoughts or names the tags of the think/answer form."""
    texts = [prompt.prefill, *(message.content for message in prompt.messages)]
    return any(tag in text for tag in (THINK, ANSWER) for text in texts)


def render(
    pairs: PairSet,
    tokenizer: Any,
    *,
    template: PromptTemplate | None = None,
    max_tokens: int,
) -> tuple[list[TrainingPrompt], list[str]]:
    """Return the prompts, and the ids of the pairs whose prompt has more than `max_tokens` tokens.

    Without a `template`, that of `training_prompt` is taken.

    Raises:
        UsageError: the template or the model's chat template refuses a prompt, the tokenizer turns
            the text into other ids than the prompt, or no prompt is short enough.
    """
    from recode_eval.models.chat import PromptEncoder

    template = template or prompt_template(pairs)
    encoder = PromptEncoder(tokenizer)
    prompts: list[TrainingPrompt] = []
    overlong: list[str] = []
    shortest: int | None = None
    for pair in pairs.pairs:
        prompt = template.render(template_context(pair))
        ids = encoder.encode(prompt)
        shortest = len(ids) if shortest is None else min(shortest, len(ids))
        if len(ids) > max_tokens:
            overlong.append(pair.id)
            continue
        text = _trainer_text(tokenizer, encoder.text(prompt), ids)
        if not text.endswith(prompt.prefill):
            raise UsageError(
                f"The chat template changes the opened answer of {pair.id}: the prompt does not "
                f"end in {prompt.prefill!r}. Use a prompt without an `assistant` block."
            )
        prompts.append(TrainingPrompt(pair.id, text, prompt.prefill, tuple(ids)))
    if not prompts:
        raise none_short_enough(len(overlong), shortest, max_tokens)
    return prompts, overlong


def none_short_enough(count: int, shortest: int | None, limit: int) -> UsageError:
    """Return the error that all `count` prompts are too long."""
    return UsageError(
        f"No prompt is short enough: the shortest of {count} has {shortest} tokens, but "
        f"max_prompt_length is {limit}. Raise max_prompt_length, or check that the tokenizer knows "
        "the text (a tiny vocabulary makes long prompts)."
    )


def _trainer_text(tokenizer: Any, text: str, ids: list[int]) -> str:
    """Return the text that the trainer's own tokenization turns into `ids`.

    TRL tokenizes prompts with the tokenizer's special tokens. A chat template has written them
    already, and with a second BOS the prompt would not be the one that is evaluated.
    """
    bos = getattr(tokenizer, "bos_token", None)
    candidates = [text, text.removeprefix(bos)] if bos else [text]
    for candidate in candidates:
        if [int(token) for token in tokenizer(candidate)["input_ids"]] == ids:
            return candidate
    eos = getattr(tokenizer, "eos_token_id", None)
    closed = [int(token) for token in tokenizer(candidates[-1])["input_ids"]][-1:] == [eos]
    reason = (
        "it closes every text with its EOS token (set add_eos_token to false in its "
        "tokenizer_config.json)"
        if closed and ids[-1:] != [eos]
        else "its special tokens do not fit those of its chat template"
    )
    raise UsageError(
        f"With this tokenizer, the trainer's prompt would differ from the evaluated one: {reason}."
    )


def sft_completion(pair: Pair, prefill: str) -> str:
    """Return what follows the prefill in a perfect turn: short thoughts, then the new code.

    The thoughts only state what holds for every pair, and quote the lines that differ. The result
    is well-formed (`recode_eval.scoring.is_well_formed`) and its code is the reference.

    Raises `DataError` for a reference that no well-formed answer can hold.
    """
    code = pair.problem.solutions["reference"].strip("\n")
    fence = "```"
    while fence in code:
        fence += "`"
    opening = "" if THINK in prefill else THINK
    completion = (
        f"{opening}\n{_thoughts(pair)}\n{END_THINK}\n{ANSWER}\n"
        f"{fence}{fence_tag(pair.language)}\n{code}\n{fence}\n{END_ANSWER}"
    )
    found = extract(
        completion,
        prefill=prefill,
        entry_point=pair.problem.entry_point,
        language=pair.language,
    ).code
    if not is_well_formed(completion, prefill, pair.language) or normalize(
        found or "", pair.language
    ) != normalize(code, pair.language):
        raise DataError(
            f"The new code of {pair.id} cannot be an answer: it holds one of the tags that mark "
            f"the answer, or is not {get_language(pair.language).title}. Remove the row."
        )
    return completion


def perfect_answers(
    pairs: PairSet, prompts: Sequence[TrainingPrompt], tokenizer: Any, limit: int
) -> tuple[dict[str, str], list[str]]:
    """Return what follows each prompt, and the ids of the pairs where that is above `limit` tokens.

    Raises `UsageError` if that is every pair, `DataError` as `sft_completion` does.
    """
    by_id = {pair.id: pair for pair in pairs.pairs}
    answers: dict[str, str] = {}
    cut = []
    for prompt in prompts:
        text = sft_completion(by_id[prompt.pair_id], prompt.prefill)
        # One more for the EOS token.
        if len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1 > limit:
            cut.append(prompt.pair_id)
        else:
            answers[prompt.pair_id] = text
    if not answers:
        raise UsageError(
            f"None of the {len(cut)} answers has {limit} tokens or fewer; raise "
            "max_completion_length."
        )
    return answers, cut


def _thoughts(pair: Pair) -> str:
    context, answers = pair.problem.context, pair.problem.solutions
    release = f"{context.get('dependency', 'the library')} {context.get('new_version', '')}".strip()
    changes = _changes(answers.get("stale"), answers["reference"])
    if not changes:
        return f"The note says what {release} asks for. I write the program that way."
    shown = "\n".join(changes[:_MOST_LINES])
    more = " and a few more" if len(changes) > _MOST_LINES else ""
    return f"The note says what changed in {release}. These lines change{more}:\n{shown}"


def _changes(old: str | None, new: str) -> list[str]:
    """Return the lines that go (-) and come (+), without those that hold a tag."""
    if old is None:
        return []
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    lines = [line for line in list(diff)[2:] if not line.startswith("@@") and line[1:].strip()]
    return [
        line for line in lines if not any(t in line for t in (THINK, END_THINK, ANSWER, END_ANSWER))
    ]
