"""`mine --author`: a model writes pairs from candidates; what is proven is kept.

The folder holds `answers.jsonl` (what the model wrote), `verdicts.jsonl` (one line a draft),
`pairs.jsonl` (rows of the kind `migration`), `rejected.jsonl` (the others, with stage and reason)
and `yield.json`. Everything is appended or replaced whole, so that an interrupted call goes on
where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, StorageError
from recode_eval.files import lock_folder, replace_file
from recode_eval.mining.authoring.drafts import DraftError, parse_draft, row_of, writable
from recode_eval.mining.authoring.judging import STAGES, Judge, Verdict
from recode_eval.models.base import Request, SamplingParameters
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.settings import sample_seed
from recode_eval.run.store import AppendOnlyFile
from recode_eval.stats.estimates import wilson
from recode_eval.tasks.migration import SPLITS, parse_row
from recode_eval.tasks.registry import create_task
from recode_eval.tasks.rows import RowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from recode_eval.mining.candidates import Candidate
    from recode_eval.models.base import Model
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.migration import MigrationRow

TEMPLATE: Final = Path(__file__).with_name("author.jinja2")
_NORMAL_95: Final = 1.959964
_BUNDLED: Final = ("migration", *(f"migration-{name}" for name in SPLITS if name != "test"))


@dataclass(frozen=True, slots=True)
class StageYield:
    """How many drafts passed a stage, and the 95 % interval of the share (Wilson 1927)."""

    stage: str
    given: int
    passed: int
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Authored:
    """What a call wrote and kept."""

    folder: Path
    pairs: tuple[Mapping[str, Any], ...]
    stages: tuple[StageYield, ...]
    undecided: int
    """Drafts that the machine could not judge; the same call tries them again."""
    skipped: int
    """Candidates about which no pair can be: what is only deprecated."""


@dataclass(frozen=True, kw_only=True)
class AuthorSettings:
    """How to ask."""

    attempts: int = 1
    """Drafts of each candidate."""
    limit: int | None = None
    """Only the best candidates."""
    split: str = "test"
    sampling: SamplingParameters = field(
        default_factory=lambda: SamplingParameters(temperature=0.8, max_tokens=4096)
    )


def write_pairs(
    candidates: Sequence[Candidate],
    model: Model,
    sandbox: Sandbox,
    folder: Path,
    settings: AuthorSettings,
    on_answer: Callable[[], None] = lambda: None,
    on_verdict: Callable[[], None] = lambda: None,
) -> Authored:
    """Ask for what is not answered yet, judge what is not judged yet, and write the files.

    Raises:
        InfrastructureError: the model's engine or server cannot go on; what it wrote is stored.
        DataError: the folder holds another model's answers.
        StorageError: a file cannot be written.
    """
    usable = [one for one in candidates if writable(one)][: settings.limit]
    template = PromptTemplate.from_file(TEMPLATE)
    store = _Store(folder, _identity(model, template, settings))
    with store:
        for text in _ask(usable, model, template, settings, store.answers):
            store.add_answer(*text)
            on_answer()
        drafts = {one.id: _drafted(one, settings, store.answers) for one in usable}
        task: Any = create_task("migration")
        judge = Judge(task, sandbox, _bundled())
        store.forget_changed(drafts)
        for row in store.kept(drafts):
            try:
                judge.keep(parse_row(row))
            except RowError:  # what a row must be has changed since
                del store.verdicts[str(row["id"])]
        for rows in drafts.values():
            for name, raw in rows:
                if name not in store.verdicts:
                    verdict = raw if isinstance(raw, Verdict) else judge.judge(raw)
                    store.add_verdict(verdict, raw)
                on_verdict()
        return store.finish(drafts, len(candidates[:]) - len(usable))


def _bundled() -> list[MigrationRow]:
    return [
        problem.payload
        for name in _BUNDLED
        for problem in create_task(name).load(None, skip_bad_rows=True).problems
    ]


def _identity(model: Model, template: PromptTemplate, settings: AuthorSettings) -> dict[str, Any]:
    """Return what decides what the model wrote."""
    return {
        "model": {"backend": model.info.backend, **model.info.identity},
        "prompt": template.content_hash,
        "sampling": asdict(settings.sampling),
    }


def _ask(
    candidates: Iterable[Candidate],
    model: Model,
    template: PromptTemplate,
    settings: AuthorSettings,
    answers: Mapping[str, str],
) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each answer that is not stored yet."""
    requests = []
    for one in candidates:
        context = {
            name: getattr(one, name)
            for name in (
                "library", "old_version", "new_version", "kind", "api", "new_api",
                "old_signature", "new_signature", "deprecation", "note", "evidence",
            )
        }  # fmt: skip
        for attempt in range(1, settings.attempts + 1):
            name = f"{one.id}-{attempt}"
            if name not in answers:
                prompt = template.render({**context, "attempt": attempt})
                seed = sample_seed(settings.sampling.seed, name, attempt)
                requests.append(Request(name, prompt, (0,), (seed,)))
    stream = model.generate(requests, settings.sampling) if requests else iter(())
    try:
        for completion in stream:
            if completion.finish_reason.is_sample:
                yield completion.problem_id, completion.text
    finally:
        if isinstance(stream, Generator):
            stream.close()


def _drafted(
    candidate: Candidate, settings: AuthorSettings, answers: Mapping[str, str]
) -> list[tuple[str, dict[str, Any] | Verdict]]:
    """Return the raw rows of a candidate's answers; of what is no draft, the verdict."""
    found: list[tuple[str, dict[str, Any] | Verdict]] = []
    for attempt in range(1, settings.attempts + 1):
        name = f"{candidate.id}-{attempt}"
        if name not in answers:
            continue
        try:
            row = row_of(candidate, parse_draft(answers[name]), attempt, settings.split)
            found.append((name, row))
        except DraftError as error:
            found.append((name, Verdict(name, "answer", str(error))))
    return found


