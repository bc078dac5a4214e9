"""Rewards: functions of completions as TRL calls them, on recode_eval's extraction and scores.

| name | range | what |
| --- | --- | --- |
| `format` | {-1, 1} | the think/answer form |
| `format_paper` | {-1, 1} | the same as the paper's published code judges it |
| `es`, `em` | [0, 1], {0, 1} | edit similarity and exact match with the reference |
| `es_star` | -2, or [-1.5, 2] | 3.5 ES - 1.5 of a program |
| `em_star` | {-2, -1.5, 2} | exact match, a program, neither |
| `overlong` | [-1, 0] | soft penalty for length, in tokens |
| `tests` | {0, 1} | every test passes in the sandbox |
| `api` | {0, 1} | the new API is used and the old one gone |

The total of the ReCode paper (Wu et al., arXiv 2506.20495) is `format` + `es_star`. A reward
that has no meaning for a sample is None, and TRL leaves it out of the sum. It is then None for
every completion of that pair in the call: a hole within a group would read as 0, a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from recode_eval.errors import UsageError
from recode_eval.integrations.trl_environment import final_text
from recode_eval.languages import PYTHON, get_language
from recode_eval.plugins import unknown
from recode_eval.scoring import Similarity, is_well_formed, normalize, similarity_scores
from recode_eval.scoring.extraction import extract
from recode_eval.tasks.base import Measuring
from recode_train.own_rewards import is_own, load_own
from recode_train.paper_format import format_paper_reward
from recode_train.setting_types import REWARDS
from recode_train.shared_runner import SharedTestRunner

if TYPE_CHECKING:
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Problem, Task
    from recode_train.data import PairSet
    from recode_train.test_runner import TestRunner

RewardFunction = Callable[..., list[float | None]]
"""TRL's form: keyword arguments `prompts`, `completions`, `completion_ids`, the columns of the data
set (of which `pair_id` is needed), `environments` where the model has tools, and others that are
ignored; one value per completion."""

_OLD: Final = "stale"
"""The name of a pair's old program among its solutions."""
_REMEMBERED: Final = 4096
"""Completions whose code and similarity are kept for the next reward function of the same step."""


def format_reward(completion: str, prefill: str, language: str = PYTHON) -> float:
    r"""Return 1.0 for one think block and one answer block with one block of code, else -1.0.

    The turn is the prefill's `<think>` and what follows. Neither block may be empty; the paper's
    public code allows that. Source: arXiv 2506.20495.

    >>> format_reward("Hm.</think>\n<answer>\n```python\nx = 1\n```\n</answer>", "<think>")
    1.0
    >>> format_reward("x = 1", "<think>")
    -1.0
    """
    return 1.0 if is_well_formed(completion, prefill, language) else -1.0


def overlong_penalty(tokens: int, limit: int, cache: int) -> float:
    """Return the soft overlong penalty of a completion of `tokens` tokens, in [-1, 0].

    0 up to `limit - cache`, falling linearly to -1 at `limit`, and -1 beyond. Source: Yu et al.
    2025, *DAPO*, arXiv 2503.14476, equation 13.

    >>> [overlong_penalty(n, limit=100, cache=20) for n in (80, 90, 100, 101)]
    [0.0, -0.5, -1.0, -1.0]
    """
    if tokens <= limit - cache:
        return 0.0
    return -1.0 if tokens >= limit else (limit - cache - tokens) / cache


def api_reward(
    task: Measuring, problem: Problem, code: str | None, language: str = PYTHON
) -> float | None:
    """Return 1.0 if `code` uses the new API and nothing of the old one, else 0.0.

    Code that does not parse, or does not define what the reference defines last, gets 0.0: an
    empty program is free of the old API, too. None for a pair whose change the code cannot show.
    Source: this project (`new_api` and `stale_api` of the task's own measures).
    """
    measures = task.measures(problem, code)
    if not measures:
        return None
    known = get_language(language)
    if code is None or not known.parses(code):
        return 0.0
    if problem.entry_point and problem.entry_point not in known.defined_names(code):
        return 0.0
    return float(measures.get("new_api", 1.0) == 1.0 and measures.get("stale_api", 0.0) == 0.0)


@dataclass(slots=True)
class Rewards:
    """The reward functions of a run: four lists, one entry per function in each."""

    functions: list[RewardFunction]
    names: list[str]
    weights: list[float]
    decisive: list[bool]
    """Whether a function counts in deciding if a group's rewards are all equal (see
    `dynamic_sampling`); the overlong penalty does not, nor does what has weight 0."""
    copied: Callable[..., list[bool]] | None = None
    """Tells which completions hand back the old program; takes what a reward function takes."""
    _runner: TestRunner | SharedTestRunner | None = field(default=None, repr=False)

    def close(self) -> None:
        """Close the sandbox, if one was opened. Idempotent."""
        if self._runner is not None:
            self._runner.close()


