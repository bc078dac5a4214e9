"""Read the answers that a run of recode_eval recorded, and tell which of them can be learnt from.

Any run will do: of the model to train (rejection sampling), or of another one (distillation). The
prompts are those of the training's pairs. What cannot be learnt is counted by its reason, and an
answer that passed by the run's own verdict counts as good; nothing is executed here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, UsageError
from recode_eval.run.store import COMPLETIONS, MANIFEST, PROMPT, SCORES
from recode_eval.scoring.extraction import THINK, extract
from recode_eval.tasks.base import content_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.run.records import CompletionRecord, ScoreRecord
    from recode_eval.tasks.base import Task
    from recode_train.config import TrainConfig
    from recode_train.data import Pair, PairSet

TESTS: Final = "tests"
_BEST: Final = {TESTS: 1.0, "em": 1.0, "es": 1.0, "em_star": 2.0, "es_star": 2.0}
"""What a perfect answer has."""
_STOPPED: Final = "stop"

# Why an answer is left out, as plans and reports name it.
OTHER_PROBLEM: Final = "of no training pair"
OTHER_TEXT: Final = "asked with another text"
TALK: Final = "of a conversation"
UNGRADED: Final = "not graded"
CUT: Final = "cut off"
SUSPICIOUS: Final = "suspicious"
OTHER_FORM: Final = "of another form"
COPIED: Final = "copy of test data"
FAILED: Final = "failed"
REPEATED: Final = "repeated"
BEYOND: Final = "beyond completions_per_problem"
TOO_LONG: Final = "too long"
UNPAIRED: Final = "without an answer to compare with"


@dataclass(frozen=True, slots=True)
class Answer:
    """One recorded answer in the form that continues the training's prompt."""

    pair_id: str
    sample: int
    text: str
    good: bool
    """Whether the run's verdict meets the rule of `Keep`."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is needed of a score; the rest of a large run would not fit into memory."""

    digest: str
    code: str | None
    good: bool
    faulty: bool
    """The problem's own set-up failed."""
    suspicious: bool


