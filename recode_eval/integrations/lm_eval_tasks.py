"""What the tasks that `export-tasks --format lm-eval` writes call: rows, and the grader.

lm-eval judges one sample at a time, so programs run one after the other. A sample that the machine
could not grade has no metric: lm-eval averages over the others.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from recode_eval.documentation.shown import DOCS, PromptDocs, parse_docs
from recode_eval.errors import DataError
from recode_eval.integrations.graders import shared_grader
from recode_eval.run.config import SandboxOptions
from recode_eval.sandbox.factory import check_tier
from recode_eval.task_exports import ExportOptions, prompts
from recode_eval.tasks.loading import load_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_loaded = functools.cache(load_task)
_sandboxes: dict[tuple[str, str | None], SandboxOptions] = {}
"""By task and rows. Not in the rows: where a sample is graded is no part of the question."""


def dataset(
    recode_task: str,
    recode_prompt: str,
    recode_update_note: bool = True,
    recode_data: str | None = None,
    recode_data_hash: str = "",
    recode_problems: Sequence[str] | None = None,
    recode_docs: Mapping[str, str] | None = None,
    recode_sandbox: str = "auto",
    folder: Path = Path(),
    **_: Any,
) -> dict[str, Dataset]:
    """Return the split `test`: a row per problem with its prompt and cluster.

    `folder` is that of the exported files, `recode_sandbox` the tier that grades (`lm_eval run
    --metadata recode_sandbox=landlock`).

    Raises:
        UsageError: there is no such tier.
        DataError: the rows found here are not those that the task was exported with, or the texts
            of its documentation arm are missing or changed.
    """
    check_tier(recode_sandbox)
    _sandboxes[recode_task, recode_data] = SandboxOptions(tier=recode_sandbox)
    loaded = _loaded(recode_task, recode_data)
    if recode_data_hash and loaded.data.content_hash != recode_data_hash:
        raise DataError(
            f"The rows of {recode_task} differ from those that the task was exported with; export "
            "it again: recode-eval export-tasks --format lm-eval"
        )
    wanted = None if recode_problems is None else set(recode_problems)
    chosen = tuple(p for p in loaded.problems if wanted is None or p.id in wanted)
    docs = None if recode_docs is None else _docs(folder / DOCS, recode_docs)
    options = ExportOptions(
        prompt=recode_prompt, update_note=recode_update_note, problems=chosen, docs=docs
    )
    rows = [
        {
            "recode_task": recode_task,
            "recode_data": recode_data or "",
            "id": problem.id,
            "cluster": problem.cluster,
            "prompt": prompt.messages[0].content,
        }
        for problem, prompt in prompts(loaded, options)
    ]
    return {"test": Dataset.from_list(rows)}


def _docs(path: Path, identity: Mapping[str, str]) -> PromptDocs:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read {path} ({error}); export the task again.") from error
    return parse_docs(text, dict(identity), str(path))


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return `pass` of an answer, 1 or 0; nothing if it could not be graded."""
    named = str(doc["recode_task"]), doc["recode_data"] or None
    grader = shared_grader(_loaded(*named), _sandboxes.get(named, SandboxOptions()))
    reward = grader(str(doc["id"]), str(results[0]))
    return {} if reward is None else {"pass": reward}
