"""What the prompts of a call show: each task's texts, arm by arm, made before a model loads.

Or read back from a run's folder: grading again, the gate and the leaderboard need the prompts as
they were, and the user's documents may be gone.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.documentation.arms import Arm, Kind, parse_arm
from recode_eval.documentation.shown import DOCS, PromptDocs, Shown, parse_docs
from recode_eval.errors import DataError, UsageError
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recode_eval.documentation.folders import Document
    from recode_eval.documentation.retrieval import Index
    from recode_eval.run.config import RunConfig
    from recode_eval.run.results_file import ResultsFile
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.tasks.base import Problem
    from recode_eval.tasks.loading import LoadedTask

_MOST_REASONS = 3
MOST_STORED: Final = 256 << 20
"""Bytes of `docs.jsonl` that are read: a pack may come from anybody."""


class Documentation:
    """The texts of the arms that a configuration names."""

    def __init__(self, config: RunConfig, sandboxes: Sandboxes, log: Callable[[str], None]) -> None:
        """Make nothing yet; raises `UsageError` for an arm that does not exist."""
        self.arms = parse_arms(config.docs.arms)
        self._config, self._sandboxes, self._log = config, sandboxes, log
        self._made: dict[tuple[str, str], PromptDocs] = {}
        self._documents: dict[Path, list[Document]] = {}
        self._indexes: dict[Path, Index] = {}

    def prepare(self, loaded: Sequence[LoadedTask]) -> None:
        """Make the texts of all tasks and arms, and say which problems have none.

        Raises:
            UsageError: a task has nothing for the only arm, or nothing is left for any.
            InfrastructureError: a release cannot be asked now.
        """
        if not loaded:  # that is told already
            return
        if not any(self.has(task, arm) for task in loaded for arm in self.arms):
            raise UsageError("No task has anything to show for any arm of --docs.")

    def has(self, loaded: LoadedTask, arm: Arm) -> bool:
        """Whether there is something to show for a task; an error if it is the only arm."""
        docs = self.of(loaded, arm)
        if docs is None or docs.shown:
            return True
        if len(self.arms) == 1:
            from recode_eval.documentation.material import arms_of

            known = ", ".join(arms_of(loaded.task, loaded.problems))
            raise UsageError(
                f"{loaded.name} has nothing to show for --docs {arm.name}: {_reasons(docs)}. It "
                f"has: {known}; and any FILE, FOLDER or retrieved:FOLDER."
            )
        return False

    def of(self, loaded: LoadedTask, arm: Arm) -> PromptDocs | None:
        """Return what a task's prompts show; None where that is the template's own affair."""
        if not arm.is_block:
            return None
        key = loaded.name, str(arm.path or arm.name) + arm.kind
        if key not in self._made:
            self._made[key] = self._make(loaded, arm)
        return self._made[key]

    def _make(self, loaded: LoadedTask, arm: Arm) -> PromptDocs:
        from recode_eval.run.session import selection

        problems = selection(self._config, 1).problems(loaded.data)
        texts = self._texts(loaded, arm, problems)
        docs = PromptDocs(
            arm.name,
            {key: text for key, text in texts.items() if isinstance(text, Shown)},
            {key: text for key, text in texts.items() if isinstance(text, str)},
        )
        if docs.missing:
            left = f"{len(docs.missing)} of {len(texts)} problems are left out"
            self._log(f"{loaded.name}, --docs {arm.name}: {left}: {_reasons(docs)}.")
        return docs

    def _texts(
        self, loaded: LoadedTask, arm: Arm, problems: Sequence[Problem]
    ) -> Mapping[str, Shown | str]:
        from recode_eval.documentation.docstrings import read_docs
        from recode_eval.documentation.material import as_they_are, of_task, searched

        options, task = self._config.docs, loaded.task
        if arm.kind is Kind.RETRIEVED:
            return searched(
                self._index(arm),
                self._queries(loaded, problems),
                top=options.top,
                tokens=options.tokens,
            )
        if arm.path is not None:
            return as_they_are(arm, self._read(arm), problems)
        read = partial(
            read_docs,
            own=task.spec.environment,
            open_sandbox=self._sandboxes.opener(task, "program"),
            log=self._log,
        )
        return of_task(task, arm, problems, loaded.problems, options.distractors, read)

    def _queries(self, loaded: LoadedTask, problems: Sequence[Problem]) -> dict[str, str]:
        """Return what is searched for: the user's message as the arm `none` has it."""
        from recode_eval.run.session import prompt_settings

        settings = replace(prompt_settings(self._config, loaded.task)[0], update_note=False)
        prompts = {problem.id: settings.render(problem) for problem in problems}
        return {
            key: next(m.content for m in reversed(prompt.messages) if m.role == "user")
            for key, prompt in prompts.items()
        }

    def _read(self, arm: Arm) -> list[Document]:
        assert arm.path is not None
        if arm.path not in self._documents:
            self._documents[arm.path] = documents_of(arm, self._log)
        return self._documents[arm.path]

    def _index(self, arm: Arm) -> Index:
        from recode_eval.documentation.retrieval import Index

        assert arm.path is not None
        if arm.path not in self._indexes:
            self._indexes[arm.path] = Index(self._read(arm))
        return self._indexes[arm.path]


