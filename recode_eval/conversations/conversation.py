"""One sample's conversation: what was said, what is left of its budgets, and what comes next.

A conversation changes by journal entries alone, and the same entries always lead to the same state:
a killed run reads its journal and is where it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recode_eval.conversations.history import NOTHING, said
from recode_eval.conversations.journal import Answered, Call, Checked, ToolUsed
from recode_eval.models.base import FinishReason, Message, Prompt, Request, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.conversations.journal import Line
    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.models.base import Completion, Tool

MOST_CALLS: Final = 64
"""Calls of one message that are heeded: a model may repeat one for ever."""
LONGEST_ARGUMENTS: Final = 100_000
"""Characters; what is longer is refused, and cut in the journal."""
_LONGEST_NAME: Final = 200
_CHARACTERS_PER_TOKEN: Final = 4
"""Where a server does not count: about what English and code have."""


class OutOfOrderError(Exception):
    """An entry that does not belong where it is."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the model."""


@dataclass(frozen=True, slots=True)
class Check:
    """Run the visible test on the answer of a turn."""

    answer: Answered


@dataclass(frozen=True, slots=True)
class Use:
    """Use a tool; `left` says how many seconds its budget has, `refusal` why it has none."""

    call: Call
    index: int
    left: float
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The sample is finished."""


Next = Ask | Check | Use | Done


class Conversation:
    """The state of one sample; `next` says what to do, `apply` takes what came of it."""

    def __init__(
        self,
        problem_id: str,
        sample: int,
        seed: int,
        prompt: Prompt,
        prompt_hash: str,
        settings: ConversationSettings,
        tools: tuple[Tool, ...] = (),
        language: str = "python",
    ) -> None:
        """Begin with the prompt; `seed` is that of the sample's only answer in a run of one."""
        self.problem_id, self.sample = problem_id, sample
        self.prompt_hash = prompt_hash
        self._seed, self._prompt, self._settings = seed, prompt, settings
        self._tools, self._language = tools, language
        self._messages: list[Message] = []
        self._next: Next = Ask()
        self._waiting: list[Call] = []
        self.turn, self.step = 1, 0
        self.answers: list[Answered] = []
        self.calls = self.malformed = 0
        self.seconds = 0.0
        self.tokens = 0

    @property
    def key(self) -> tuple[str, int]:
        """Problem and sample index."""
        return self.problem_id, self.sample

    @property
    def next(self) -> Next:
        """What is to be done now."""
        return self._next

    @property
    def refusal(self) -> str:
        """Which budget of the tools is used up; empty if none is."""
        return self._settings.used_up(self.calls, self.seconds, self.tokens)

    @property
    def offers(self) -> bool:
        """Whether the next request has tools."""
        return bool(self._tools) and not self.refusal

    @property
    def _out_of_tools(self) -> bool:
        return bool(self._tools) and not self.offers

    def request(self) -> Request:
        """Return what the model is asked next.

        With tools there is no prefill: an opened answer could not call any.
        """
        prefill = "" if self._tools else self._prompt.prefill
        return Request(
            self.problem_id,
            Prompt((*self._prompt.messages, *self._messages), prefill),
            (self.sample,),
            (step_seed(self._seed, self.step),),
            self._language,
            self._tools if self.offers else (),
        )

    def entry(self, completion: Completion) -> Answered:
        """Return what the journal keeps of the answer to `request`."""
        prefill = completion.prefill
        if prefill is None:
            prefill = "" if self._tools else self._prompt.prefill
        calls = completion.tool_calls[:MOST_CALLS] if self.offers else ()
        return Answered(
            problem_id=self.problem_id,
            sample=self.sample,
            prompt_hash=self.prompt_hash,
            step=self.step,
            turn=self.turn,
            seed=step_seed(self._seed, self.step),
            text=completion.text,
            prefill=prefill,
            finish_reason=str(completion.finish_reason),
            is_code=completion.is_code,
            calls=_kept(calls, self.step),
            offered=self.offers,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            reasoning_tokens=completion.reasoning_tokens,
            cached_tokens=completion.cached_tokens,
            batched=completion.batched,
            seconds=None if completion.seconds is None else round(completion.seconds, 4),
        )

    def apply(self, entry: Line) -> None:
        """Take what happened; raises `OutOfOrderError` for what cannot have happened now."""
        if entry.step != self.step:
            raise OutOfOrderError
        match self._next, entry:
            case Ask(), Answered():
                self._answered(entry)
            case Check(), Checked():
                self._checked(entry)
            case Use(index=index), ToolUsed() if entry.index == index:
                self._used(entry)
            case _:
                raise OutOfOrderError

    def _answered(self, answer: Answered) -> None:
        self.answers.append(answer)
        written = answer.completion_tokens
        if written is None:
            called = sum(len(call.name) + len(call.arguments) for call in answer.calls)
            written = (len(answer.text) + called) // _CHARACTERS_PER_TOKEN
        self.tokens += written
        if answer.calls:
            calls = tuple(ToolCall(call.id, call.name, call.arguments) for call in answer.calls)
            text = said(answer.text, answer.prefill, self._language, answer.finish_reason)
            self._messages.append(Message("assistant", text, calls))
            self._waiting = list(answer.calls)
            self._use_next()
        elif self.turn >= self._settings.turns or _too_long(answer):
            self._next = Done()
        else:
            self._next = Check(answer)

    def _use_next(self) -> None:
        if not self._waiting:
            self.step += 1
            self._next = Ask()
            return
        index = len(self.answers[-1].calls) - len(self._waiting)
        left = max(0.0, self._settings.tool_seconds - self.seconds)
        self._next = Use(self._waiting.pop(0), index, left, self.refusal)

    def _used(self, result: ToolUsed) -> None:
        self.calls += result.status != "refused"  # what no budget was left for was no call
        self.malformed += result.status == "malformed"
        self.seconds += result.seconds
        text = result.text
        if self.refusal and not self._waiting:
            text = f"{text}\n\n{no_more(self.refusal)}".strip()
        call = self.answers[-1].calls[result.index]
        self._messages.append(Message("tool", text, tool_call_id=call.id))
        self._use_next()

    def _checked(self, result: Checked) -> None:
        if result.ends:
            self._next = Done()
            return
        last = self.answers[-1]
        text = said(last.text, last.prefill, self._language, last.finish_reason)
        told = f"{result.text}\n\n{no_more(self.refusal)}" if self._out_of_tools else result.text
        self._messages += [Message("assistant", text or NOTHING), Message("user", told)]
        self.turn += 1
        self.step += 1
        self._next = Ask()


