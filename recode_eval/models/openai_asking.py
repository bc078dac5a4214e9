"""Asking a server for one sample: the request, what may go wrong with it, and the answer.

One prompt that the server refuses or fails at does not end the run: a harmless request of the same
shape tells whether the server still works, and then the sample is unscored. A server that fails at
everything is an error at once.
"""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError, RecodeError
from recode_eval.models import openai_protocol as protocol
from recode_eval.models.base import Completion, FinishReason, Message, Prompt
from recode_eval.models.openai_errors import ErrorWords, FailedRequestError
from recode_eval.models.sampling import first_stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recode_eval.models.base import Request, SamplingParameters
    from recode_eval.models.openai_dialect import Dialect

_LOG: Final = logging.getLogger(__name__)
_HARMLESS: Final = "Say hello."
_FEW_FAILING: Final = 4
"""Prompts that failed, with no answer since, from which nothing is retried."""
_ADAPTED: Final = frozenset({400, 422, 500})
"""Some servers fail where their chat template refuses a role."""
_MOST_FAILING: Final = 16
"""Prompts that failed, with no answer since, after which the server is to blame."""
_LISTED: Final = 8
"""Fingerprints in the details."""


@dataclass(frozen=True, slots=True)
class Job:
    """One sample to ask for."""

    request: Request
    sample: int
    seed: int


