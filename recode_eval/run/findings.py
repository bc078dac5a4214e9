"""What stands in the way of a run, all of it at once: errors that end it, and notes.

Several errors become one. Its kind, and so the exit code, is the first of these that occurs: the
user's mistakes (`UsageError`), the data's (`DataError`), the machine's (`InfrastructureError`): the
user mends the command first, and only a right command says which data and machine it needs.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recode_eval.errors import (
    DataError,
    InfrastructureError,
    RecodeError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = (UsageError, DataError, InfrastructureError)


@dataclass(slots=True)
class Findings:
    """Errors and notes in the order in which they were found, each once."""

    errors: list[RecodeError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep an error of the block instead of raising it.

        >>> found = Findings()
        >>> with found.collecting():
        ...     raise UsageError("no such thing")
        >>> found.errors
        [UsageError('no such thing')]
        """
        try:
            yield
        except RecodeError as error:
            if str(error) not in map(str, self.errors):
                self.errors.append(error)

    def note(self, text: str) -> None:
        """Keep what does not end the run."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def error(self) -> RecodeError | None:
        """The one error that stands for all; None if there is none.

        >>> found = Findings([InfrastructureError("no sandbox"), UsageError("no such task")])
        >>> found.error
        UsageError('2 things are in the way: (1) no sandbox (2) no such task')
        """
        if len(self.errors) < 2:
            return self.errors[0] if self.errors else None
        kind = next(
            kind
            for kind in (*_KINDS, RecodeError)
            if any(isinstance(error, kind) for error in self.errors)
        )
        if all(isinstance(error, StorageError) for error in self.errors):
            kind = StorageError
        told = " ".join(f"({number}) {error}" for number, error in enumerate(self.errors, 1))
        return kind(f"{len(self.errors)} things are in the way: {told}")

    def raise_if_any(self) -> None:
        """Raise `error`, if there is one."""
        error = self.error
        if error is not None:
            raise error
