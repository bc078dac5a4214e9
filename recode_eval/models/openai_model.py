"""Any OpenAI-compatible server: chat completions over HTTP, many requests at a time.

Every sample is a request of its own with its own seed, never one request with `n`: servers derive
the seeds of `n` choices in their own ways or ignore `n`, and a resumed run must get exactly the
samples it still lacks. Servers share the prompt's computation between such requests anyway.

The key comes from the environment variable that the options name. It is sent to the base URL and
goes nowhere else: no log, no record, no error message.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError, RecodeError, UsageError
from recode_eval.models import openai_protocol as protocol
from recode_eval.models.backend import Backend
from recode_eval.models.base import Completion, FinishReason, ModelInfo
from recode_eval.models.chat import well_formed
from recode_eval.models.deadline import client_with_deadline
from recode_eval.models.streaming import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.models.base import Prompt, Request, SamplingParameters
    from recode_eval.models.options import ModelOptions

_LOG: Final = logging.getLogger(__name__)
_NO_KEY: Final = "none"
"""Local servers want no key, but the protocol's header cannot be empty."""
_WARM: Final = 0.5
"""Temperature from which ten pairs of equal samples are not a coincidence."""
_ENOUGH_PAIRS: Final = 10
_LISTED: Final = 8
"""Models named in an error message."""


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
            http_client=client_with_deadline(options.request_timeout),
        )
        self._loop = BackgroundLoop("recode-eval-openai")
        try:
            models = self._loop.run(self._list_models())
        except BaseException:
            self._loop.close()
            raise
        self._kind = protocol.server_kind(models)
        self._check_name(models)
        self._context = next((model.context for model in models if model.name == name), None)
        self._prefill = protocol.prefill_settings(self._kind, options.server_prefill)
        self._length_field = "max_tokens"
        self._sends_seed = True
        self._sampling = ""
        if self._prefill is None:
            _LOG.warning(
                "cannot tell whether the server %s continues an opened answer: sending prompts "
                "without their prefill (to send it: --server-prefill continue)",
                self._url,
            )

    @property
    def info(self) -> ModelInfo:
        """Name, back-end, identity; `details` tell what the server did not take so far."""
        prefill = "omitted" if self._prefill is None else "continued by the server"
        return ModelInfo(
            name=self._name,
            backend="openai",
            identity={"base_url": self._url, "model": self._name, "prefill": prefill},
            details={
                "openai": self._openai.__version__,
                "server": self._kind or "unknown",
                "context": self._context,
                "prefill": prefill,
                "seeds": "sent" if self._sends_seed else "refused by the server",
                **({"sampling": self._sampling} if self._sampling else {}),
                "concurrency": self._options.concurrency,
            },
        )

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield the samples in the order in which the server finishes them.

        Raises `InfrastructureError` when the server stays out of reach or busy after all retries
        or sends nonsense, and `UsageError` when it refuses the model, the key or a parameter.
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

    def close(self) -> None:
        """Close the connections. Idempotent."""
        if not self._client.is_closed():
            self._loop.run(self._client.close())
        self._loop.close()

    async def _complete(self, job: _Job, parameters: SamplingParameters) -> Completion:
        started = time.perf_counter()
        prompt = job.request.prompt
        try:
            answer = await self._ask(job, parameters, parameters.max_tokens)
        except _PromptTooLongError as overflow:
            found = await self._ask_for_less(job, parameters, overflow.limit)
            if isinstance(found, Completion):
                return found
            answer = found
        text = self._whole_text(answer, prompt)
        reason = answer.finish_reason
        cuts = [at for at in map(text.find, parameters.stop) if at >= 0]
        if cuts:  # a server may ignore stop strings, or leave them at the end
            text, reason = text[: min(cuts)], FinishReason.STOP
        return Completion(
            job.request.problem_id,
            job.sample,
            text,
            reason,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            seconds=time.perf_counter() - started,
            prefill="" if self._prefill is None else None,
        )

    async def _ask_for_less(
        self, job: _Job, parameters: SamplingParameters, limit: int | None
    ) -> protocol.ServerAnswer | Completion:
        """Some servers count `max_tokens` in: ask for what is left, if the prompt alone fits."""
        limit = limit or self._context
        too_long = Completion(
            job.request.problem_id,
            job.sample,
            "",
            FinishReason.PROMPT_TOO_LONG,
            completion_tokens=0,
            prefill="" if self._prefill is None else None,
        )
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

    def _whole_text(self, answer: protocol.ServerAnswer, prompt: Prompt) -> str:
        """Put back the think block that some servers split off into a field of its own."""
        if not answer.reasoning:
            return answer.content
        opened = self._prefill is not None and "<think>" in prompt.prefill
        closing = "</think>" if answer.content or answer.finish_reason is FinishReason.STOP else ""
        return f"{'' if opened else '<think>'}{answer.reasoning}{closing}{answer.content}"

    async def _ask(
        self, job: _Job, parameters: SamplingParameters, max_tokens: int
    ) -> protocol.ServerAnswer:
        """Send one request; what the server refuses by name is left out from then on."""
        while True:
            settings = self._settings(job, parameters, max_tokens)
            try:
                raw = await self._client.chat.completions.with_raw_response.create(**settings)
            except self._openai.BadRequestError as error:
                if not self._adapt(self._words(error), settings):
                    raise self._explain(error) from error
            except self._openai.UnprocessableEntityError as error:
                if not self._adapt(self._words(error), settings):
                    raise self._explain(error) from error
            except self._openai.NotFoundError as error:
                raise await self._not_found(error) from error
            except self._openai.OpenAIError as error:
                raise self._explain(error) from error
            else:
                return protocol.parse_answer(raw.http_response.content, self._url)

    def _settings(
        self, job: _Job, parameters: SamplingParameters, max_tokens: int
    ) -> dict[str, Any]:
        prompt = job.request.prompt
        messages = [
            {"role": message.role, "content": well_formed(message.content)}
            for message in prompt.messages
        ]
        extra = dict(protocol.neutral_settings(self._kind))
        if prompt.prefill and self._prefill is not None:
            messages.append({"role": "assistant", "content": well_formed(prompt.prefill)})
            extra.update(self._prefill)
        settings: dict[str, Any] = {
            "model": self._name,
            "messages": messages,
            "temperature": parameters.temperature,
            "top_p": parameters.top_p if parameters.temperature > 0 else 1.0,
            self._length_field: max_tokens,
        }
        if parameters.stop:
            settings["stop"] = list(parameters.stop)
        if self._sends_seed:
            settings["seed"] = job.seed
        if extra:
            settings["extra_body"] = extra
        return settings

    def _adapt(self, words: str, settings: dict[str, Any]) -> bool:
        """Change what the server refused; False when there is nothing left to change."""
        overflow, limit = protocol.parse_context_overflow(words)
        if overflow:
            raise _PromptTooLongError(limit)
        if "max_completion_tokens" in words and "max_tokens" in settings:
            self._length_field = "max_completion_tokens"
            return True
        if "seed" in words and "seed" in settings:
            self._sends_seed = False
            _LOG.warning("the server %s accepts no seeds: samples are not reproducible", self._url)
            return True
        return False

    def _words(self, error: Any) -> str:
        """The server's complaint, without the key that it may have repeated in it."""
        words = protocol.complaint(error.body, str(error))
        return words.replace(self._key, "***") if self._key else words

    def _explain(self, error: Any) -> RecodeError:
        """Decide whose fault an error of the client library is."""
        openai, url = self._openai, self._url
        if isinstance(error, openai.APITimeoutError):
            return InfrastructureError(
                f"the server {url} did not answer within {self._options.request_timeout:g} s, after"
                f" {self._options.max_retries} retries; raise --request-timeout or lower"
                " --concurrency"
            )
        if isinstance(error, openai.APIConnectionError):
            cause = protocol.shorten(str(error.__cause__ or error))
            return InfrastructureError(
                f"the server {url} refuses or drops the connection ({cause}), after"
                f" {self._options.max_retries} retries; is it running, and is --base-url right?"
            )
        if not isinstance(error, openai.APIStatusError):
            return InfrastructureError(f"the server {url}: {self._words(error)}")
        status, words = error.status_code, self._words(error)
        if status in {401, 403}:
            return UsageError(
                f"the server {url} refuses access (HTTP {status}: {words}); set the right key in "
                f"the environment variable {self._options.api_key_env}"
            )
        if status == 429:
            return InfrastructureError(
                f"the server {url} is busy or the quota is exhausted (HTTP 429: {words}), after "
                f"{self._options.max_retries} retries; lower --concurrency and run again"
            )
        if 400 <= status < 500:
            return UsageError(f"the server {url} refuses the request (HTTP {status}: {words})")
        return InfrastructureError(
            f"the server {url} failed (HTTP {status}: {words}), after {self._options.max_retries} "
            "retries; check its log and run again"
        )

    async def _not_found(self, error: Any) -> RecodeError:
        models = await self._list_models()
        if not models:
            return UsageError(
                f"the server {self._url} has no model {self._name!r}, or no chat completions at"
                f" this URL (HTTP 404: {self._words(error)}); does --base-url end in /v1?"
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
            raise self._explain(error) from error
        except self._openai.APIStatusError:
            return []
        except self._openai.OpenAIError as error:
            raise self._explain(error) from error
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
)
