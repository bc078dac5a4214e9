"""Prompts and references of problems, from the task's rows where they are on this machine.

A run keeps hashes of its prompts, not their text: the rows may be gated or large. They are loaded
from the bundled data or from a file, never from the network, and only used if their hash is the
run's. A prompt is shown only if it hashes to what the model was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.errors import DataError, InfrastructureError, UsageError
from recode_eval.run.docs import stored_docs
from recode_eval.run.prompts import PromptTemplate, prompt_hash
from recode_eval.run.settings import render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recode_eval.documentation.shown import PromptDocs
    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.models.base import Prompt
    from recode_eval.tasks.base import Problem, Task


class Sources:
    """The rows of the tasks, loaded once per data hash."""

    def __init__(
        self, data: Mapping[str, str] | None = None, include_paths: Sequence[Path] = ()
    ) -> None:
        """`data` maps tasks to files; `include_paths` hold tasks that are not bundled."""
        self._data = dict(data or {})
        self._include = tuple(include_paths)
        self._problems: dict[tuple[str, str], tuple[Mapping[str, Problem], str]] = {}
        self._tasks: dict[str, Task] = {}
        self._shown: dict[Path, PromptDocs | None] = {}
        self._templates: dict[tuple[str, str], PromptTemplate | None] = {}

    def problems(self, run: RunEntry) -> tuple[Mapping[str, Problem], str]:
        """Return the problems of a run's data by id, or an empty mapping and the reason."""
        key = run.task, run.identity["data"]
        if key not in self._problems:
            try:
                self._problems[key] = self._load(run), ""
            except (UsageError, DataError, InfrastructureError) as error:
                self._problems[key] = {}, str(error)
        return self._problems[key]

    def tests(self, run: RunEntry, problem: Problem | None) -> Mapping[str, str]:
        """Return the source of a problem's tests by their names; empty without rows or tests."""
        if problem is None:
            return {}
        task = self._task(run)
        if not task.conditions:
            return {}
        programs = task.programs(problem, problem.solutions.get("reference", ""))
        return {test.name: test.code for test in programs[task.conditions[0]].tests}

    def size(self, run: RunEntry) -> int | None:
        """Return the number of problems of a run's data, or None where its rows are not here."""
        return len(self.problems(run)[0]) or None

    def _load(self, run: RunEntry) -> Mapping[str, Problem]:
        task = self._task(run)
        source = self._data.get(run.task)
        if source is None and "hub" in task.spec.data:
            raise DataError(
                f"the rows of {run.task} are not bundled; --data {run.task}=FILE shows prompts "
                "and references"
            )
        data = task.load(source, skip_bad_rows=True)
        if data.content_hash != run.identity["data"]:
            raise DataError(
                f"the rows of {run.task} found here (hash {data.content_hash[:12]}) differ from "
                f"the run's (hash {run.identity['data'][:12]})"
            )
        return {problem.id: problem for problem in data.problems}

    def _task(self, run: RunEntry) -> Task:
        from recode_eval.tasks.registry import create_task

        if run.task not in self._tasks:  # reads the files of all tasks: 30 ms
            self._tasks[run.task] = create_task(run.task, self._include)
        return self._tasks[run.task]

    def prompt(self, run: RunEntry, problem: Problem, expected: str) -> Prompt | None:
        """Return the prompt sent to the model, or None if this machine cannot render it."""
        template = self._template(run)
        if template is None:
            return None
        try:
            docs = self._docs(run)
            text = "" if docs is None else docs.shown[problem.id].text
            prompt = render(template, problem, text, update_note=run.identity["update_note"])
        except (UsageError, DataError, KeyError):
            return None
        return prompt if prompt_hash(prompt) == expected else None

    def _docs(self, run: RunEntry) -> PromptDocs | None:
        """Return what the run's prompts showed, from its folder; raises `DataError`."""
        if "docs" not in run.identity:
            return None
        if run.folder not in self._shown:  # a run is shown as a whole before the next one
            self._shown = {run.folder: stored_docs(run.folder, run.identity)}
        return self._shown[run.folder]

    def knows_template(self, run: RunEntry) -> bool:
        """Whether the run used one of the task's own templates."""
        return self._template(run) is not None

    def _template(self, run: RunEntry) -> PromptTemplate | None:
        """Return the task's own variant that the run used.

        Never the copy in the run's folder: a stranger's template could run for ever.
        """
        key = run.task, run.identity["prompt"]
        if key not in self._templates:
            found = (
                PromptTemplate.from_file(variant.path)
                for variant in self._task(run).spec.prompts.values()
            )
            self._templates[key] = next((t for t in found if t.content_hash == key[1]), None)
        return self._templates[key]