def build_rewards(
    weights: Mapping[str, float],
    pairs: PairSet,
    *,
    prefills: Mapping[str, str] | None = None,
    sandbox: Callable[[], Sandbox] | None = None,
    completion_limit: int = 1024,
    cache: int = 256,
    shared: bool = False,
) -> Rewards:
    r"""Return the reward functions that are named, in the order of `REWARDS`.

    One of weight 0 is computed and logged, and trains nothing. `module:function` is a function of
    your own (`own_rewards`); those follow.
    `prefills` maps each pair's id to the text that opens the model's turn (None: that of the prompt
    that training uses by default). `sandbox` opens the sandbox of the reward `tests` when it is
    first needed (None: the strongest of this machine); the caller closes it with `Rewards.close`.
    `completion_limit` and `cache` are the tokens of the overlong penalty. `shared` says that all
    processes of a distributed training call the functions together; then those of a machine share
    one sandbox.

    Raises:
        UsageError: an unknown reward, none at all, or one that the pairs cannot give: `tests` for
            pairs without tests, `api` for pairs that say nothing about API use.

    >>> from recode_train import build_rewards, load_pairs
    >>> pairs = load_pairs("migration", limit=1)
    >>> rewards = build_rewards({"format": 1, "em_star": 1}, pairs)
    >>> pair = pairs.pairs[0]
    >>> code = pair.problem.solutions["reference"]
    >>> answer = f"Hm.</think>\n<answer>\n```python\n{code}\n```\n</answer>"
    >>> [f(completions=[answer, "No."], pair_id=[pair.id] * 2) for f in rewards.functions]
    [[1.0, -1.0], [2.0, -2.0]]
    """
    own = [name for name in weights if is_own(name)]
    for name in weights:
        if name not in REWARDS and name not in own:
            raise UsageError(unknown("reward", name, REWARDS))
    chosen = [*(name for name in REWARDS if name in weights), *own]
    if not any(weights.values()):
        raise UsageError("No reward has a weight; set rewards, for example rewards.es_star=1.")
    task = pairs.task_object
    reader = _Reader(pairs, _usual_prefills(pairs) if prefills is None else prefills)
    runner: TestRunner | SharedTestRunner | None = None
    if "tests" in chosen:
        runner = _test_runner(task, sandbox, pairs)
        if shared:
            runner = SharedTestRunner(runner, {pair.id: pair.problem for pair in pairs.pairs})
    functions: dict[str, Callable[[], RewardFunction]] = {
        "format": lambda: _PerSample("format", reader, lambda r: r.form),
        "format_paper": lambda: _PerSample(
            "format_paper", reader, lambda r: format_paper_reward(r.completion, r.prefill)
        ),
        "es": lambda: _PerSample("es", reader, lambda r: r.similarity.es),
        "em": lambda: _PerSample("em", reader, lambda r: r.similarity.em),
        "es_star": lambda: _PerSample("es_star", reader, lambda r: r.similarity.es_star),
        "em_star": lambda: _PerSample("em_star", reader, lambda r: r.similarity.em_star),
        "overlong": lambda: _Overlong(completion_limit, cache),
        "tests": lambda: _Tests(reader, runner),
        "api": lambda: _api(reader, task, pairs),
    }
    made = [
        load_own(name, reader.programs) if name in own else functions[name]() for name in chosen
    ]
    return Rewards(
        functions=made,
        names=chosen,
        weights=[float(weights[name]) for name in chosen],
        decisive=[name != "overlong" and weights[name] != 0 for name in chosen],
        copied=reader.copied,
        _runner=runner,
    )


def _usual_prefills(pairs: PairSet) -> dict[str, str]:
    from recode_train.prompts import prompt_template, template_context

    template = prompt_template(pairs)
    return {pair.id: template.render(template_context(pair)).prefill for pair in pairs.pairs}


def _test_runner(task: Task, sandbox: Callable[[], Sandbox] | None, pairs: PairSet) -> TestRunner:
    from recode_train.test_runner import TestRunner

    if not task.conditions:
        raise UsageError(
            f"The reward tests needs pairs with tests, but those of {pairs.source} have none; use "
            "--data migration, or the rewards es_star, em_star."
        )
    return TestRunner(task, sandbox)


def _api(reader: _Reader, task: Task, pairs: PairSet) -> RewardFunction:
    if not isinstance(task, Measuring):
        raise UsageError(
            "The reward api needs pairs that name the old and the new use, but those of "
            f"{pairs.source} do not; use --data migration, or the rewards es_star, em_star."
        )
    return _PerSample("api", reader, lambda r: api_reward(task, r.problem, r.code, r.language))