@dataclass(frozen=True, slots=True)
class Keep:
    """The rule for a good answer: a figure of its verdict, and the least it must be."""

    reward: str
    """`tests` (every test passes), or a similarity: `es`, `em`, `es_star`, `em_star`."""
    at_least: float

    def good(self, score: ScoreRecord, condition: str | None) -> bool:
        """Return whether a verdict meets the rule; `condition` names the tests."""
        if self.reward != TESTS:
            return score.similarity[self.reward] >= self.at_least
        return condition is not None and score.passed(condition)

    def __str__(self) -> str:
        """Say what is kept."""
        passing = "those that pass every test"
        return passing if self.reward == TESTS else f"{self.reward} of at least {self.at_least:g}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answers of a run that can be used, and what became of the others."""

    answers: tuple[Answer, ...]
    """By pair, in the pairs' order; then by sample."""
    left_out: Mapping[str, int]
    """Reason -> number of answers."""
    source: str
    model: str
    """Who answered; hostile text."""
    samples: int
    """Answers of the whole run."""
    tokens: int
    """Completion tokens of the whole run, as far as it says."""

    @property
    def content_hash(self) -> str:
        """SHA-256 over the answers and their verdicts."""
        rows = ((f"{a.pair_id}#{a.sample}", [a.text, a.good]) for a in self.answers)
        return content_hash(rows)

    def without(self, reasons: Mapping[str, int], answers: tuple[Answer, ...]) -> Recorded:
        """Return it with fewer answers, the others counted by `reasons`."""
        return replace(
            self, answers=answers, left_out=dict(Counter(self.left_out) + Counter(reasons))
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what a report says of it."""
        return {
            "source": self.source,
            "model": self.model,
            "used": len(self.answers),
            "pairs": len({answer.pair_id for answer in self.answers}),
            "left_out": dict(self.left_out),
            "content_hash": self.content_hash,
        }

    def __str__(self) -> str:
        """Say what is used and what is not."""
        pairs = len({answer.pair_id for answer in self.answers})
        others = ", ".join(f"{count} {why}" for why, count in self.left_out.items())
        return f"{len(self.answers)} answers to {pairs} pairs used" + (
            f"; left out: {others}" if others else ""
        )


def keep_rule(config: TrainConfig, task: Task) -> Keep:
    """Return the rule that the settings name; raises `UsageError` for tests that do not exist."""
    reward = config.keep_reward
    if reward == "auto":
        reward = TESTS if task.conditions else "em_star"
    if reward == TESTS and not task.conditions:
        raise UsageError(
            "keep_reward=tests needs pairs with tests, but these have none; set keep_reward to "
            "es_star or em_star."
        )
    if reward == TESTS and config.keep_at_least is not None:
        raise UsageError("keep_at_least needs a similarity as keep_reward: tests pass or do not.")
    return Keep(reward, _BEST[reward] if config.keep_at_least is None else config.keep_at_least)


def read_recorded(
    place: str,
    pairs: PairSet,
    prefills: Mapping[str, str],
    keep: Keep,
    *,
    skip_copies: bool = False,
) -> Recorded:
    """Read a run's folder, or its `completions.jsonl`; verdicts and prompt lie beside it.

    `prefills` has the pairs to train on, each with the text that opens the model's turn.

    Raises:
        UsageError: `place` is no run of recode_eval.
        DataError: a record is damaged, or an answer equals the code of a test problem (with
            `skip_copies` it is left out and counted).
        StorageError: a file cannot be read.
    """
    folder = _run_folder(place)
    from recode_eval.run.records import CompletionRecord, ScoreRecord
    from recode_eval.run.store import read_json, read_records

    manifest = read_json(folder / MANIFEST)
    template = _template(folder)
    condition = next(iter(pairs.task_object.conditions), None)
    verdicts = {
        score.key: _Verdict(
            score.completion,
            score.code,
            keep.good(score, condition),
            score.setup_error is not None,
            bool(score.flags),
        )
        for score in read_records(folder / SCORES, ScoreRecord)  # the last one of a sample counts
    }
    by_id = {pair.id: pair for pair in pairs.pairs if pair.id in prefills}
    copies = _Copies(pairs)
    found: dict[tuple[str, int], Answer] = {}
    left_out: Counter[str] = Counter()
    samples = tokens = 0
    for record in _first_of_each(folder, CompletionRecord):
        samples += 1
        tokens += record.completion_tokens or 0
        pair = by_id.get(record.problem_id)
        if pair is None:
            left_out[OTHER_PROBLEM] += 1
            continue
        verdict = verdicts.get(record.key)
        why = _unfit(record, verdict, pair, template)
        if why is not None or verdict is None:
            left_out[why or UNGRADED] += 1
            continue
        text = as_completion(record, verdict.code, pair, prefills[pair.id])
        if text is None:
            left_out[OTHER_FORM] += 1
            continue
        if (copied := copies.of(verdict.code)) is not None:
            if not skip_copies:
                raise DataError(
                    f"{folder}: an answer to {pair.id} equals the code of the test problem "
                    f"{copied}. Training on it would make every score worthless; leave such "
                    "answers out with --skip-bad-rows."
                )
            left_out[COPIED] += 1
            continue
        found[record.key] = Answer(*record.key, text, verdict.good)
    order = {pair_id: place for place, pair_id in enumerate(by_id)}
    answers = sorted(found.values(), key=lambda a: (order[a.pair_id], a.sample))
    model = manifest.get("model", {})
    name = str(model.get("name", "")) if isinstance(model, dict) else ""
    return Recorded(tuple(answers), dict(left_out), str(folder), name, samples, tokens)


def to_learn(recorded: Recorded, most: int) -> Recorded:
    """Return only good answers: each text once, and at most `most` of a pair."""
    left_out: Counter[str] = Counter()
    kept: list[Answer] = []
    seen: set[tuple[str, str]] = set()
    counts: Counter[str] = Counter()
    for answer in recorded.answers:
        key = answer.pair_id, answer.text
        if not answer.good:
            left_out[FAILED] += 1
        elif key in seen:
            left_out[REPEATED] += 1
        elif counts[answer.pair_id] >= most:
            left_out[BEYOND] += 1
        else:
            seen.add(key)
            counts[answer.pair_id] += 1
            kept.append(answer)
    return recorded.without(left_out, tuple(kept))


def to_prefer(recorded: Recorded, most: int) -> tuple[Recorded, list[tuple[Answer, Answer]]]:
    """Return pairs of a good and a bad answer to one prompt, at most `most` for each prompt.

    The n-th good answer goes with the n-th bad one; the shorter list begins again. Each text counts
    once. The first value has the answers of the pairs.
    """
    left_out: Counter[str] = Counter()
    by_pair: dict[str, tuple[list[Answer], list[Answer]]] = {}
    seen: set[tuple[str, str]] = set()
    for answer in recorded.answers:
        key = answer.pair_id, answer.text
        if key in seen:
            left_out[REPEATED] += 1
            continue
        seen.add(key)
        by_pair.setdefault(answer.pair_id, ([], []))[not answer.good].append(answer)
    chosen: list[tuple[Answer, Answer]] = []
    for good, bad in by_pair.values():
        count = min(most, max(len(good), len(bad))) if good and bad else 0
        chosen += [(good[i % len(good)], bad[i % len(bad)]) for i in range(count)]
    used = {(a.pair_id, a.sample): a for pair in chosen for a in pair}
    unused = sum(len(good) + len(bad) for good, bad in by_pair.values()) - len(used)
    left_out[UNPAIRED] += unused
    kept = tuple(a for a in recorded.answers if (a.pair_id, a.sample) in used)
    return recorded.without(+left_out, kept), chosen


def as_completion(
    record: CompletionRecord, graded: str | None, pair: Pair, prefill: str
) -> str | None:
    """Return what follows `prefill` in the recorded turn; None where it cannot follow it.

    The turn may have been opened in another way, or not at all. Its code must be the one that was
    `graded`.
    """
    whole = record.prefill + record.text
    text: str | None = None
    if whole.startswith(prefill):
        text = whole.removeprefix(prefill)
    elif THINK not in prefill:
        text = record.text
    elif THINK in whole:
        text = whole.partition(THINK)[2]
    if text is None or record.is_code or graded is None:
        return None
    code = extract(
        text, prefill=prefill, entry_point=pair.problem.entry_point, language=pair.language
    ).code
    return text if code == graded else None


def _unfit(
    record: CompletionRecord, verdict: _Verdict | None, pair: Pair, template: PromptTemplate
) -> str | None:
    """Return why a record cannot be learnt from, whatever it says."""
    if record.turns > 1 or record.tool_calls:
        return TALK
    if record.finish_reason != _STOPPED:
        return CUT
    if verdict is None or verdict.digest != record.digest or verdict.faulty:
        return UNGRADED
    if verdict.suspicious:
        return SUSPICIOUS
    return None if _asked(record, pair, template) else OTHER_TEXT


def _asked(record: CompletionRecord, pair: Pair, template: PromptTemplate) -> bool:
    """Whether the run asked this pair: the row may have changed, or the documentation differ."""
    from recode_eval.run.prompts import prompt_hash
    from recode_train.prompts import template_context

    return prompt_hash(template.render(template_context(pair))) == record.prompt_hash


class _Copies:
    """Finds the test problem whose code an answer repeats."""

    def __init__(self, pairs: PairSet) -> None:
        from recode_train.data import tested_codes

        self._known = tested_codes(pairs)
        self._language = pairs.pairs[0].language

    def of(self, code: str | None) -> str | None:
        from recode_eval.scoring import normalize

        return None if code is None else self._known.get(normalize(code, self._language).strip())


def _run_folder(place: str) -> Path:
    path = Path(place).expanduser()
    folder = path.parent if path.name == COMPLETIONS else path
    missing = [name for name in (COMPLETIONS, SCORES, MANIFEST, PROMPT)
               if not (folder / name).is_file()]  # fmt: skip
    if not missing:
        return folder
    inner = sorted(str(file.parent) for file in folder.glob(f"*/*/{COMPLETIONS}"))
    more = f" It holds runs; name one of them: {', '.join(inner[:3])}." if inner else ""
    raise UsageError(
        f"completions={place}: no graded run of recode-eval ({', '.join(missing)} missing).{more}"
    )


def _template(folder: Path) -> PromptTemplate:
    from recode_eval.run.prompts import PromptTemplate

    return PromptTemplate.from_file(folder / PROMPT)


def _first_of_each(folder: Path, kind: type[CompletionRecord]) -> Iterator[CompletionRecord]:
    """Yield the records of a run; of a sample that was stored twice, the first counts."""
    from recode_eval.run.store import read_records

    seen = set()
    for record in read_records(folder / COMPLETIONS, kind):
        if record.key not in seen:
            seen.add(record.key)
            yield record
