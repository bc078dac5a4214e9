"""Rewards: a table computed by hand, execution in a batch, and what happens to trouble."""

from __future__ import annotations

import math
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from fake_sandbox import FakeSandbox
from hypothesis import given
from hypothesis import strategies as st
from migration_rows import write_pairs
from training_pairs import NEW, OLD, PREFILL, pair_set, training_row, turn

from recode_eval.errors import DataError, UsageError
from recode_eval.sandbox.base import (
    Execution,
    Limits,
    Program,
    SandboxCrashError,
    SandboxUnavailableError,
)
from recode_train.data import PairSet, load_pairs
from recode_train.rewards import Rewards, build_rewards, overlong_penalty
from recode_train.setting_types import REWARDS

REFERENCE = "x = 1\ny = 2"
STRINGS = "print(" + ", ".join(f"'{letter}'" for letter in "abcdefghijkl") + ")"


def build(pairs: PairSet, *names: str, **options: Any) -> Rewards:
    settings: dict[str, Any] = {"completion_limit": 100, "cache": 20, **options}
    prefills = {pair.id: PREFILL for pair in pairs.pairs}
    return build_rewards(dict.fromkeys(names, 1.0), pairs, prefills=prefills, **settings)


def call(rewards: Rewards, completions: list[str], ids: list[str]) -> list[list[float | None]]:
    """Call every function as TRL does."""
    return [
        function(
            prompts=["p"] * len(ids),
            completions=completions,
            completion_ids=[[1]] * len(ids),
            pair_id=ids,
            trainer_state=None,
            log_extra=None,
            log_metric=None,
        )
        for function in rewards.functions
    ]


def text_pairs(path: Path, reference: str) -> PairSet:
    """A pair without tests: any reference will do."""
    row = {"dependency": "x", "update_info": "new", "old_code": "z = 0", "new_code": reference}
    return load_pairs(str(write_pairs(path / "text.jsonl", row)))


# 11 characters in the reference: one substitution is 1/11, one insertion 1/12.
@pytest.mark.parametrize(
    ("reference", "completion", "format_", "es", "em", "es_star", "em_star"),
    [
        pytest.param(REFERENCE, turn(REFERENCE), 1, 1, 1, 2, 2, id="exact"),
        pytest.param(
            REFERENCE, turn("x = 1\ny = 3"), 1, 10 / 11, 0, 3.5 * 10 / 11 - 1.5, -1.5, id="one off"
        ),
        pytest.param(
            REFERENCE, turn("x = (1\ny = 2"), 1, 11 / 12, 0, -2, -2, id="syntax error"
        ),
        pytest.param(
            REFERENCE,
            turn("x = 1  # don't\n\ny = 2  # can't"),
            1, 1, 1, 2, 2,
            id="apostrophe in a comment: the public code eats what stands between two of them",
        ),
        pytest.param(
            STRINGS,
            turn(STRINGS + '  # "twelve"'),
            1, 1, 1, 2, 2,
            id="more than ten strings: the public code mixes them up",
        ),
        pytest.param(
            REFERENCE,
            turn(REFERENCE, "a draft:\n```python\nz = 9\n```"),
            1, 1, 1, 2, 2,
            id="fence inside think: the public code takes it for the answer",
        ),
        pytest.param(
            "# nothing", turn("# other"), 1, 1, 1, 2, 2,
            id="two empty programs: the public code divides by zero",
        ),
        pytest.param(
            REFERENCE, "</think><answer></answer>", -1, 0, 0, -2, -2,
            id="empty tags: the public code pays for them",
        ),
        pytest.param(REFERENCE, "I give up", -1, 0, 0, -2, -2, id="never stops thinking"),
        pytest.param(REFERENCE, "", -1, 0, 0, -2, -2, id="nothing"),
        pytest.param(
            REFERENCE, f"hm</think>\n```python\n{REFERENCE}\n```", -1, 1, 1, 2, 2,
            id="right code, wrong form",
        ),
        pytest.param(
            REFERENCE, turn("x = 1") + turn(REFERENCE), -1, 1, 1, 2, 2, id="two answers: the last"
        ),
    ],
)  # fmt: skip
def test_hand_computed(
    tmp_path: Path, reference: str, completion: str, format_: float, es: float, em: float,
    es_star: float, em_star: float,
) -> None:  # fmt: skip
    pairs = text_pairs(tmp_path, reference)
    rewards = build(pairs, "format", "es", "em", "es_star", "em_star")
    values = [row[0] for row in call(rewards, [completion], [pairs.pairs[0].id])]
    assert values == pytest.approx([format_, es, em, es_star, em_star])


def test_the_paper_s_total_of_a_perfect_answer_is_three(tmp_path: Path) -> None:
    pairs = text_pairs(tmp_path, REFERENCE)
    rewards = build(pairs, "format", "es_star")
    values = call(rewards, [turn(REFERENCE)], [pairs.pairs[0].id])
    total = sum(w * row[0] for w, row in zip(rewards.weights, values, strict=True) if row[0])
    assert total == 3.0


