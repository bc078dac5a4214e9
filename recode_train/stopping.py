"""Trainings that end without a result worth keeping: the errors that say so.

The command worked and found something wrong, so the exit code is that of a failed check, never that
of a wrong setting or of a bug. The run is not `finished`; its checkpoints stay.
"""

from __future__ import annotations

from recode_eval.errors import ExitCode, RecodeError


class TrainingStoppedError(RecodeError):
    """The training ended before its last step, or without any effect.

    >>> from recode_train import TrainingStoppedError
    >>> error = TrainingStoppedError("The training diverged.")
    >>> str(error), int(error.exit_code)
    ('The training diverged.', 1)
    """

    exit_code = ExitCode.CHECK_FAILED


class DivergedError(TrainingStoppedError):
    """The loss, the gradients or the weights are no finite numbers any more."""


class BarrenError(TrainingStoppedError):
    """No update, or none of many in a row, had a gradient: there is nothing to learn from."""