@dataclass(slots=True)
class _Reading:
    """One completion, read; the scores are computed when first asked for."""

    problem: Problem
    language: str
    completion: str
    prefill: str
    code: str | None
    _similarity: Similarity | None = None

    @property
    def form(self) -> float:
        return format_reward(self.completion, self.prefill, self.language)

    @property
    def similarity(self) -> Similarity:
        if self._similarity is None:
            reference = self.problem.solutions["reference"]
            self._similarity = similarity_scores(self.code, reference, self.language)
        return self._similarity


class _Reader:
    """Reads completions once for all reward functions of a step."""

    def __init__(self, pairs: PairSet, prefills: Mapping[str, str]) -> None:
        self._pairs = {pair.id: pair for pair in pairs.pairs}
        self._prefills = prefills
        self._known: dict[tuple[str, str], _Reading] = {}
        self._old: dict[str, str | None] = {}

    def read(
        self,
        completions: Sequence[Any],
        pair_ids: Sequence[str],
        environments: Sequence[Any] | None = None,
    ) -> list[_Reading]:
        """Read texts, or the conversations that came about in TRL's `environments`."""
        if environments is None:
            return [self._read(c, p) for c, p in zip(completions, pair_ids, strict=True)]
        found = []
        for completion, pair_id, environment in zip(
            completions, pair_ids, environments, strict=True
        ):
            session = environment.session
            if session.hands_in:
                found.append(self._given(session.answer, pair_id))
            else:
                found.append(self._read(final_text(completion), pair_id))
        return found

    def copied(
        self,
        *,
        completions: Sequence[Any],
        pair_id: Sequence[str],
        environments: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[bool]:
        """Tell which completions are the old program, apart from comments and blank lines."""
        found = self.read(completions, pair_id, environments)
        return [self._is_old(reading, name) for reading, name in zip(found, pair_id, strict=True)]

    def programs(
        self,
        *,
        completions: Sequence[Any],
        pair_id: Sequence[str],
        environments: Sequence[Any] | None = None,
        **_: Any,
    ) -> dict[str, list[str | None]]:
        """Return the completions' programs, the references, and the old programs."""
        found = self.read(completions, pair_id, environments)
        return {
            "codes": [reading.code for reading in found],
            "references": [reading.problem.solutions["reference"] for reading in found],
            "old_codes": [reading.problem.solutions.get(_OLD) for reading in found],
        }

    def _is_old(self, reading: _Reading, name: str) -> bool:
        if reading.code is None:
            return False
        if name not in self._old:
            old = reading.problem.solutions.get(_OLD)
            self._old[name] = None if old is None else normalize(old, reading.language).strip()
        return normalize(reading.code, reading.language).strip() == self._old[name]

    def _given(self, code: str | None, pair_id: str) -> _Reading:
        pair = self._pairs[pair_id]
        return _Reading(pair.problem, pair.language, code or "", "", code)

    def _read(self, completion: str, pair_id: str) -> _Reading:
        key = pair_id, completion
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            pair, prefill = self._pairs[pair_id], self._prefills[pair_id]
            problem, language = pair.problem, pair.language
            found = extract(
                completion, prefill=prefill, entry_point=problem.entry_point, language=language
            )
            self._known[key] = _Reading(problem, language, completion, prefill, found.code)
        return self._known[key]


class _Score(Protocol):
    def __call__(self, reading: _Reading, /) -> float | None: ...


class _PerSample:
    """A reward of each completion by itself."""

    def __init__(self, name: str, reader: _Reader, score: _Score) -> None:
        self.__name__ = name
        self._reader = reader
        self._score = score

    def __call__(
        self,
        *,
        completions: Sequence[Any],
        pair_id: Sequence[str],
        environments: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[float | None]:
        readings = self._reader.read(completions, pair_id, environments)
        return [self._score(reading) for reading in readings]


class _Overlong:
    """The overlong penalty; the end-of-sequence token counts as one."""

    def __init__(self, limit: int, cache: int) -> None:
        self.__name__ = "overlong"
        self._limit = limit
        self._cache = cache

    def __call__(self, *, completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float | None]:
        return [overlong_penalty(len(ids), self._limit, self._cache) for ids in completion_ids]


class _Tests:
    """1.0 if every test of the pair passes, else 0.0."""

    def __init__(self, reader: _Reader, runner: TestRunner | SharedTestRunner | None) -> None:
        assert runner is not None
        self.__name__ = "tests"
        self._reader = reader
        self._runner = runner

    def __call__(
        self,
        *,
        completions: Sequence[Any],
        pair_id: Sequence[str],
        environments: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[float | None]:
        readings = self._reader.read(completions, pair_id, environments)
        passed = self._runner.passed([(r.problem, r.code) for r in readings])
        holes = {p for p, value in zip(pair_id, passed, strict=True) if value is None}
        return [
            None if p in holes or value is None else float(value)
            for p, value in zip(pair_id, passed, strict=True)
        ]
