"""Finding a back-end by its name.

A back-end is a module with a `Backend`, and a line in `BACKENDS` or an entry point of the group
`recode_eval.models`. The command line imports this module to list the names: it loads nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, UsageError
from recode_eval.plugins import Registry

if TYPE_CHECKING:
    from recode_eval.models.backend import Backend, Solutions
    from recode_eval.models.base import Model
    from recode_eval.models.options import ModelOptions

BACKENDS: Final = Registry[Any](
    "back-end",
    "recode_eval.models",
    {
        "transformers": "recode_eval.models.transformers_model:BACKEND",
        "vllm": "recode_eval.models.vllm_model:BACKEND",
        "openai": "recode_eval.models.openai_model:BACKEND",
        "replay": "recode_eval.models.replay:BACKEND",
        "baseline": "recode_eval.models.baselines:BACKEND",
    },
)


def get_backend(name: str) -> Backend:
    """Return a back-end; loads none of its libraries.

    Raises:
        UsageError: no back-end has this name.
        DataError: another package's back-end cannot be imported, or is no `Backend`.
    """
    from recode_eval.models.backend import Backend

    found = BACKENDS.get(name)
    if not isinstance(found, Backend):
        raise DataError(
            f"The back-end {name} of another package has the type {type(found).__name__}, not"
            " recode_eval.models.backend.Backend."
        )
    return found


def backend_facts(name: str) -> Backend:
    """Return the back-end that a model or a stored result names.

    A model that a caller made itself, or a result from a machine with more packages, may name one
    that is unknown here. It counts as an ordinary back-end that generates.
    """
    from recode_eval.models.backend import Backend

    return get_backend(name) if name in BACKENDS else Backend(_refuse)


def reject_unused(name: str, options: ModelOptions) -> None:
    """Raise `UsageError` when an option was set that the back-end `name` does not heed.

    A score measured without a setting that the user asked for is a wrong score.
    """
    from dataclasses import fields

    from recode_eval.models.options import ModelOptions

    heeded = get_backend(name).options
    defaults = ModelOptions()
    for item in fields(options):
        if item.name in heeded or getattr(options, item.name) == getattr(defaults, item.name):
            continue
        # Ours alone: another package that is broken must not hide this message.
        users = [other for other in BACKENDS.builtin if item.name in get_backend(other).options]
        raise UsageError(
            f"the back-end {name!r} does not support the option {item.name} (of "
            f"{', '.join(users)}); leave it out or choose another back-end"
        )


def _refuse(name: str, _options: ModelOptions, _solutions: Solutions) -> Model:
    raise UsageError(f"the back-end of {name!r} is not installed")
