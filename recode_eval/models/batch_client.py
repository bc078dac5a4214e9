"""The batch endpoints of an OpenAI-compatible server: files in, batches, files out.

A server's words may be anything; what is read of them is checked. What must not happen twice (the
creation of a batch) is never retried here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from recode_eval.errors import InfrastructureError, RecodeError, UsageError
from recode_eval.models import openai_protocol as protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from recode_eval.models.openai_errors import ErrorWords

T = TypeVar("T")

KEY: Final = "recode_eval"
"""The metadata that names a batch's intent."""
ENDPOINT: Final = "/v1/chat/completions"
_WINDOW: Final = "24h"
_ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
_PAGE: Final = 100
_MOST_PAGES: Final = 100
_NOT_SUPPORTED: Final = frozenset({404, 405, 501})


class BusyError(Exception):
    """The server takes no more batches for now; `error` is what to raise if none is running."""

    def __init__(self, error: RecodeError) -> None:
        super().__init__(str(error))
        self.error = error


class UncertainError(Exception):
    """Nobody knows whether the server made the batch; `error` says why."""

    def __init__(self, error: RecodeError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Batch:
    """What a server says of a batch."""

    name: str
    status: str
    files: tuple[str, ...] = ()
    """Output first, then errors; those that there are."""
    total: int | None = None
    done: int | None = None
    complaint: str = ""
    """Why the server did not take it."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in _ENDED


class BatchClient:
    """Calls of one server; each returns when the server has answered."""

    def __init__(
        self,
        openai: Any,
        client: Any,
        url: str,
        errors: ErrorWords,
        run: Callable[[Coroutine[Any, Any, Any]], Any],
    ) -> None:
        """`run` runs a coroutine of the client to its end."""
        self._openai, self._client, self._url = openai, client, url
        self._errors, self._run = errors, run

    def check(self) -> None:
        """Raise `UsageError` if the server has no batch jobs, or the error that it answers."""
        self._call(self._client.batches.with_raw_response.list(limit=1))

    def upload(self, lines: bytes) -> str:
        """Store the requests of a batch on the server, and return the file's name."""
        raw = self._call(
            self._client.files.with_raw_response.create(
                file=("requests.jsonl", lines), purpose="batch"
            )
        )
        return _name(self._object(raw).get("id"), self._url)

    def create(self, file: str, key: str) -> Batch:
        """Make a batch of a file.

        Raises:
            BusyError: the server takes no more for now.
            UncertainError: it may have made the batch, or not.
            UsageError: it refuses the batch.
        """
        client = self._client.with_options(max_retries=0)
        creation = client.batches.with_raw_response.create(
            input_file_id=file,
            endpoint=ENDPOINT,
            completion_window=_WINDOW,
            metadata={KEY: key},
        )
        try:
            raw = self._run(_awaited(creation))
            return _batch(self._object(raw), self._url)
        except self._openai.RateLimitError as error:
            raise BusyError(self._errors.explain(error)) from error
        except self._openai.APIStatusError as error:
            if error.status_code < 500:
                raise self._explained(error) from error
            raise UncertainError(self._errors.explain(error)) from error
        except self._openai.OpenAIError as error:
            raise UncertainError(self._errors.explain(error)) from error
        except InfrastructureError as error:  # an answer that is none
            raise UncertainError(error) from error

    def retrieve(self, name: str) -> Batch | None:
        """Return what has become of a batch; None: the server does not know it."""
        try:
            raw = self._run(_awaited(self._client.batches.with_raw_response.retrieve(name)))
        except self._openai.NotFoundError:
            return None
        except self._openai.OpenAIError as error:
            raise self._explained(error) from error
        return _batch(self._object(raw), self._url)

    def find(self, key: str) -> Batch | None:
        """Return the batch that carries a key; None: the server has none."""
        after: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            raw = self._call(self._client.batches.with_raw_response.list(limit=_PAGE, **after))
            page = self._object(raw)
            entries = page.get("data")
            if not isinstance(entries, list):
                raise self._nonsense("a list of batches")
            for entry in entries:
                meta = entry.get("metadata") if isinstance(entry, dict) else None
                if isinstance(meta, dict) and meta.get(KEY) == key:
                    return _batch(entry, self._url)
            last = entries[-1].get("id") if entries and isinstance(entries[-1], dict) else None
            if not page.get("has_more") or last is None or after.get("after") == last:
                return None
            after = {"after": _name(last, self._url)}
        return None

    def download(self, file: str) -> bytes | None:
        """Return a file; None: the server does not have it any more."""
        try:
            raw = self._run(_awaited(self._client.files.with_raw_response.content(file)))
        except self._openai.NotFoundError:
            return None
        except self._openai.OpenAIError as error:
            raise self._explained(error) from error
        content: bytes = raw.http_response.content
        return content

    def _call(self, request: Awaitable[Any]) -> Any:
        try:
            return self._run(_awaited(request))
        except self._openai.OpenAIError as error:
            raise self._explained(error) from error

    def _explained(self, error: Any) -> RecodeError:
        if getattr(error, "status_code", None) in _NOT_SUPPORTED:
            return UsageError(
                f"the server {self._url} has no batch jobs (HTTP {error.status_code}: "
                f"{self._errors.words(error)}); leave out --batch"
            )
        return self._errors.explain(error)

    def _object(self, raw: Any) -> dict[str, Any]:
        try:
            content = json.loads(raw.http_response.content)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise self._nonsense("a JSON object")
        return content

    def _nonsense(self, expected: str) -> InfrastructureError:
        return InfrastructureError(
            f"the server {self._url} answered something other than {expected} about its batch "
            "jobs; repeat the command"
        )


async def _awaited(request: Awaitable[T]) -> T:
    return await request


def _name(value: Any, url: str) -> str:
    """Return a name that is safe in a URL; raises `InfrastructureError`."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InfrastructureError(
            f"the server {url} names a file or batch {protocol.shorten(ascii(value))}, which is no "
            "name; repeat the command"
        )
    return value


def _batch(content: dict[str, Any], url: str) -> Batch:
    files = [content.get(key) for key in ("output_file_id", "error_file_id")]
    counts = content.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    done = [counts.get(key) for key in ("completed", "failed")]
    numbers = [value for value in done if type(value) is int]
    total = counts.get("total")
    errors = content.get("errors")
    told = errors.get("data") if isinstance(errors, dict) else None
    words = [
        str(item.get("message")) for item in (told if isinstance(told, list) else [])
        if isinstance(item, dict) and item.get("message")
    ]  # fmt: skip
    return Batch(
        _name(content.get("id"), url),
        str(content.get("status"))[:40],
        tuple(_name(file, url) for file in files if file),
        total if type(total) is int else None,
        sum(numbers) if numbers else None,
        protocol.shorten("; ".join(words[:3])),
    )
