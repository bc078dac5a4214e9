"""Running probes in both releases, and reading what the two did: the proof of a change, or none."""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recode_eval.mining.candidates import Evidence
from recode_eval.mining.probes import Probe, probes_for
from recode_eval.sandbox.inside import LostError, run_inside
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recode_eval.mining.differences import Change
    from recode_eval.mining.surface import Surface
    from recode_eval.sandbox.base import Sandbox

_BATCH = 250
_MOST_BYTES = 8 << 20
_PROBE_S = 4.0
_SIGNATURE = re.compile(
    r"unexpected keyword argument|positional arguments?\b|required (?:positional|keyword-only)|"
    r"missing (?:a required|required)|multiple values for|got some positional|takes no arguments|"
    r"invalid keyword argument|unexpected argument"
)
_GONE = ("AttributeError", "ImportError", "ModuleNotFoundError", "NameError")
_ANY_FUNCTION = re.compile(
    r"(?:function|method|builtin_function_or_method|generator|coroutine|type|module|partial|"
    r"cell|async_generator|_?[A-Za-z]*[dD]ecorator)\b: "
)
_NUMPY = re.compile(r"\bnp\.(?:float64|int64|float32|int32|bool_?|str_)\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class Piece:
    """What one piece of a probe did."""

    raises: str
    value: str
    prints: str
    warns: tuple[str, ...]

    @property
    def told(self) -> str:
        """One line for the evidence."""
        parts = [f"raises {self.raises}"] if self.raises else []
        parts += [f"returns {self.value}"] if self.value else []
        parts += [f"prints {self.prints}"] if self.prints.strip() else []
        parts += [f"warns {text}" for text in self.warns[:2]]
        return one_line("; ".join(parts) or "runs", 240)


Outcome = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two outcomes part."""

    piece: int
    why: str
    """`raises`, `warns` or `value`."""
    old: str
    new: str


@dataclass(slots=True)
class Answers:
    """What a release answered: probe -> outcome; and the losses by reason."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)


def run_probes(
    sandbox: Sandbox, environment: str, modules: Sequence[str], probes: Sequence[Probe]
) -> Answers:
    """Run probes in one release; one that kills or hangs its process is lost alone.

    Raises:
        SandboxError: the machine's fault.
    """
    answers = Answers()
    for start in range(0, len(probes), _BATCH):
        batch = {probe.id: list(probe.pieces) for probe in probes[start : start + _BATCH]}
        settings = {
            "modules": list(modules),
            "probes": batch,
            "silence_s": 30.0,
            "probe_s": _PROBE_S,
            "seconds": 150.0,
            "most_bytes": _MOST_BYTES,
        }
        try:
            lines = run_inside(sandbox, environment, "mining/probe", settings, 240.0)
        except LostError as error:
            answers.lost[f"a batch of probes: {error}"] += len(batch)
            continue
        for line in lines:
            _read(line, batch, answers)
        for name in batch.keys() - answers.outcomes.keys():
            answers.lost["a probe without an answer"] += name in batch
    return answers


def _read(line: str, batch: Mapping[str, Any], answers: Answers) -> None:
    try:
        match json.loads(line):
            case ["probe", str(name), list(pieces)] if name in batch:
                outcome = tuple(_piece(piece) for piece in pieces[: len(batch[name])])
                answers.outcomes.setdefault(name, outcome)
    except (ValueError, TypeError, RecursionError):
        answers.lost["a malformed answer"] += 1


def _piece(row: Any) -> Piece:
    raises, value, prints, warns = row
    texts = [one_line(str(text), 300) for text in (raises, value, prints)]
    warned = tuple(one_line(str(text), 300) for text in list(warns)[:20])
    return Piece(texts[0], texts[1], texts[2], warned)


def in_both(
    sandbox: Sandbox,
    environments: tuple[str, str],
    modules: tuple[Sequence[str], Sequence[str]],
    probes: Sequence[Probe],
) -> tuple[Answers, Answers]:
    """Run probes in both releases at once."""
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(run_probes, sandbox, environment, names, probes)
            for environment, names in zip(environments, modules, strict=True)
        ]
        return jobs[0].result(), jobs[1].result()


