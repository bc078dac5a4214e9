"""A task for lm-eval: a YAML file, and beside it the module that it calls.

The module finds the rows and the grader in this package, which must be installed beside lm-eval.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from recode_eval.documentation.shown import DOCS
from recode_eval.errors import UsageError
from recode_eval.task_exports import ExportOptions, TaskFile, prompts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.tasks.loading import LoadedTask

_MODULE = '''"""Rows and grader of a task of recode-eval, for the YAML file beside this one."""

from pathlib import Path

import recode_eval.integrations.lm_eval_tasks as _tasks


def dataset(**named):
    return _tasks.dataset(folder=Path(__file__).parent, **named)


process_results = _tasks.process_results
'''


def files(loaded: LoadedTask, options: ExportOptions) -> Iterator[TaskFile]:
    """Yield the YAML file and its module."""
    options.no_images("lm-eval")
    spec = loaded.task.spec
    if not loaded.task.conditions:
        raise UsageError(f"The task {spec.name} has no tests, so lm-eval has nothing to score.")
    for problem, prompt in prompts(loaded, options):
        if prompt.prefill or [m.role for m in prompt.messages] != ["user"]:
            raise UsageError(
                f"The prompt {options.prompt or spec.default_prompt} has more than one message "
                f"({problem.id}), and lm-eval's tasks have one; choose another with --prompt."
            )
    variant = spec.prompts[options.prompt or spec.default_prompt]
    name = f"recode_{spec.name.replace('-', '_')}"
    # Custom data sets get the metadata as arguments.
    metadata: dict[str, Any] = {
        "version": spec.version,
        "recode_task": spec.name,
        "recode_prompt": options.prompt or spec.default_prompt,
        "recode_update_note": options.update_note,
        "recode_data_hash": loaded.data.content_hash,
    }
    if options.data is not None:
        metadata["recode_data"] = str(Path(options.data).resolve())
    if options.docs is not None:
        metadata["recode_docs"] = options.docs.identity
    if len(options.problems) < len(loaded.problems):
        metadata["recode_problems"] = [problem.id for problem in options.problems]
    content = {
        "task": name,
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "",
        "num_fewshot": 0,
        "generation_kwargs": {
            "until": list(variant.defaults.stop),
            "max_gen_toks": variant.defaults.max_tokens,
            "do_sample": False,
        },
        "metric_list": [{"metric": "pass", "aggregation": "mean", "higher_is_better": True}],
        "metadata": metadata,
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    text += "custom_dataset: !function recode_rows.dataset\n"
    text += "process_results: !function recode_rows.process_results\n"
    yield TaskFile(f"{name}/{name}.yaml", text)
    yield TaskFile(f"{name}/recode_rows.py", _MODULE)
    if options.docs is not None:
        yield TaskFile(f"{name}/{DOCS}", options.docs.to_text())
