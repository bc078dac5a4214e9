"""What manifest.json says of a run: who answered, how it was asked and graded, where and when."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from recode_eval.costs.of_run import stored_pricing
from recode_eval.run import provenance
from recode_eval.run.store import MANIFEST_VERSION
from recode_eval.tasks.base import BadRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.run.evaluation import Run

FINGERPRINT: Final = "system_fingerprint"
"""Among a server's details: the list of what it called its system in its answers."""


def manifest_of(run: Run, before: Mapping[str, Any], *, working: bool) -> dict[str, Any]:
    """Return the manifest of a run that goes on from an earlier one; `before` may be empty.

    `working`: this invocation generates or grades, and is recorded.
    """
    invocations = list(before.get("invocations", []))
    if working or not invocations:
        invocations.append(provenance.invocation())
    return {
        "schema_version": MANIFEST_VERSION,
        "identity": run.identity,
        "model": {
            "name": run.model_info.name,
            "backend": run.model_info.backend,
            "details": {
                **_kept(before.get("model", {}).get("details", {})),
                **run.model_info.details,
            },
        },
        "task": {
            "name": run.task.spec.name,
            "version": run.task.spec.version,
            "source": run.data.source,
            "data_hash": run.data.content_hash,
            "language": run.task.spec.language,
            "bad_rows": [str(row) for row in run.data.bad_rows],
            "skipped": [*map(str, run.data.skipped), *_undocumented(run)],
            "quarantined": [str(row) for row in run.data.quarantined],
        },
        "prompt": {
            "name": run.prompt.name,
            "source": run.prompt.source,
            "hash": run.prompt.template.content_hash,
            "update_note": run.prompt.update_note,
            **({} if run.prompt.docs is None else {"docs": run.prompt.docs.summary}),
        },
        "sampling": {"n": run.selection.n, **asdict(run.sampling)},
        "selection": {"problems": len(run.problems), **asdict(run.selection)},
        "scoring": {
            "hash": run.scoring_hash,
            **asdict(run.scoring),
        },
        "sandbox": before.get("sandbox"),
        **_pricing(run, before),
        "settings": run.settings or before.get("settings", {}),
        "created": before.get("created", provenance.now()),
        "invocations": invocations,
    }


def _undocumented(run: Run) -> list[str]:
    """Name the problems that the documentation arm has nothing for."""
    docs = run.prompt.docs
    if docs is None:
        return []
    return [str(BadRow(key, f"the arm {docs.arm}: {why}")) for key, why in docs.missing.items()]


def _pricing(run: Run, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the price as the manifest has it; {} where nobody ever gave one."""
    if run.pricing is None and "pricing" in before:
        run.pricing = stored_pricing(before["pricing"], run.folder)
    return {} if run.pricing is None else {"pricing": run.pricing.to_json()}


def _kept(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an earlier part of the run learnt of a server's answers."""
    return {key: details[key] for key in (FINGERPRINT,) if key in details}