def test_each_completion_is_compared_with_its_own_pair(tmp_path: Path) -> None:
    pairs = pair_set(
        tmp_path,
        training_row(),
        training_row(id="string-b", apis=["numpy.b"], new_code="def b():\n    return 1\n"),
    )
    rewards = build(pairs, "em")
    completions = [turn(NEW), turn(NEW)]
    assert call(rewards, completions, ["string-shout", "string-b"]) == [[1.0, 0.0]]


def test_names_weights_and_order(tmp_path: Path) -> None:
    pairs = pair_set(tmp_path, training_row())
    weights = {"overlong": 0.5, "es_star": 2, "em": 0.0, "format": 1}
    rewards = build_rewards(weights, pairs, prefills={}, completion_limit=100, cache=20)
    assert rewards.names == ["format", "em", "es_star", "overlong"]
    assert [f.__name__ for f in rewards.functions] == rewards.names  # what TRL logs
    assert rewards.weights == [1.0, 0.0, 2.0, 0.5]
    assert rewards.decisive == [True, False, True, False]


@pytest.mark.parametrize(
    ("tokens", "penalty"), [(0, 0), (80, 0), (85, -0.25), (90, -0.5), (100, -1), (150, -1)]
)
def test_overlong_by_hand(tokens: int, penalty: float) -> None:
    assert overlong_penalty(tokens, limit=100, cache=20) == pytest.approx(penalty)


@given(st.integers(0, 300), st.integers(1, 200), st.integers(0, 200))
def test_overlong_is_in_range_and_falls(tokens: int, limit: int, cache: int) -> None:
    now, longer = (overlong_penalty(n, limit, cache) for n in (tokens, tokens + 1))
    assert -1.0 <= longer <= now <= 0.0


@pytest.mark.slow
def test_overlong_is_that_of_trl() -> None:
    pytest.importorskip("trl", reason="TRL is not installed (recode-eval[train])")
    from trl.rewards import get_soft_overlong_punishment

    theirs = get_soft_overlong_punishment(max_completion_len=100, soft_punish_cache=20)
    lengths = list(range(140))
    ours = [overlong_penalty(n, limit=100, cache=20) for n in lengths]
    assert ours == pytest.approx(theirs(completion_ids=[[0] * n for n in lengths]))


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (NEW, 1.0),
        (OLD, 0.0),
        ("import string\n\ndef shout(text):\n    return text\n", 0.0),
        ("import string\n\ndef shout(t):\n    return str.upper(t) or string.upper(t)\n", 0.0),
        ("def shout(text):\n    return text.upper(\n", 0.0),
        ("'x'.upper()\n", 0.0),  # does not define shout
        ("pass", 0.0),
    ],
)
def test_api(tmp_path: Path, code: str, value: float) -> None:
    rewards = build(pair_set(tmp_path, training_row()), "api")
    assert call(rewards, [turn(code)], ["string-shout"]) == [[value]]


def test_an_empty_program_is_not_paid_for_leaving_the_old_api(tmp_path: Path) -> None:
    """A pair may name only the old use; then writing nothing would be rewarded."""
    rewards = build(pair_set(tmp_path, training_row(new_use=[])), "api")
    completions = [turn("pass"), turn(NEW), "no code", turn(OLD)]
    assert call(rewards, completions, ["string-shout"] * 4) == [[0.0, 1.0, 0.0, 0.0]]


def test_a_change_that_cannot_be_seen_has_no_api_reward(tmp_path: Path) -> None:
    rewards = build(pair_set(tmp_path, training_row(old_use=[], new_use=[])), "api")
    assert call(rewards, [turn(NEW), "no code"], ["string-shout"] * 2) == [[None, None]]


def test_tests_are_executed(tmp_path: Path) -> None:
    sandbox = FakeSandbox()
    rewards = build(pair_set(tmp_path, training_row()), "tests", sandbox=lambda: sandbox)
    assert sandbox.programs == []  # opened when first needed
    completions = [turn(NEW), turn(OLD), "no code", turn(NEW)]
    assert call(rewards, completions, ["string-shout"] * 4) == [[1.0, 0.0, 0.0, 1.0]]
    # The reference once for its time, then each different answer once.
    assert len(sandbox.programs) == 3
    assert {p.environment for p in sandbox.programs} == {"numpy-2.4.6"}
    call(rewards, completions, ["string-shout"] * 4)
    assert len(sandbox.programs) == 5
    rewards.close()
    rewards.close()
    assert sandbox.closed


