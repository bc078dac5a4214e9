"""May two runs be compared? The one rule, as a table that Python and the browser both apply.

Strict: the difference would not be the models' alone, so the gate refuses and `compare` warns. A
strict condition that is known before anything is graded also decides on which board of the
leaderboard a run is. Caution: the comparison stands, but this may explain a difference.

A run is reduced to its facts (`facts`), a value and a text per field; everything else is a question
about two sets of facts. The leaderboard hands facts and table to static/comparability.js, which
answers the same for every pair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from recode_eval.conversations.settings import described
from recode_eval.documentation.arms import arm_of
from recode_eval.metrics import tested
from recode_eval.run.portable import weights
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.run.results_file import ResultsFile
    from recode_eval.schemas.results import ProblemResult, Results

MOST_UNSCORED: Final = 0.01
"""Share of samples without a verdict, or of problems set up in one run only, that is tolerated."""
NOT_COMPARED: Final = frozenset({"model"})
"""Parts of a run's identity that may differ; of its sampling, the seed may too."""
_HASH = re.compile(r"[0-9a-f]{64}")
_SANDBOX = ("tier", "python", "libraries")
_FIRST_ISOLATION, _SAFEST_ISOLATION = "program", "split"
_FIRST_ARMS = frozenset({"none", "note"})
_LONGEST = 200
"""Characters of a version in a message; a file may hold anything."""


class Strictness(StrEnum):
    """How much a difference matters."""

    STRICT = "strict"
    CAUTION = "caution"


class Comparator(StrEnum):
    """How two values of a field are compared."""

    EQUAL = "equal"
    MAJOR = "major"
    """Versions: the part before the first dot."""
    SHARE = "share"
    """Each run's share must not be above the limit; both may fail it."""
    MEMBERS = "members"
    """Sets of problems: how many are in one of them only, of all; tolerated up to the limit."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One field that two runs are compared by."""

    field: str
    label: str
    """What the field is, in two or three words."""
    text: str
    """The message if it differs; {a} and {b} are the values, {role} is the run, {count} a
    number of problems, {value} and {limit} shares, {again} the
    value to grade one run again with."""
    level: Strictness
    test: Comparator = Comparator.EQUAL
    board: bool = False
    """Whether runs that differ in it are on different boards."""
    after: tuple[str, ...] = ()
    """Fields whose difference implies this one's, which is then not reported."""
    tolerance: bool = False
    """Whether the limit (`MOST_UNSCORED`, or a policy's) is tolerated."""

    def to_json(self) -> dict[str, Any]:
        """Return what the browser applies."""
        return {
            "field": self.field,
            "label": self.label,
            "text": self.text,
            "level": str(self.level),
            "test": str(self.test),
            "after": list(self.after),
            "tolerance": self.tolerance,
        }


