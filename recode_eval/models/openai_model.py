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
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import RecodeError, UsageError
from recode_eval.models import openai_protocol as protocol
from recode_eval.models.backend import Backend
from recode_eval.models.base import ModelInfo
from recode_eval.models.deadline import client_with_deadline
from recode_eval.models.openai_asking import Asking, Job
from recode_eval.models.openai_dialect import Dialect
from recode_eval.models.openai_errors import ErrorWords
from recode_eval.models.request_options import check_no_key
from recode_eval.models.streaming import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from recode_eval.models.base import Completion, Model, Request, SamplingParameters
    from recode_eval.models.batch_client import BatchClient
    from recode_eval.models.feed import Feed
    from recode_eval.models.options import ModelOptions

_LOG: Final = logging.getLogger(__name__)
_NO_KEY: Final = "none"
"""Local servers want no key, but the protocol's header cannot be empty."""
_WARM: Final = 0.5
"""Temperature from which ten pairs of equal samples are not a coincidence."""
_ENOUGH_PAIRS: Final = 10
_LISTED: Final = 8
"""Models named in an error message."""


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
        check_no_key(options.request, self._key)
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
        self._asking = Asking(
            openai,
            self._client,
            self._dialect,
            self._errors,
            self._url,
            self._context,
            self._not_found,
        )
        if self._dialect.prefill is None:
            _LOG.warning(
                "cannot tell whether the server %s continues an opened answer: sending prompts "
                "without their prefill (to send it: --server-prefill continue)",
                self._url,
            )

    @property
    def info(self) -> ModelInfo:
        """Name, back-end, identity; `details` tell what the server did not take so far."""
        fingerprints = sorted(self._asking.fingerprints)
        identity = {
            "base_url": self._url,
            "model": self._name,
            "prefill": self._dialect.prefill_words,
        }
        traits = self._served.traits if self._served else {}
        return ModelInfo(
            name=self._name,
            backend="openai",
            identity={
                **identity,
                **({"served": dict(traits)} if traits else {}),
                **({"request": dict(self._options.request)} if self._options.request else {}),
            },
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
            Job(request, sample, seed)
            for request in requests
            for sample, seed in zip(request.samples, request.seeds, strict=True)
        )
        watch = _SameTexts()
        for completion in self._loop.stream(
            (partial(self._asking.complete, job, parameters) for job in jobs),
            self._options.concurrency,
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

    def batched(self, place: Path, log: Callable[[str], None]) -> Model:
        """Return the same model, asked by batch jobs that the file `place` keeps account of."""
        from recode_eval.models.openai_batch import BatchedModel

        client = self._batches()
        return BatchedModel(
            self, client, self._asking, self._dialect, self._errors, self._url, place, log
        )

    def check_batches(self) -> None:
        """Raise `UsageError` if the server has no batch jobs."""
        self._batches().check()

    def _batches(self) -> BatchClient:
        from recode_eval.models.batch_client import BatchClient

        return BatchClient(self._openai, self._client, self._url, self._errors, self._loop.run)

    def follow(self, feed: Feed[Request], parameters: SamplingParameters) -> Iterator[Completion]:
        """Yield the samples of requests that come while others are answered; see `generate`.

        Each request is for one sample.
        """

        async def complete(request: Request) -> Completion:
            (sample,), (seed,) = request.samples, request.seeds
            return await self._asking.complete(Job(request, sample, seed), parameters)

        return self._loop.follow(feed, complete, self._options.concurrency)

    def close(self) -> None:
        """Close the connections. Idempotent."""
        if not self._client.is_closed():
            self._loop.run(self._client.close())
        self._loop.close()

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
            "request",
        }
    ),
    calls_tools=True,
)