class _Holding(FakeSandbox):
    """Answers only when `expected` candidates wait at once."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self._expected = expected
        self._waiting: list[tuple[Program, Future[Execution]]] = []

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        if program.candidate == NEW:  # the reference, to measure it
            return super().submit(program, limits)
        future: Future[Execution] = Future()
        self._waiting.append((program, future))
        if len(self._waiting) == self._expected:
            for waiting, held in self._waiting:
                held.set_result(super().submit(waiting, limits).result())
        return future


def test_a_batch_is_submitted_before_the_first_verdict_is_waited_for(tmp_path: Path) -> None:
    sandbox = _Holding(expected=6)
    rewards = build(pair_set(tmp_path, training_row()), "tests", sandbox=lambda: sandbox)
    completions = [turn(f"def shout(text):\n    return text.upper()[:{n}]") for n in range(6)]
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(call(rewards, completions, ["string-shout"] * 6)), daemon=True
    )
    thread.start()
    thread.join(timeout=60)
    assert found == [[[0.0, 1.0, 1.0, 1.0, 1.0, 1.0]]]


def test_a_lost_worker_is_no_failure_of_the_model(tmp_path: Path) -> None:
    """In TRL's sum a missing value is 0, so the whole group of the pair goes without."""
    pairs = pair_set(tmp_path, training_row(), training_row(id="string-b", apis=["numpy.b"]))

    def fail(program: Program) -> Exception | None:
        return SandboxCrashError("worker lost twice") if "boom" in program.candidate else None

    sandbox = FakeSandbox(fail=fail)
    rewards = build(pairs, "tests", sandbox=lambda: sandbox)
    completions = [turn(NEW), turn("boom = 1"), turn(NEW), turn(OLD)]
    ids = ["string-shout", "string-shout", "string-b", "string-b"]
    assert call(rewards, completions, ids) == [[None, None, 1.0, 0.0]]


def test_a_sandbox_that_is_gone_ends_the_run(tmp_path: Path) -> None:
    sandbox = FakeSandbox(fail=lambda _: SandboxUnavailableError("the daemon went away"))
    rewards = build(pair_set(tmp_path, training_row()), "tests", sandbox=lambda: sandbox)
    with pytest.raises(SandboxUnavailableError):
        call(rewards, [turn(NEW)], ["string-shout"])


def test_a_broken_set_up_is_the_data_s_fault(tmp_path: Path) -> None:
    class Broken(FakeSandbox):
        def submit(self, program: Program, limits: Limits) -> Future[Execution]:
            future: Future[Execution] = Future()
            future.set_result(Execution((), setup_error="ImportError: no numpy"))
            return future

    rewards = build(pair_set(tmp_path, training_row()), "tests", sandbox=Broken)
    with pytest.raises(DataError, match=r"string-shout.*no numpy"):
        call(rewards, [turn(NEW)], ["string-shout"])


@pytest.mark.parametrize("name", ["tests", "api"])
def test_pairs_of_text_have_no_tests_and_no_uses(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--data migration"):
        build(text_pairs(tmp_path, REFERENCE), name)


def test_unknown_and_no_rewards(tmp_path: Path) -> None:
    pairs = pair_set(tmp_path, training_row())
    with pytest.raises(UsageError, match="Did you mean es_star"):
        build(pairs, "es_sta")
    with pytest.raises(UsageError, match="No reward has a weight"):
        build(pairs)


PIECES = [*"ab #'\"\n()`\\\0\ud800é", "</think>", "<answer>", "</answer>", "```python\n", "```"]
HOSTILE = st.lists(st.sampled_from(PIECES)).map("".join) | st.text()


@given(st.lists(HOSTILE, min_size=1, max_size=4))
def test_any_text_gets_finite_rewards_in_range(texts: list[str]) -> None:
    rewards, pair_id = _shared_rewards()
    form, paper, es, em, es_star, em_star, api = call(rewards, texts, [pair_id] * len(texts))
    assert set(form) | set(paper) <= {-1.0, 1.0}
    assert all(a <= b for a, b in zip(form, paper, strict=True) if a is not None and b is not None)
    assert set(em) | set(api) <= {0.0, 1.0}
    assert all(value is not None and 0 <= value <= 1 for value in es)
    assert all(v == -2 or -1.5 <= v <= 2 for v in es_star if v is not None and math.isfinite(v))
    assert set(em_star) <= {-2.0, -1.5, 2.0}
    assert len(es_star) == len(texts)


_CACHE: list[tuple[Rewards, str]] = []


def _shared_rewards() -> tuple[Rewards, str]:
    if not _CACHE:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            pairs = pair_set(Path(folder), training_row())
        names = [name for name in REWARDS if name not in {"tests", "overlong"}]
        _CACHE.append((build(pairs, *names), pairs.pairs[0].id))
    return _CACHE[0]


@pytest.mark.slow
def test_processes_of_a_machine_share_one_sandbox(libraries: None, tmp_path: Path) -> None:
    """Every process opened a pool of as many workers as there are cores."""
    from launched import in_two_processes

    found = in_two_processes("two_processes_sandbox.py", tmp_path, tmp_path)
    assert found["pools"] == [1, 0]
    assert found["verdicts"] == [[1.0, 0.0], [0.0, 1.0, 1.0]]
    assert found["lost"] == ["SandboxUnavailableError: the daemon is gone"] * 2