_STRICT: Final = Strictness.STRICT
_SHARE_TEXT = (
    "{value} of the samples of {role} are unscored (at most {limit}); the run's own command tries "
    "them again"
)
_CONDITION: Final[Mapping[str, Any]] = {"level": _STRICT, "board": True}
RULES: Final = (
    Rule("task", "task", "the task differs: {a} and {b}", **_CONDITION),
    Rule("task_version", "version of the task", "the task's version differs: {a} and {b}",
         **_CONDITION),
    Rule("data", "data", "the data's hash differs: {a} and {b}", **_CONDITION),
    Rule("problems", "problems", "{count} problems are in one of the runs only",
         test=Comparator.MEMBERS, **_CONDITION),
    Rule("clusters", "clusters", "the problems are grouped into other clusters",
         after=("data", "problems"), **_CONDITION),
    Rule("tested", "kind of metric", "one of the runs has no tests", after=("task",),
         **_CONDITION),
    Rule("prompt", "prompt", "the prompt's hash differs: {a} and {b}", **_CONDITION),
    Rule("update_note", "update note", "whether the update is shown differs: {a} and {b}",
         **_CONDITION),
    Rule("docs", "documentation", "the documentation in the prompt differs: {a} and {b}",
         after=("update_note",), **_CONDITION),
    Rule("sampling", "sampling", "{key} differs: {a} and {b}", **_CONDITION),
    Rule("identity", "identity", "{key} differs: {a} and {b}", **_CONDITION),
    Rule("n", "samples per problem", "n (samples per problem) differs: {a} and {b}", _STRICT),
    Rule("harness", "version", "the harness differs in its major version: {a} and {b}", _STRICT,
         Comparator.MAJOR),
    Rule("isolation", "isolation",
         "the isolation differs: {a} and {b}; grade one run again: recode-eval score RUN "
         "--isolation {again}", **_CONDITION),
    Rule("scoring", "rules of grading",
         "the limits or the rules of grading differ; grade one run again: recode-eval score",
         after=("data", "harness", "isolation"), **_CONDITION),
    Rule("unscored", "unscored samples", _SHARE_TEXT, _STRICT, Comparator.SHARE, tolerance=True),
    Rule("faulty", "faulty problems",
         "{count} problems could be set up in one run only: their sandboxes differ", _STRICT,
         Comparator.MEMBERS, tolerance=True),
    *(
        Rule(f"sandbox.{key}", f"the sandbox's {key}", f"the sandbox's {key} differs",
             Strictness.CAUTION)
        for key in _SANDBOX
    ),
    Rule("ungraded", "problems without a score",
         "{count} problems have a score in one of the runs only, and do not count",
         Strictness.CAUTION, Comparator.MEMBERS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One field in which two runs differ."""

    what: str
    """The rule's field."""
    text: str
    """For people: what differs, and the fix where there is one."""
    level: Strictness = Strictness.STRICT


Facts = Mapping[str, Any]
"""Field -> value: what `RULES` compare. Mappings are compared and named key by key."""


def facts(run: ResultsFile) -> Facts:
    """Return what the rule compares of a run."""
    return conditions(run.results, tuple(run.scores.values())) | {
        "n": run.n,
        "harness": one_line(run.harness, _LONGEST),
        "unscored": run.unscored_share,
        "faulty": frozenset(key for key, p in run.scores.items() if p.faulty is not None),
        "ungraded": frozenset(key for key, p in run.scores.items() if not p.n),
        **{f"sandbox.{key}": (run.results.sandbox or {}).get(key) for key in _SANDBOX},
    }


def conditions(results: Results, problems: Sequence[ProblemResult]) -> dict[str, Any]:
    """Return the facts that a board's runs share: all that was fixed before anything was graded."""
    task, prompt, sampling = results.task, results.prompt, results.sampling
    covered = {
        "task", "task_version", "data", "prompt", "update_note", "docs", "sampling", *NOT_COMPARED
    }  # fmt: skip
    drawn = {key: value for key, value in sampling.items() if key not in {"n", "seed"}}
    others = {k: v for k, v in results.identity.items() if k not in covered}
    if "conversation" in others:
        others["conversation"] = described(others["conversation"])
    return {
        "task": task.name,
        "task_version": task.version,
        "data": task.data_hash,
        "problems": frozenset(problem.id for problem in problems),
        "clusters": {problem.id: problem.cluster for problem in problems},
        "tested": tested(problems),
        "prompt": prompt.hash,
        "update_note": prompt.update_note,
        "docs": _docs(results),
        "sampling": drawn,
        "identity": others,
        "isolation": isolation(results),
        "scoring": results.scoring["hash"],
    }


def _docs(results: Results) -> str:
    """Return the arm, with the hash of its texts where it has any of its own."""
    docs = results.identity.get("docs")
    if not isinstance(docs, dict):
        return arm_of(results)
    return f"{arm_of(results)} {one_line(str(docs.get('hash')), _LONGEST)[:12]}"


def model_key(results: Results) -> str:
    """Return what tells models apart, whatever they are called: weights and loading."""
    return json.dumps(weights(results.identity["model"]), sort_keys=True)


def isolation(results: Results) -> str:
    """Return how answers and their tests were kept apart: one of `sandbox.base.ISOLATIONS`.

    A file from somebody else may hold any other text.
    """
    return one_line(str(results.scoring["isolation"]), _LONGEST)


def comparability_key(results: Results, digest: Callable[[object], str]) -> dict[str, Any]:
    """Return what all runs of a board share, as JSON-able values; equal means one board.

    `digest` shortens the long lists of problems and clusters.
    """
    found = conditions(results, results.problems)
    clusters = found["clusters"]
    long = {
        "problems": digest(sorted(found["problems"])),
        "clusters": digest(sorted([key, value] for key, value in clusters.items())),
    }
    # Boards that are older than a condition keep their keys, and so their links.
    if found["isolation"] == _FIRST_ISOLATION:
        del found["isolation"]
    if found["docs"] in _FIRST_ARMS:
        del found["docs"]
    others = found.pop("identity")
    return {**others, **{r.field: found[r.field] for r in RULES if r.field in found}, **long}


def mismatches(
    a: ResultsFile, b: ResultsFile, max_unscored: float = MOST_UNSCORED
) -> list[Mismatch]:
    """Return all strict differences of a baseline and a candidate.

    `max_unscored` is the share of samples that may be without a verdict in either run.
    """
    found = differences(facts(a), facts(b), ("the baseline", "the candidate"), max_unscored)
    return [item for item in found if item.level is Strictness.STRICT]


def remarks(a: ResultsFile, b: ResultsFile) -> list[str]:
    """Return differences that do not forbid a comparison but may explain a result."""
    found = differences(facts(a), facts(b), ("the baseline", "the candidate"))
    told = [item.text for item in found if item.level is Strictness.CAUTION]
    own = {"the baseline": a.results.cautions, "the candidate": b.results.cautions}
    both = [text for text in a.results.cautions if text in b.results.cautions]
    told += [f"both: {text}" for text in both]
    return told + [
        f"{role}: {text}" for role, texts in own.items() for text in texts if text not in both
    ]


def differences(
    a: Facts, b: Facts, roles: tuple[str, str], limit: float = MOST_UNSCORED
) -> list[Mismatch]:
    """Apply every rule to two runs' facts, in the order of the table."""
    found: list[Mismatch] = []
    for rule in RULES:
        if not {item.what for item in found} & set(rule.after):
            texts = _TESTS[rule.test](rule, a, b, roles, limit)
            found += [Mismatch(rule.field, text, rule.level) for text in texts]
    return found


def _equal(rule: Rule, a: Facts, b: Facts, roles: tuple[str, str], limit: float) -> list[str]:
    del roles, limit
    one, two = a[rule.field], b[rule.field]
    if one == two:
        return []
    if "{key}" not in rule.text:
        again = _SAFEST_ISOLATION if _SAFEST_ISOLATION in (one, two) else two
        return [rule.text.format(a=shown(one), b=shown(two), again=again)]
    return [
        rule.text.format(key=key, a=shown(one.get(key)), b=shown(two.get(key)))
        for key in dict.fromkeys([*one, *two])
        if one.get(key) != two.get(key)
    ]


def _major(rule: Rule, a: Facts, b: Facts, roles: tuple[str, str], limit: float) -> list[str]:
    del roles, limit
    one, two = str(a[rule.field]), str(b[rule.field])
    same = one.split(".")[0] == two.split(".")[0]
    return [] if same else [rule.text.format(a=one, b=two)]


def _share(rule: Rule, a: Facts, b: Facts, roles: tuple[str, str], limit: float) -> list[str]:
    return [
        rule.text.format(value=percent(one[rule.field]), role=role, limit=percent(limit))
        for one, role in zip((a, b), roles, strict=True)
        if one[rule.field] > limit
    ]


def _members(rule: Rule, a: Facts, b: Facts, roles: tuple[str, str], limit: float) -> list[str]:
    del roles
    apart = a[rule.field] ^ b[rule.field]
    if rule.field != "problems":
        common = a["problems"] & b["problems"]
        apart &= common
        if rule.tolerance and len(apart) <= limit * len(common):
            return []
    return [rule.text.format(count=len(apart))] if apart else []


_TESTS: Final[Mapping[Comparator, Callable[..., list[str]]]] = {
    Comparator.EQUAL: _equal,
    Comparator.MAJOR: _major,
    Comparator.SHARE: _share,
    Comparator.MEMBERS: _members,
}


def shown(value: object) -> str:
    """Return a value as a message has it: long hashes are cut."""
    text = str(value)
    return text[:12] if _HASH.fullmatch(text) else text


def percent(share: float) -> str:
    """Return a share as a message has it."""
    return f"{share:.1%}"


def browser_rules() -> list[dict[str, Any]]:
    """Return the rules that two runs of one board can still differ in, for the page's script."""
    return [rule.to_json() for rule in RULES if not rule.board]


def browser_facts(
    run: ResultsFile, order: Mapping[str, int], digest: Callable[[object], str]
) -> dict[str, Any]:
    """Return a run's facts for `browser_rules`, by field.

    Problems go by their number in `order`, shares with their text, values that a message has as
    that text, and all others as a digest.
    """
    found = facts(run)
    chosen: dict[str, Any] = {}
    for rule in RULES:
        if rule.board:
            continue
        value = found[rule.field]
        if rule.test is Comparator.MEMBERS:
            chosen[rule.field] = sorted(order[key] for key in value)
        elif rule.test is Comparator.SHARE:
            chosen[rule.field] = [value, percent(value)]
        else:
            chosen[rule.field] = shown(value) if "{a}" in rule.text else digest(value)
    return chosen
