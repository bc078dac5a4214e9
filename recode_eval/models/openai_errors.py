"""Whose fault it is when a request to a server fails, in words that name the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError, RecodeError, UsageError
from recode_eval.models import openai_protocol as protocol
from recode_eval.models.proxies import proxy_variable

if TYPE_CHECKING:
    from recode_eval.models.options import ModelOptions

_REFUSALS: Final = frozenset({400, 403, 413, 422, 451})


class FailedRequestError(Exception):
    """A request failed for good: `error` is what to raise if the prompt is not to blame for it."""

    def __init__(self, error: RecodeError, *, refused: bool, alive: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.refused = refused
        """The server refused the request, which costs no retries, instead of failing at it."""
        self.alive = alive
        """The failure itself shows that the server works."""


class ErrorWords:
    """Explains the errors of the client library for one server."""

    def __init__(self, openai: Any, url: str, key: str, options: ModelOptions) -> None:
        self._openai, self._url, self._key, self._options = openai, url, key, options

    def words(self, error: Any) -> str:
        """The server's complaint, without the key that it may have repeated in it."""
        return self.without_key(protocol.complaint(error.body, str(error)))

    def without_key(self, words: str) -> str:
        """Return what a server said, without the key."""
        return words.replace(self._key, "***") if self._key else words

    def failed(self, error: Any, *, prefilled: bool) -> Exception:
        """Return what to raise: a `FailedRequestError` where one prompt may be the reason."""
        explained = self.explain(error, prefilled=prefilled)
        status = getattr(error, "status_code", None)
        if status in _REFUSALS:
            return FailedRequestError(explained, refused=True)
        if isinstance(error, self._openai.APIConnectionError) or (status or 0) >= 500:
            return FailedRequestError(explained, refused=False)
        return explained

    def explain(self, error: Any, *, prefilled: bool = False) -> RecodeError:
        """Decide whose fault an error of the client library is."""
        openai, url, options = self._openai, self._url, self._options
        if isinstance(error, openai.APITimeoutError):
            return InfrastructureError(
                f"the server {url} did not answer within {options.request_timeout:g} s, after"
                f" {options.max_retries} retries; raise --request-timeout or lower --concurrency"
            )
        if isinstance(error, openai.APIConnectionError):
            cause = protocol.shorten(str(error.__cause__ or error))
            return InfrastructureError(
                f"the server {url} refuses or drops the connection ({cause}), after"
                f" {options.max_retries} retries; is it running, and is --base-url right?"
                f"{self._proxy_hint()}"
            )
        if not isinstance(error, openai.APIStatusError):
            return InfrastructureError(f"the server {url}: {self.words(error)}")
        status, words = error.status_code, self.words(error)
        if status in {401, 403}:
            return UsageError(
                f"the server {url} refuses access (HTTP {status}: {words}); set the right key in "
                f"the environment variable {options.api_key_env}"
            )
        if status == 429:
            return InfrastructureError(
                f"the server {url} is busy or the quota is exhausted (HTTP 429: {words}), after "
                f"{options.max_retries} retries; lower --concurrency and run again"
            )
        if 400 <= status < 500:
            hint = (
                "; if it is the opened answer that it refuses, give --server-prefill omit"
                if prefilled
                else ""
            )
            return UsageError(
                f"the server {url} refuses the request (HTTP {status}: {words}){hint}"
            )
        return InfrastructureError(
            f"the server {url} failed (HTTP {status}: {words}), after {options.max_retries} "
            f"retries; check its log and run again{self._proxy_hint()}"
        )

    def _proxy_hint(self) -> str:
        variable = proxy_variable(self._url)
        if variable is None:
            return ""
        return (
            f" The request went through the proxy in the environment variable {variable}; NO_PROXY "
            "exempts hosts from it."
        )