def no_more(refusal: str) -> str:
    """Return what the model is told when it gets no tools any more."""
    return f"There are no more tools: {refusal}. Give your answer now."


def step_seed(seed: int, step: int) -> int:
    """Return the seed of a sample's request, below 2**31; the first one is the sample's own.

    >>> step_seed(7, 0), step_seed(7, 1) == step_seed(7, 2)
    (7, False)
    """
    if step == 0:
        return seed
    digest = hashlib.sha256(f"{seed}\0{step}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _too_long(answer: Answered) -> bool:
    """Whether the conversation no longer fits the model's context: it would not later either."""
    return answer.finish_reason == FinishReason.PROMPT_TOO_LONG


def _kept(calls: Iterable[ToolCall], step: int) -> tuple[Call, ...]:
    """Return calls of bounded size, with ids that a server takes back: each is there once."""
    found: dict[str, Call] = {}
    for index, call in enumerate(calls):
        name = call.id
        sound = name.isascii() and name.isprintable() and 0 < len(name) <= _LONGEST_NAME
        name = name if sound else f"call-{step}-{index}"
        while name in found:
            name = f"{name[:_LONGEST_NAME]}-{index}"
        arguments = call.arguments[: LONGEST_ARGUMENTS + 1]
        found[name] = Call(name, call.name[:_LONGEST_NAME], arguments)
    return tuple(found.values())