class PromptTooLongError(Exception):
    """The server says that the prompt does not fit; `limit` is the context it names."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit


class Asking:
    """Requests to one server, and what it has failed at so far."""

    def __init__(
        self,
        openai: Any,
        client: Any,
        dialect: Dialect,
        errors: ErrorWords,
        url: str,
        context: int | None,
        not_found: Callable[[Any], Awaitable[RecodeError]],
    ) -> None:
        """`context` is the server's length in tokens, where it tells; `not_found` explains 404."""
        self._openai, self._client, self._dialect = openai, client, dialect
        self._errors, self._url, self._context = errors, url, context
        self._not_found = not_found
        self.fingerprints: set[str] = set()
        """What the server called its system in its answers, a few of them."""
        self._failing: set[str] = set()
        self._unanswered_samples = 0

    async def complete(self, job: Job, parameters: SamplingParameters) -> Completion:
        """Return the sample, `UNANSWERED` if only its prompt fails; raises for a broken server."""
        try:
            completion = await self._answer(job, parameters)
        except FailedRequestError as failure:
            return await self.unanswered(job, parameters, failure)
        self._failing.clear()
        return completion

    async def _answer(self, job: Job, parameters: SamplingParameters) -> Completion:
        started = time.perf_counter()
        try:
            answer = await self._ask(job, parameters, parameters.max_tokens)
        except PromptTooLongError as overflow:
            found = await self._ask_for_less(job, parameters, overflow.limit)
            if isinstance(found, Completion):
                return found
            answer = found
        return self.answered(job, parameters, answer, seconds=time.perf_counter() - started)

    def answered(
        self, job: Job, parameters: SamplingParameters, answer: protocol.ServerAnswer, **more: Any
    ) -> Completion:
        """Return the sample that an answer is; `more` are further fields of it."""
        prompt = job.request.prompt
        content, reason = answer.content, answer.finish_reason
        cut = first_stop(content, self._dialect.stops(prompt, parameters))
        if cut is not None:  # a server may ignore stop strings, or leave them at the end
            content, reason = content[:cut], FinishReason.STOP
        if answer.fingerprint and len(self.fingerprints) < _LISTED:
            self.fingerprints.add(answer.fingerprint)
        return self.completion(
            job,
            self._whole_text(answer, content, reason, prompt),
            reason,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            reasoning_tokens=answer.reasoning_tokens,
            cached_tokens=answer.cached_tokens,
            tool_calls=answer.tool_calls,
            **more,
        )

    def completion(self, job: Job, text: str, reason: FinishReason, **fields: Any) -> Completion:
        """Return a sample as it is."""
        prefill = "" if self._dialect.prefill is None else None
        name = job.request.problem_id
        return Completion(name, job.sample, text, reason, prefill=prefill, **fields)

    async def unanswered(
        self, job: Job, parameters: SamplingParameters, failure: FailedRequestError
    ) -> Completion:
        """Return the sample as unanswered if the server answers another prompt, else raise."""
        if not failure.refused:
            self._failing.add(job.request.problem_id)
        if len(self._failing) >= _MOST_FAILING or not (
            failure.alive or await self._works(job, parameters, failure)
        ):
            raise failure.error from failure
        self._unanswered_samples += 1
        if self._unanswered_samples == 1:
            _LOG.warning(
                "a sample of %s stays unscored, and others for which this happens: %s",
                job.request.problem_id,
                failure.error,
            )
        return self.completion(job, "", FinishReason.UNANSWERED, detail=str(failure.error))

    async def _works(
        self, job: Job, parameters: SamplingParameters, failure: FailedRequestError
    ) -> bool:
        """Whether the server answers a harmless prompt of the same shape.

        A parameter that it refuses must be refused here as well; where the server failed, one token
        will do.
        """
        prompt = job.request.prompt
        # From the first tool call on, messages refer to each other.
        plain = itertools.takewhile(lambda message: not message.tool_calls, prompt.messages)
        messages = tuple(Message(message.role, _HARMLESS) for message in plain)
        length = parameters.max_tokens if failure.refused else 1
        harmless = Prompt(messages, prompt.prefill)
        tools = job.request.tools
        settings = self._dialect.settings(harmless, job.seed, parameters, length, tools)
        client = self._client.with_options(max_retries=0)
        try:
            raw = await client.chat.completions.with_raw_response.create(**settings)
            protocol.parse_answer(raw.http_response.content, self._url)
        except (self._openai.OpenAIError, InfrastructureError, protocol.NoAnswerError):
            return False
        return True

    async def _ask_for_less(
        self, job: Job, parameters: SamplingParameters, limit: int | None
    ) -> protocol.ServerAnswer | Completion:
        """Some servers count `max_tokens` in: ask for what is left, if the prompt alone fits.

        How long the prompt is, a request of one token says; what that took is part of the sample.
        """
        limit = limit or self._context
        too_long = self.completion(job, "", FinishReason.PROMPT_TOO_LONG, completion_tokens=0)
        if limit is None or parameters.max_tokens == 1:
            return too_long
        try:
            probe = await self._ask(job, parameters, 1)
            room = 0 if probe.prompt_tokens is None else limit - probe.prompt_tokens
            if room <= 1:
                return probe if room == 1 else too_long
            answer = await self._ask(job, parameters, min(room, parameters.max_tokens))
        except PromptTooLongError:
            return too_long
        return replace(
            answer,
            prompt_tokens=_sum(probe.prompt_tokens, answer.prompt_tokens),
            completion_tokens=_sum(probe.completion_tokens, answer.completion_tokens),
        )

    def _whole_text(
        self, answer: protocol.ServerAnswer, content: str, reason: FinishReason, prompt: Prompt
    ) -> str:
        """Put back the think block that some servers split off into a field of its own."""
        if not answer.reasoning:
            return content
        opened = self._dialect.prefill is not None and "<think>" in prompt.prefill
        closing = "</think>" if answer.content or reason is FinishReason.STOP else ""
        return f"{'' if opened else '<think>'}{answer.reasoning}{closing}{content}"

    async def _ask(
        self, job: Job, parameters: SamplingParameters, max_tokens: int
    ) -> protocol.ServerAnswer:
        """Send one request; what the server refuses by name is left out from then on."""
        prompt, openai = job.request.prompt, self._openai
        client = self._client
        if len(self._failing) >= _FEW_FAILING:
            client = client.with_options(max_retries=0)
        prefilled = bool(prompt.prefill) and self._dialect.prefill is not None
        while True:
            tools = job.request.tools
            settings = self._dialect.settings(prompt, job.seed, parameters, max_tokens, tools)
            try:
                raw = await client.chat.completions.with_raw_response.create(**settings)
            except openai.NotFoundError as error:
                raise await self._not_found(error) from error
            except openai.OpenAIError as error:
                if isinstance(error, openai.APIStatusError):
                    words = self._errors.words(error)
                    if error.status_code in {400, 422}:
                        overflow, limit = protocol.parse_context_overflow(words)
                        if overflow:
                            raise PromptTooLongError(limit) from error
                    if error.status_code in _ADAPTED and self._dialect.adapt(words, settings):
                        continue
                raise self._errors.failed(error, prefilled=prefilled) from error
            try:
                return protocol.parse_answer(raw.http_response.content, self._url)
            except protocol.NoAnswerError as error:
                reason = self._errors.without_key(str(error))
                told = InfrastructureError(f"the server {self._url} gave no answer: {reason}")
                alive = "content filter" in str(error)
                raise FailedRequestError(told, refused=True, alive=alive) from error
            except InfrastructureError as error:
                raise FailedRequestError(error, refused=False) from error


def _sum(one: int | None, other: int | None) -> int | None:
    """Return what two requests took together; None where one of them is not known."""
    return None if one is None or other is None else one + other
