"""Rollouts with tools: what the settings ask for, prompts that show tools, templates that can.

With tools a prompt goes to the trainer as messages, which TRL renders with the tools' schemas; no
answer is opened, as in an evaluation with tools.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.integrations.trl_environment import TrlEnvironment
    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.run.tool_sessions import Workbench
    from recode_eval.sandbox.base import Sandbox
    from recode_train.config import TrainConfig
    from recode_train.data import PairSet
    from recode_train.prompts import TrainingPrompt


def conversation_settings(config: TrainConfig) -> ConversationSettings | None:
    """Return the conversations that are asked for; None: the model answers once, without tools."""
    from recode_eval.conversations.settings import ConversationSettings

    found = ConversationSettings(
        config.turns, tuple(dict.fromkeys(config.tools)), config.tool_calls, config.tool_seconds
    )
    return None if found.is_single or not config.samples else found


def open_workbench(
    config: TrainConfig, pairs: PairSet, sandbox: Callable[[], Sandbox]
) -> Workbench | None:
    """Return what the tools of all rollouts work at; None without tools.

    Raises `UsageError` for pairs without tests, and for tools that their language lacks.
    """
    from recode_eval.run.tool_sessions import Workbench

    settings = conversation_settings(config)
    if settings is None:
        return None
    problems = [pair.problem for pair in pairs.pairs]
    return Workbench(pairs.task_object, problems, settings, sandbox)


def environment_factory(workbench: Workbench) -> Callable[[], TrlEnvironment]:
    """Return TRL's `environment_factory`: the rewards are recode-train's own, by weights."""
    from recode_eval.integrations.trl_environment import environment_class

    kind = environment_class(workbench.tools, rewarding=False)
    return lambda: kind(workbench, "pair_id")


def template_arguments(config: TrainConfig) -> Mapping[str, Any]:
    """Return what the chat template gets beside the messages; raises `UsageError` for no mapping.

    >>> from recode_train import TrainConfig
    >>> given = {"chat_template_kwargs": {"enable_thinking": False}}
    >>> template_arguments(TrainConfig(algorithm="grpo", model="m", trainer_args=given))
    {'enable_thinking': False}
    """
    given = config.trainer_args.get("chat_template_kwargs") or {}
    if not isinstance(given, Mapping):
        raise UsageError(f"chat_template_kwargs must be a mapping, not {given!r}.")
    return given


def prompt_key(prompt: str | Sequence[Mapping[str, Any]]) -> str:
    """Return what tells prompts apart, texts or messages."""
    if isinstance(prompt, str):
        return prompt
    return json.dumps([[message["role"], message["content"]] for message in prompt])


def tool_template(tokenizer: Any, model: str) -> str | None:
    """Return the chat template that TRL renders conversations with; None: the model's own.

    The tokenizer learns how to read tool calls, as TRL would teach it. Raises `UsageError` for a
    model whose chat template cannot show tool calls, or whose calls TRL cannot read.
    """
    from trl.chat_template_utils import (
        add_response_schema,
        get_training_chat_template,
        is_chat_template_prefix_preserving,
        supports_tool_calling,
    )

    advice = (
        "Train a model whose template has tool calls (Qwen2.5, Qwen3, Llama 3.1, GPT-OSS, GLM-4, "
        "...), or leave out turns and tools."
    )
    if not supports_tool_calling(tokenizer):
        what = "has no chat template" if tokenizer.chat_template is None else "cannot show them"
        raise UsageError(
            f"tools and turns need tool calls, and the model {model} {what}: its chat template "
            f"must render a user's message, a call, and its result. {advice}"
        )
    known = [getattr(tokenizer, name, None) for name in ("response_template", "response_schema")]
    try:
        if known == [None, None]:
            add_response_schema(tokenizer)
        if is_chat_template_prefix_preserving(tokenizer):
            return None
        return str(get_training_chat_template(tokenizer))
    except ValueError as error:
        raise UsageError(
            f"TRL does not know the chat template of {model} ({' '.join(str(error).split())}) "
            f"{advice}"
        ) from error


def render_prompts(
    config: TrainConfig,
    pairs: PairSet,
    tokenizer: Any,
    workbench: Workbench | None,
    template: PromptTemplate,
) -> tuple[list[TrainingPrompt], list[str]]:
    """Return what a training shows, texts or, with tools, messages; and who is too long for it.

    The plan and the training call it alike. Raises `UsageError` as `render` and `render_chats` do.
    """
    from recode_train.prompts import render

    longest = config.max_prompt_length
    if workbench is None:
        return render(pairs, tokenizer, template=template, max_tokens=longest)
    return render_chats(
        pairs,
        tokenizer,
        workbench,
        template=template,
        chat_template=tool_template(tokenizer, config.model),
        more=template_arguments(config),
        max_tokens=longest,
    )


def render_chats(
    pairs: PairSet,
    tokenizer: Any,
    workbench: Workbench,
    *,
    template: PromptTemplate,
    chat_template: str | None,
    more: Mapping[str, Any],
    max_tokens: int,
) -> tuple[list[TrainingPrompt], list[str]]:
    """Return the prompts as messages, and the ids of the pairs whose prompt is too long.

    `more` is what else the chat template gets (TRL's chat_template_kwargs). `max_tokens` count the
    tools' schemas too. Raises `UsageError` if the chat template refuses a
    prompt, or none is short enough.
    """
    from jinja2 import TemplateError

    from recode_eval.models.chat import merge_system
    from recode_train.prompts import TrainingPrompt, none_short_enough, template_context

    environment = environment_factory(workbench)()
    # TRL shows them in the order of their names.
    tools = [getattr(environment, name) for name in sorted(t.name for t in workbench.tools)]

    def tokens(messages: list[dict[str, str]]) -> list[int]:
        found = tokenizer.apply_chat_template(
            [messages],
            tools=tools,
            chat_template=chat_template,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            **more,
        )
        return [int(token) for token in found["input_ids"][0]]

    prompts: list[TrainingPrompt] = []
    lengths: dict[str, int] = {}
    for pair in pairs.pairs:
        given = template.render(template_context(pair)).messages
        try:
            messages = [{"role": m.role, "content": m.content} for m in given]
            ids = tokens(messages)
        except TemplateError as error:
            if given[0].role != "system":
                raise UsageError(f"The chat template refuses the prompt: {error}") from error
            merged = merge_system(given)
            messages = [{"role": m.role, "content": m.content} for m in merged]
            ids = tokens(messages)
        if len(ids) > max_tokens:
            lengths[pair.id] = len(ids)
            continue
        prompts.append(
            TrainingPrompt(pair.id, prompt_key(messages), "", tuple(ids), tuple(messages))
        )
    if not prompts:
        raise none_short_enough(len(lengths), min(lengths.values()), max_tokens)
    return prompts, list(lengths)
