"""Any OpenAI-compatible server: chat completions over HTTP, many requests at a time.

Every sample is a request of its own with its own seed, never one request with `n`: servers derive
the seeds of `n` choices in their own ways or ignore `n`, and a resumed run must get exactly the
samples it still lacks. Servers share the prompt's computation between such requests anyway.

One prompt that the server refuses or fails at does not end the run: a harmless request of the same
shape tells whether the server still works, and then the sample is unscored. A server that fails at
everything is an error at once.

The key comes from the environment variable that the options name. It is sent to the base URL and
goes nowhere else: no log, no record, no error message.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError, RecodeError, UsageError
from recode_eval.models import openai_protocol as protocol
from recode_eval.models.backend import Backend
from recode_eval.models.base import Completion, FinishReason, Message, ModelInfo, Prompt
from recode_eval.models.deadline import client_with_deadline
from recode_eval.models.openai_dialect import Dialect
from recode_eval.models.openai_errors import ErrorWords, FailedRequestError
from recode_eval.models.sampling import first_stop
from recode_eval.models.streaming import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.models.base import Request, SamplingParameters
    from recode_eval.models.feed import Feed
    from recode_eval.models.options import ModelOptions

_LOG: Final = logging.getLogger(__name__)
_NO_KEY: Final = "none"
"""Local servers want no key, but the protocol's header cannot be empty."""
_WARM: Final = 0.5
"""Temperature from which ten pairs of equal samples are not a coincidence."""
_ENOUGH_PAIRS: Final = 10
_LISTED: Final = 8
"""Models named in an error message, and fingerprints in the details."""
_HARMLESS: Final = "Say hello."
_FEW_FAILING: Final = 4
"""Prompts that failed, with no answer since, from which nothing is retried."""
_ADAPTED: Final = frozenset({400, 422, 500})
"""Some servers fail where their chat template refuses a role."""
_MOST_FAILING: Final = 16
"""Prompts that failed, with no answer since, after which the server is to blame."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One sample to ask for."""

    request: Request
    sample: int
    seed: int


class _PromptTooLongError(Exception):
    """The server says that the prompt does not fit; `limit` is the context it names."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit


class _SameTexts:
    """Counts how often two samples of a problem are the same text."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._same = 0
        self._other = 0

    def add(self, completion: Completion) -> None:
        """Compare a sample with the first one of its problem; an empty text says nothing."""
        if not completion.text:
            return
        if completion.problem_id not in self._first:
            self._first[completion.problem_id] = completion.text
        elif self._first[completion.problem_id] == completion.text:
            self._same += 1
        else:
            self._other += 1

    @property
    def all_same(self) -> bool:
        """Whether there were enough pairs and not one differed."""
        return self._same >= _ENOUGH_PAIRS and self._other == 0