def parse_arms(texts: Sequence[str]) -> tuple[Arm, ...]:
    """Return the arms that a user names; raises `UsageError`.

    >>> [arm.name for arm in parse_arms(["none", "changelog"])]
    ['none', 'changelog']
    """
    return tuple(parse_arm(text) for text in texts)


def documents_of(arm: Arm, log: Callable[[str], None] = lambda _: None) -> list[Document]:
    """Read the documents that an arm names; empty for one that names none.

    Raises:
        UsageError: they cannot be read; `log` is told what is left out of a folder.
    """
    from recode_eval.documentation.folders import read_document, read_folder, told

    if arm.path is None:
        return []
    if arm.kind is Kind.FILE:
        return [read_document(arm.path)]
    documents = read_folder(arm.path)
    if documents.skipped:
        log(f"--docs {arm.name}: {told(documents.skipped)}.")
    return documents.found


def documents_digest(texts: Sequence[str]) -> str:
    """Return a hash of all documents that arms name, as they are now; empty if none is named."""
    contents = [
        [arm.name, [[one.path, one.text] for one in documents_of(arm)]]
        for arm in parse_arms(texts)
        if arm.path is not None
    ]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest() if contents else ""


def stored_docs(folder: Path, identity: Mapping[str, Any]) -> PromptDocs | None:
    """Return what a stored run's prompts showed; None if it had no documentation of its own.

    Raises:
        DataError: the file is missing, damaged, or not what the run's identity says.
    """
    if "docs" not in identity:
        return None
    path = folder / DOCS
    try:
        if path.stat().st_size > MOST_STORED:
            raise DataError(f"{path} is larger than {MOST_STORED >> 20} MiB, so no run wrote it.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"Cannot read {path} ({error}), which holds what the run's prompts showed. Repeat the "
            "run's own command: it writes the file anew."
        ) from error
    return parse_docs(text, identity["docs"], str(path))


def docs_of_baseline(baseline: ResultsFile) -> PromptDocs | None:
    """Return what the prompts of a baseline showed, from its folder or its pack.

    Raises:
        UsageError: only its results.json is there.
        DataError: what is there is not what the run showed.
    """
    from recode_eval.run.archive import SUFFIX, unpack

    identity = baseline.results.identity
    if "docs" not in identity:
        return None
    source = Path(baseline.source)
    if source.name.endswith(SUFFIX) and source.is_file():
        with tempfile.TemporaryDirectory() as temporary:
            unpack(source, Path(temporary) / "run", names=(DOCS,))
            return stored_docs(Path(temporary) / "run", identity)
    folder = source if source.is_dir() else source.parent
    if not (folder / DOCS).is_file():
        raise UsageError(
            f"The baseline {baseline.source} was asked with --docs "
            f"{one_line(str(baseline.results.prompt.docs and baseline.results.prompt.docs.arm))}, "
            f"and {DOCS}, which holds the texts, is not beside its results.json. Give the run's "
            "folder or its pack (recode-eval pack RUN) as the baseline."
        )
    return stored_docs(folder, identity)


def _reasons(docs: PromptDocs) -> str:
    counted = Counter(docs.missing.values()).most_common()
    texts = [f"{one_line(why, 200)} ({count})" for why, count in counted[:_MOST_REASONS]]
    more = len(counted) - _MOST_REASONS
    return "; ".join([*texts, *([f"{more} other reasons"] if more > 0 else [])])
