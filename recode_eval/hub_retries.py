"""One line for a hub that does not answer at once, instead of two for each of its retries.

The hub's client logs every failed request and every wait, six pairs of lines with long addresses
for a machine without a network. The error that follows them says all that a user needs.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLIENTS: Final = ("huggingface_hub.utils._http", "huggingface_hub.file_download")
"""Loggers of the hub's client that report requests."""


class _FirstOnly(logging.Filter):
    """Passes the first warning, in our words, and drops those after it; errors pass."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is logged; rewrites the first."""
        if record.levelno != logging.WARNING or not _about_a_retry(record.getMessage()):
            return True
        if self._told:
            return False
        self._told = True
        reason = one_line(record.getMessage().partition(" thrown while requesting ")[0], 120)
        record.msg = f"The hub does not answer yet ({reason}); trying again for half a minute."
        record.args = ()
        return True


def _about_a_retry(text: str) -> bool:
    return " thrown while requesting " in text or "[Retry " in text


@contextlib.contextmanager
def retries_in_one_line() -> Iterator[None]:
    """Let the hub's client say once, in one line, that it tries again.

    >>> import logging
    >>> client = logging.getLogger("huggingface_hub.utils._http")
    >>> def record(text):
    ...     return logging.LogRecord("", logging.WARNING, "", 0, text, (), None)
    >>> first = record("'no route' thrown while requesting GET https://hub.example/x")
    >>> with retries_in_one_line():
    ...     bool(client.filter(first)), bool(client.filter(record("Retrying in 1s [Retry 1/5].")))
    (True, False)
    >>> first.getMessage()
    "The hub does not answer yet ('no route'); trying again for half a minute."
    """
    once = _FirstOnly()
    loggers = [logging.getLogger(name) for name in _CLIENTS]
    for logger in loggers:
        logger.addFilter(once)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(once)
