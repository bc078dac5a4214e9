"""Prompts as JSON Lines: for programs that ask models themselves and send the answers back.

The answers, one `{"task_id": ..., "completion": ...}` a line, are graded with
`recode-eval --model replay:FILE`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from recode_eval.task_exports import ExportOptions, TaskFile, prompts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.tasks.loading import LoadedTask


def files(loaded: LoadedTask, options: ExportOptions) -> Iterator[TaskFile]:
    """Yield one file with a line per problem."""
    options.no_images("jsonl")
    spec = loaded.task.spec
    variant = spec.prompts[options.prompt or spec.default_prompt] if spec.prompts else None
    lines = []
    for problem, prompt in prompts(loaded, options):
        content = {
            "task": spec.name,
            "task_version": spec.version,
            "task_id": problem.id,
            "cluster": problem.cluster,
            "tags": dict(problem.tags),
            "language": spec.language,
            "messages": [{"role": m.role, "content": m.content} for m in prompt.messages],
            "prefill": prompt.prefill,
            "stop": list(variant.defaults.stop) if variant else [],
            "data_hash": loaded.data.content_hash,
            **({} if options.docs is None else {"docs": options.docs.identity}),
        }
        lines.append(json.dumps(content))
    yield TaskFile(f"{spec.name}.jsonl", "".join(f"{line}\n" for line in lines))