def difference(probe: Probe, old: Outcome, new: Outcome, *, noted: bool) -> Difference | None:
    """Return where the releases part, if it shows a change that a user of the old one meets."""
    for number, (before, after) in enumerate(zip(old, new, strict=False)):
        found = _piece_difference(probe, before, after, noted=noted)
        if found:
            return Difference(number, found, before.told, after.told)
        if before.raises or after.raises:
            return None
    return None


def _piece_difference(probe: Probe, old: Piece, new: Piece, *, noted: bool) -> str:
    fresh = [text for text in new.warns if text not in old.warns]
    if probe.about == "signature":
        stopped = [piece.raises.startswith("TypeError") and bool(_SIGNATURE.search(piece.raises))
                   for piece in (old, new)]  # fmt: skip
        if stopped[1] and not stopped[0]:
            return "raises"
        if stopped[0]:
            return ""
    if new.raises and not old.raises:
        return "raises"
    if old.raises:
        other = new.raises.partition(":")[0] != old.raises.partition(":")[0]
        return "raises" if noted and new.raises and other else ""
    if fresh and not old.warns:
        return "warns"
    if probe.about == "access":
        plain = {"int", "float", "str", "bool", "tuple", "NoneType"}
        simple = {piece.value.partition(":")[0] for piece in (old, new)} <= plain
        return "value" if simple and old.value != new.value else ""
    if _plain(old.value) != _plain(new.value) or _plain(old.prints) != _plain(new.prints):
        return "value"
    return ""


def _plain(text: str) -> str:
    """Write alike what only differs by a function's name, numpy's way with numbers, or spaces."""
    if _ANY_FUNCTION.match(text):
        return "function"
    return " ".join(_NUMPY.sub(r"\1", text).split())


@dataclass(slots=True)
class Proofs:
    """What the probes showed: numbers of changes."""

    differences: dict[int, tuple[Probe, Difference]] = field(default_factory=dict)
    alike: set[int] = field(default_factory=set)
    """Used in both releases, with the same outcome."""
    said: dict[int, str] = field(default_factory=dict)
    """Deprecation warnings that the old release gave when used."""
    lost: Counter[str] = field(default_factory=Counter)
    probes: int = 0


_STRENGTH = {"call": 0, "signature": 1, "access": 2, "kind": 3, "bases": 3, "default": 4}


def prove(
    sandbox: Sandbox,
    environments: tuple[str, str],
    tops: tuple[Sequence[str], Sequence[str]],
    changes: Sequence[Change],
    old: Surface,
    new: Surface,
    tell: Callable[[int], None] = lambda _n: None,
) -> Proofs:
    """Probe every change in both releases.

    Raises:
        SandboxError: the machine's fault.
    """
    proofs = Proofs()
    probes = _unique(
        probe for number, change in enumerate(changes)
        for probe in list(probes_for(number, change, old, new))[: _most(change)]
    )  # fmt: skip
    proofs.probes = len(probes)
    before, after = in_both(sandbox, environments, tops, probes)
    tell(len(probes))
    proofs.lost = before.lost + after.lost
    again = [probe for probe in probes if _only_values(probe, before, after, changes)]
    repeated = run_probes(sandbox, environments[0], tops[0], again) if again else Answers()
    for probe in probes:
        one, other = before.outcomes.get(probe.id), after.outcomes.get(probe.id)
        if one is None or other is None:
            continue
        change = changes[probe.change]
        warned = next((text for piece in one for text in piece.warns), "")
        if warned and probe.about in {"access", "call"}:
            proofs.said.setdefault(probe.change, warned)
        found = difference(probe, one, other, noted=change.note is not None)
        if found is None:
            if _used(probe, one, other):
                proofs.alike.add(probe.change)
            continue
        if found.why == "value" and repeated.outcomes.get(probe.id) != one:
            proofs.lost["a probe that does not repeat itself"] += 1
            continue
        known = proofs.differences.get(probe.change)
        if known is None or _better(probe, found, known):
            proofs.differences[probe.change] = (probe, found)
    return proofs


