"""What programs that ask models themselves tell of the updates: one arm, for one task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.documentation.arms import Kind
from recode_eval.errors import UsageError
from recode_eval.run.config_parts import DocsOptions
from recode_eval.run.docs import Documentation
from recode_eval.run.sandboxes import Sandboxes

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.documentation.shown import PromptDocs
    from recode_eval.run.config import RunConfig
    from recode_eval.tasks.loading import LoadedTask


def one_arm(docs: str | None, *, update_note: bool) -> DocsOptions:
    """Return the options of the arm `docs`; `update_note` chooses where none is named.

    Raises `UsageError` for an arm together with `update_note` false, which means `none`.

    >>> one_arm(None, update_note=False).arms
    ('none',)
    >>> one_arm("changelog", update_note=True).arms
    ('changelog',)
    """
    if docs is None:
        return DocsOptions(arms=(Kind.NOTE.value if update_note else Kind.NONE.value,))
    if not update_note and docs != Kind.NONE:
        raise UsageError("update_note=false means docs=none; give one of them.")
    return DocsOptions(arms=(docs,))


def told(
    loaded: LoadedTask, config: RunConfig, log: Callable[[str], None] = lambda _: None
) -> tuple[bool, PromptDocs | None]:
    """Return whether templates tell of the update, and what the arm shows instead, if anything.

    `config` names the arm, the selection of problems and the sandbox that asks releases.

    Raises:
        UsageError: it names several arms, or one that the task has nothing for.
        InfrastructureError: a release cannot be asked now.
    """
    with Sandboxes(config.sandbox, log) as sandboxes:
        documentation = Documentation(config, sandboxes, log)
        if len(documentation.arms) != 1:
            raise UsageError("Name one arm of --docs: each needs prompts of its own.")
        [arm] = documentation.arms
        documentation.prepare([loaded])
        return arm.kind is Kind.NOTE, documentation.of(loaded, arm)
