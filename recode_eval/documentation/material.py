"""What a task has for an arm: the text of every problem, or why it has none.

A text never gives the answer away. What was written for other problems, and what a release says of
itself, is compared with the lines that the answer changes (`scoring.leaks`); a part that holds a
passage of them is left out and counted. The problem's own note is not: the rules of its task hold
for it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from recode_eval.documentation.arms import OF_TASKS, Arm, Kind
from recode_eval.documentation.mixing import mixed
from recode_eval.documentation.shown import Shown, Source
from recode_eval.documentation.tokens import count_tokens
from recode_eval.errors import UsageError
from recode_eval.scoring.leaks import leaked
from recode_eval.tasks.base import ApiDocs, Documented, OthersNote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recode_eval.documentation.docstrings import ApiFacts, Key
    from recode_eval.documentation.folders import Document
    from recode_eval.documentation.retrieval import Index
    from recode_eval.tasks.base import DocsText, Problem, Task

LONGEST_TEXT: Final = 1 << 20
"""Characters of documents that are shown as they are; longer ones fit no model's context."""
NOTHING: Final = "there is nothing to show"


def of_task(
    task: Task,
    arm: Arm,
    problems: Sequence[Problem],
    known: Sequence[Problem],
    distractors: int,
    read: Callable[[Iterable[Key]], Mapping[Key, ApiFacts]],
) -> dict[str, Shown | str]:
    """Return the text of each problem from the task's own material, or why it has none.

    `known` are all problems of the data; `read` asks releases (`docstrings.read_docs`).

    Raises:
        InfrastructureError: a release cannot be asked now.
    """
    if not isinstance(task, Documented):
        return {problem.id: "its task has no documentation" for problem in problems}
    if arm.kind is Kind.MIXED:
        notes = notes_of(task, known)
        return {
            problem.id: mixed(problem, known, notes, distractors, gives_away)
            for problem in problems
        }
    lacks = f"it has no {arm.name}"
    texts = {one.id: task.documentation(one, known).get(arm.kind.value) for one in problems}
    wanted = dict.fromkeys(
        (part.environment, part.path)
        for text in texts.values()
        for part in text or ()
        if isinstance(part, ApiDocs)
    )
    facts = read(wanted) if wanted else {}
    return {
        problem.id: lacks if not (text := texts[problem.id]) else put(problem, text, facts)
        for problem in problems
    }


def arms_of(task: Task, problems: Sequence[Problem]) -> list[str]:
    """Return the arms that a task has material for, for at least one problem; asks no release."""
    found: Counter[str] = Counter()
    if isinstance(task, Documented):
        for problem in problems:
            found.update(key for key, text in task.documentation(problem, problems).items() if text)
        notes = notes_of(task, problems)
        if len({one.cluster for one in problems if one.id in notes}) > 1:
            found[Kind.MIXED] += 1
    own = [kind.value for kind in OF_TASKS if found[kind]]
    return [Kind.NONE.value, Kind.NOTE.value, *own]


def notes_of(task: Documented, known: Sequence[Problem]) -> dict[str, str]:
    """Return the note of each problem that has one, as it is mixed with others."""
    found = {}
    for problem in known:
        parts = task.documentation(problem, known).get(Kind.NOTE.value, ())
        if text := "\n\n".join(part for part in parts if isinstance(part, str)):
            found[problem.id] = text
    return found


def put(problem: Problem, text: DocsText, facts: Mapping[Key, ApiFacts]) -> Shown | str:
    """Return a text with what the releases say in its places, or why that cannot be."""
    paragraphs: list[str] = []
    sources: list[Source] = []
    withheld = 0
    for part in text:
        match part:
            case str():
                paragraphs.append(part)
            case OthersNote(other):
                if gives_away(problem, other):
                    withheld += 1
                else:
                    paragraphs.append(other)
            case ApiDocs():
                fact = facts[part.environment, part.path]
                if fact.why:
                    return f"{part.path} in {part.environment or 'the environment'}: {fact.why}"
                signature = part.signature or fact.signature
                if fact.absent or signature is None:
                    continue
                paragraphs.append(f"{part.lead}{signature}")
                docstring = fact.docstring if part.docstring else ""
                hidden = bool(docstring) and gives_away(problem, docstring)
                withheld += hidden
                if docstring and not hidden:
                    paragraphs.append(docstring)
                size = count_tokens(docstring)
                sources.append(Source(part.path, part.environment or "", tokens=size))
    whole = "\n\n".join(filter(None, map(str.strip, paragraphs)))
    return Shown(whole, tuple(sources), withheld) if whole else NOTHING


def gives_away(problem: Problem, text: str) -> bool:
    """Whether a text holds a passage of what the problem's answer changes."""
    solutions = problem.solutions
    return bool(leaked(text, solutions.get("stale", ""), solutions["reference"]))


def as_they_are(
    arm: Arm, documents: Sequence[Document], problems: Iterable[Problem]
) -> dict[str, Shown | str]:
    """Return the same text for every problem: a file, or all documents under their paths.

    Raises:
        UsageError: it is longer than `LONGEST_TEXT`.
    """
    single = arm.kind is Kind.FILE
    text = "\n\n".join(
        one.text.strip() if single else f"## {one.path}\n\n{one.text.strip()}" for one in documents
    )
    if len(text) > LONGEST_TEXT:
        raise UsageError(
            f"--docs {arm.name}: {len(text):,} characters fit no model's context; name a part, or "
            "let a search choose with retrieved:FOLDER."
        )
    shown = Shown(text, tuple(Source(one.path, tokens=count_tokens(one.text)) for one in documents))
    return {problem.id: shown for problem in problems}


def searched(
    index: Index, queries: Mapping[str, str], *, top: int, tokens: int
) -> dict[str, Shown | str]:
    """Return what a search finds for each problem's query."""
    found: dict[str, Shown | str] = {}
    for key, query in queries.items():
        hits = index.search(query, top=top, tokens=tokens)
        sources = tuple(
            Source(hit.passage.path, hit.passage.heading, hit.score, hit.tokens) for hit in hits
        )
        text = "\n\n".join(hit.text for hit in hits)
        found[key] = Shown(text, sources) if hits else "the search finds nothing that fits"
    return found