class OpenAIModel:
    """A model behind a server.

    `info.details["prefill"]` says whether the server continues the assistant turn that a prompt
    opens (vLLM, SGLang and llama.cpp do; set `options.server_prefill` for one behind a proxy). Of
    another server every completion says with `prefill=""` that it is an answer from the start.
    """

    def __init__(self, name: str, options: ModelOptions) -> None:
        """Ask the server which models it has.

        Raises `UsageError` without a base URL or for a model the server does not have, and
        `InfrastructureError` when the server cannot be reached.
        """
        if options.base_url is None:
            raise UsageError(
                "the openai back-end needs a server: give --base-url, for instance"
                " http://127.0.0.1:8000/v1"
            )
        openai = _import_openai()
        self._openai = openai
        self._name = name
        self._options = options
        self._url = options.base_url.rstrip("/")
        self._key = _read_key(options.api_key_env)
        self._client = openai.AsyncOpenAI(
            base_url=self._url,
            api_key=self._key or _NO_KEY,
            timeout=options.request_timeout,
            max_retries=options.max_retries,
            http_client=client_with_deadline(options.request_timeout, self._url),
        )
        self._errors = ErrorWords(openai, self._url, self._key, options)
        self._loop = BackgroundLoop("recode-eval-openai")
        try:
            models = self._loop.run(self._list_models())
        except BaseException:
            self._loop.close()
            raise
        self._kind = protocol.server_kind(models)
        self._check_name(models)
        self._served = next((model for model in models if model.name == name), None)
        self._context = self._served.context if self._served else None
        self._dialect = Dialect(name, self._kind, options, self._url)
        self._sampling = ""
        self._fingerprints: set[str] = set()
        self._failing: set[str] = set()
        self._unanswered_samples = 0
        if self._dialect.prefill is None:
            _LOG.warning(
                "cannot tell whether the server %s continues an opened answer: sending prompts "
                "without their prefill (to send it: --server-prefill continue)",
                self._url,
            )

    @property
    def info(self) -> ModelInfo:
        """Name, back-end, identity; `details` tell what the server did not take so far."""
        fingerprints = sorted(self._fingerprints)[:_LISTED]
        identity = {
            "base_url": self._url,
            "model": self._name,
            "prefill": self._dialect.prefill_words,
        }
        traits = self._served.traits if self._served else {}
        return ModelInfo(
            name=self._name,
            backend="openai",
            identity={**identity, **({"served": dict(traits)} if traits else {})},
            details={
                "openai": self._openai.__version__,
                "server": self._kind or "unknown",
                "context": self._context,
                **self._dialect.details,
                **({"sampling": self._sampling} if self._sampling else {}),
                **({"system_fingerprint": fingerprints} if fingerprints else {}),
                "concurrency": self._options.concurrency,
            },
        )

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield the samples in the order in which the server finishes them.

        A prompt that the server does not answer, though it answers others, is `UNANSWERED`. Raises
        `InfrastructureError` when the server stays out of reach or busy after all retries or sends
        nonsense, and `UsageError` when it refuses the model, the key or a parameter.
        """
        jobs = (
            _Job(request, sample, seed)
            for request in requests
            for sample, seed in zip(request.samples, request.seeds, strict=True)
        )
        watch = _SameTexts()
        for completion in self._loop.stream(
            (partial(self._complete, job, parameters) for job in jobs), self._options.concurrency
        ):
            watch.add(completion)
            yield completion
        if parameters.temperature >= _WARM and watch.all_same:
            self._sampling = "all samples of a problem are the same"
            _LOG.warning(
                "all samples of each problem are identical at temperature %g: the server %s seems "
                "to ignore the temperature or the seed, so pass@k is meaningless for k > 1",
                parameters.temperature,
                self._url,
            )

    def follow(self, feed: Feed[Request], parameters: SamplingParameters) -> Iterator[Completion]:
        """Yield the samples of requests that come while others are answered; see `generate`.

        Each request is for one sample.
        """

        async def complete(request: Request) -> Completion:
            (sample,), (seed,) = request.samples, request.seeds
            return await self._complete(_Job(request, sample, seed), parameters)

        return self._loop.follow(feed, complete, self._options.concurrency)

    def close(self) -> None:
        """Close the connections. Idempotent."""
        if not self._client.is_closed():
            self._loop.run(self._client.close())
        self._loop.close()

    async def _complete(self, job: _Job, parameters: SamplingParameters) -> Completion:
        try:
            completion = await self._answer(job, parameters)
        except FailedRequestError as failure:
            return await self._unanswered(job, parameters, failure)
        self._failing.clear()
        return completion

    async def _answer(self, job: _Job, parameters: SamplingParameters) -> Completion:
        started = time.perf_counter()
        prompt = job.request.prompt
        try:
            answer = await self._ask(job, parameters, parameters.max_tokens)
        except _PromptTooLongError as overflow:
            found = await self._ask_for_less(job, parameters, overflow.limit)
            if isinstance(found, Completion):
                return found
            answer = found
        content, reason = answer.content, answer.finish_reason
        cut = first_stop(content, self._dialect.stops(prompt, parameters))
        if cut is not None:  # a server may ignore stop strings, or leave them at the end
            content, reason = content[:cut], FinishReason.STOP
        if answer.fingerprint and len(self._fingerprints) < _LISTED:
            self._fingerprints.add(answer.fingerprint)
        return self._completion(
            job,
            self._whole_text(answer, content, reason, prompt),
            reason,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            seconds=time.perf_counter() - started,
            tool_calls=answer.tool_calls,
        )

    def _completion(self, job: _Job, text: str, reason: FinishReason, **fields: Any) -> Completion:
        prefill = "" if self._dialect.prefill is None else None
        name = job.request.problem_id
        return Completion(name, job.sample, text, reason, prefill=prefill, **fields)

    async def _unanswered(
        self, job: _Job, parameters: SamplingParameters, failure: FailedRequestError
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
        return self._completion(job, "", FinishReason.UNANSWERED, detail=str(failure.error))

    async def _works(
        self, job: _Job, parameters: SamplingParameters, failure: FailedRequestError
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
        self, job: _Job, parameters: SamplingParameters, limit: int | None
    ) -> protocol.ServerAnswer | Completion:
        """Some servers count `max_tokens` in: ask for what is left, if the prompt alone fits."""
        limit = limit or self._context
        too_long = self._completion(job, "", FinishReason.PROMPT_TOO_LONG, completion_tokens=0)
        if limit is None or parameters.max_tokens == 1:
            return too_long
        try:
            probe = await self._ask(job, parameters, 1)
            room = 0 if probe.prompt_tokens is None else limit - probe.prompt_tokens
            if room <= 1:
                return probe if room == 1 else too_long
            return await self._ask(job, parameters, min(room, parameters.max_tokens))
        except _PromptTooLongError:
            return too_long

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
        self, job: _Job, parameters: SamplingParameters, max_tokens: int
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
                            raise _PromptTooLongError(limit) from error
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

    async def _not_found(self, error: Any) -> RecodeError:
        models = await self._list_models()
        if not models:
            return UsageError(
                f"the server {self._url} has no model {self._name!r}, or no chat completions at"
                f" this URL (HTTP 404: {self._errors.words(error)}); does --base-url end in /v1?"
            )
        return self._unknown_name(models)

    def _check_name(self, models: list[protocol.ServedModel]) -> None:
        """Refuse a wrong name at once where the list is known to be complete."""
        if self._kind is not None and all(model.name != self._name for model in models):
            self.close()
            raise self._unknown_name(models)

    def _unknown_name(self, models: list[protocol.ServedModel]) -> UsageError:
        names = ", ".join(protocol.shorten(model.name) for model in models[:_LISTED])
        more = f" and {len(models) - _LISTED} more" if len(models) > _LISTED else ""
        return UsageError(
            f"the server {self._url} has no model {self._name!r}; it has {names}{more}"
        )

    async def _list_models(self) -> list[protocol.ServedModel]:
        """The models the server has; empty where it does not tell.

        Not every server can: some have no such endpoint, others fail there and yet answer chats.
        """
        client = self._client.with_options(max_retries=min(self._options.max_retries, 2))
        try:
            raw = await client.models.with_raw_response.list()
        except (self._openai.AuthenticationError, self._openai.PermissionDeniedError) as error:
            raise self._errors.explain(error) from error
        except self._openai.APIStatusError:
            return []
        except self._openai.OpenAIError as error:
            raise self._errors.explain(error) from error
        return protocol.parse_models(raw.http_response.content)


def _read_key(variable: str) -> str:
    """Return the key, empty if none is set. Raises `UsageError` when no header can carry it."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise UsageError(
            f"the key in the environment variable {variable} has characters that an HTTP header "
            "cannot carry"
        )
    return key


def _import_openai() -> Any:
    try:
        import openai
    except ImportError:
        raise UsageError(
            "the openai back-end needs the package openai; pip install 'recode-eval[openai]'"
        ) from None
    return openai


BACKEND: Final = Backend(
    lambda name, options, _: OpenAIModel(name, options),
    frozenset(
        {
            "base_url",
            "api_key_env",
            "concurrency",
            "request_timeout",
            "max_retries",
            "server_prefill",
        }
    ),
    calls_tools=True,
)