def _digest(raw: Mapping[str, Any] | Verdict) -> str:
    """Hash what a verdict is about."""
    content = asdict(raw) if isinstance(raw, Verdict) else dict(raw)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


class _Store:
    """The folder's files; a killed process loses one line at most, and no two use it at once."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self._folder = folder
        self._files = contextlib.ExitStack()
        self._identity = identity
        self.answers: dict[str, str] = {}
        self.verdicts: dict[str, Verdict] = {}
        self._about: dict[str, str] = {}

    def __enter__(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._files.callback(os.close, lock_folder(self._folder))
            with contextlib.ExitStack() as undo:
                undo.push(self._files)
                self._open()
                undo.pop_all()
        except OSError as error:
            raise self._trouble(error) from error
        except (KeyError, TypeError, UnicodeDecodeError) as error:
            raise DataError(f"{self._folder}: not a folder of `mine --author` ({error})") from error

    def _open(self) -> None:
        self._check_identity()
        self._appending = {}
        for name in ("answers", "verdicts"):
            file = AppendOnlyFile(self._folder / f"{name}.jsonl")
            self._files.callback(file.close)
            self._appending[name] = file
        self.answers = {str(row["id"]): _text(row["text"]) for row in self._lines("answers.jsonl")}
        for row in self._lines("verdicts.jsonl"):
            about = str(row.pop("about", ""))
            verdict = Verdict(**row)
            if verdict.stage != "undecided":
                self.verdicts[verdict.id] = verdict
                self._about[verdict.id] = about

    def __exit__(self, *exc: object) -> None:
        self._files.close()

    def _check_identity(self) -> None:
        file = self._folder / "author.json"
        text = json.dumps(self._identity, indent=2, sort_keys=True) + "\n"
        if not file.exists():
            replace_file(file, text)
        elif file.read_text(encoding="utf-8") != text:
            raise DataError(
                f"{self._folder} holds what another model, prompt or sampling wrote (author.json); "
                "remove it, or mine into another folder (--out)."
            )

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        file = self._folder / name
        if not file.exists():
            return
        for line in file.read_bytes().splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                row = json.loads(line)
                if isinstance(row, dict):
                    yield row

    def add_answer(self, name: str, text: str) -> None:
        self.answers[name] = text
        self._appending["answers"].append({"id": name, "text": text})

    def add_verdict(self, verdict: Verdict, raw: Mapping[str, Any] | Verdict) -> None:
        self.verdicts[verdict.id] = verdict
        self._appending["verdicts"].append({**asdict(verdict), "about": _digest(raw)})

    def forget_changed(self, drafts: Mapping[str, Sequence[tuple[str, Any]]]) -> None:
        """Forget the verdicts about other rows than today's: another answer, split or candidate."""
        for rows in drafts.values():
            for name, raw in rows:
                if name in self.verdicts and self._about.get(name) != _digest(raw):
                    del self.verdicts[name]

    def kept(self, drafts: Mapping[str, Sequence[tuple[str, Any]]]) -> list[Mapping[str, Any]]:
        """Return the raw rows that are kept so far."""
        return [
            raw
            for rows in drafts.values()
            for name, raw in rows
            if name in self.verdicts and self.verdicts[name].stage == "kept"
        ]

    def finish(self, drafts: Mapping[str, Sequence[tuple[str, Any]]], skipped: int) -> Authored:
        """Write what was kept, what was not, and the yield."""
        judged = [(name, raw) for rows in drafts.values() for name, raw in rows]
        verdicts = [self.verdicts[name] for name, _ in judged]
        pairs = tuple(self.kept(drafts))
        rejected = [
            {
                **asdict(self.verdicts[name]),
                "answer": self.answers[name],
                **({} if isinstance(raw, Verdict) else {"row": raw}),
            }
            for name, raw in judged
            if self.verdicts[name].stage != "kept"
        ]
        stages = yields(verdicts)
        undecided = sum(verdict.stage == "undecided" for verdict in verdicts)
        self._replace("pairs.jsonl", "".join(f"{json.dumps(row)}\n" for row in pairs))
        self._replace("rejected.jsonl", "".join(f"{json.dumps(row)}\n" for row in rejected))
        content = {"stages": [asdict(stage) for stage in stages], "undecided": undecided}
        self._replace("yield.json", json.dumps(content, indent=2) + "\n")
        return Authored(self._folder, pairs, stages, undecided, skipped)

    def _replace(self, name: str, text: str) -> None:
        try:
            replace_file(self._folder / name, text)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> StorageError:
        return StorageError(f"Cannot use the folder {self._folder}: {error.strerror or error}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("an answer is no text")
    return value


def yields(verdicts: Iterable[Verdict]) -> tuple[StageYield, ...]:
    """Return how many drafts each stage was given and passed on; what is undecided left early.

    >>> [(one.stage, one.given, one.passed) for one in yields([Verdict("a", "leak")])][:3]
    [('answer', 1, 1), ('schema', 1, 1), ('leak', 1, 0)]
    """
    decided = [verdict for verdict in verdicts if verdict.stage != "undecided"]
    left = len(decided)
    found = []
    for stage in STAGES:
        lost = sum(verdict.stage == stage for verdict in decided)
        ends: tuple[float | None, float | None] = (None, None)
        if left:
            low, high = wilson((left - lost) / left, 1 / left, _NORMAL_95)
            ends = max(low, 0.0), min(high, 1.0)
        found.append(StageYield(stage, left, left - lost, *ends))
        left -= lost
    return tuple(found)