def _most(change: Change) -> int:
    """How many probes a change is worth; what nothing but its code speaks for, the fewest."""
    return 5 if change.suspected and change.note is None else 14


def _better(probe: Probe, found: Difference, known: tuple[Probe, Difference]) -> bool:
    """Whether a proof says more: one that runs well in the old release before one that does not."""

    def key(pair: tuple[Probe, Difference]) -> tuple[bool, int]:
        return pair[1].old.startswith("raises"), _STRENGTH.get(pair[0].about, 5)

    return key((probe, found)) < key(known)


def _only_values(probe: Probe, before: Answers, after: Answers, changes: Sequence[Change]) -> bool:
    one, other = before.outcomes.get(probe.id), after.outcomes.get(probe.id)
    if one is None or other is None:
        return False
    noted = probe.change >= 0 and changes[probe.change].note is not None
    found = difference(probe, one, other, noted=noted)
    return found is not None and found.why == "value"


def _used(probe: Probe, old: Outcome, new: Outcome) -> bool:
    """Whether a probe without a difference reached what it is about."""
    if not old or not new:
        return False
    if probe.about == "signature":
        return not any(_SIGNATURE.search(piece[-1].raises) for piece in (old, new))
    return not old[-1].raises and not new[-1].raises


def _unique(probes: Iterable[Probe]) -> list[Probe]:
    seen: set[tuple[int, tuple[str, ...]]] = set()
    kept = []
    for probe in probes:
        key = probe.change, probe.pieces
        if key not in seen:
            seen.add(key)
            kept.append(probe)
    return kept


def settle(
    changes: Sequence[Change], proofs: Proofs, unreachable: Callable[[str], bool]
) -> tuple[list[Change], Counter[str]]:
    """Write the proofs into the changes; drop what runs alike and what nothing speaks for.

    What lies in a module that imports in neither release (`unreachable`) keeps what its text shows.
    """
    kept: list[Change] = []
    drops: Counter[str] = Counter()
    for number, change in enumerate(changes):
        if (said := proofs.said.get(number)) and not change.deprecation:
            change.deprecation = one_line(said.partition(": ")[2] or said, 300)
        if (proof := proofs.differences.get(number)) is not None:
            probe, found = proof
            change.evidence.append(Evidence("probe", found.old, found.new, probe.text[:2000]))
            change.executed = True
            if found.why == "warns" and (change.suspected or change.unseen):
                change.kind = "newly-deprecated"
                change.deprecation = found.new.partition("warns ")[2] or change.deprecation
            kept.append(change)
        elif change.executed:
            kept.append(change)
        elif (
            number in proofs.alike
            and change.kind in {"removed", "renamed", "moved"}
            and (change.note is None)
        ):
            drops["runs alike in the new release"] += 1
        elif change.unseen:
            drops["a name of the notes that the old release does not have"] += 1
        elif change.note is not None:
            kept.append(change)
        elif number in proofs.alike:
            drops["runs alike in the new release"] += 1
        elif not change.suspected and unreachable(change.api):
            kept.append(change)
        elif change.suspected:
            drops["its code alone changed, and no probe or note shows more"] += 1
        else:
            drops["no probe reached it, and no note names it"] += 1
    return kept, drops


def gone(text: str) -> bool:
    """Whether an outcome says that a name is not there.

    >>> gone("raises AttributeError: module 'click' has no attribute 'get_os_args'")
    True
    """
    return text.removeprefix("raises ").partition(":")[0] in _GONE
