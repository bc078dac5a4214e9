"""Docstring examples of the old release, run in both: what they show, and about which API."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from recode_eval.mining.candidates import Evidence
from recode_eval.mining.differences import Change
from recode_eval.mining.probes import Probe
from recode_eval.mining.probing import Answers, difference, in_both, run_probes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.mining.probing import Difference
    from recode_eval.mining.surface import Surface
    from recode_eval.sandbox.base import Sandbox

_MOST = 2500
_PRELUDE = """import sys
def _begin(modules, tops):
    for name in ("numpy", "pandas"):
        try:
            globals()[{"numpy": "np", "pandas": "pd"}[name]] = __import__(name)
        except ImportError:
            pass
    for top in tops:
        globals()[top] = __import__(top)
    for name in modules:
        try:
            __import__(name)
        except ImportError:
            continue
        globals().update({k: v for k, v in vars(sys.modules[name]).items() if k[:2] != "__"})
_begin(%r, %r)
"""
_MISSING = re.compile(
    r"has no attribute '(\w+)'|cannot import name '(\w+)'|keyword argument '(\w+)'"
)


def show(
    sandbox: Sandbox,
    environments: tuple[str, str],
    tops: tuple[Sequence[str], Sequence[str]],
    changes: list[Change],
    old: Surface,
    public: dict[str, list[str]],
) -> tuple[list[Change], Counter[str], int]:
    """Run the examples; prove changes by them, and return new ones, the losses and the number run.

    `public` is home -> public names. Raises `SandboxError`: the machine's fault.
    """
    probes: list[Probe] = []
    for home in public:
        for number, pieces in enumerate(old.examples.get(home, ())):
            module = _module(home, old.modules)
            prelude = _PRELUDE % ([module] if module else [], list(tops[0]))
            name = f"x{len(probes)}.{number}.{home}"
            probes.append(Probe(name, -1, (prelude, *pieces), "example"))
    probes = probes[:_MOST]
    if not probes:
        return [], Counter(), 0
    before, after = in_both(sandbox, environments, tops, probes)
    losses = before.lost + after.lost
    parted: list[tuple[Probe, Difference]] = []
    for probe in probes:
        one, other = before.outcomes.get(probe.id), after.outcomes.get(probe.id)
        if one is None or other is None:
            continue
        if one[-1].raises:
            losses["an example that raises in the old release"] += 1
        found = difference(probe, one, other, noted=False)
        if found is not None and found.piece > 0:
            parted.append((probe, found))
    again = [probe for probe, found in parted if found.why == "value"]
    repeated = run_probes(sandbox, environments[0], tops[0], again) if again else Answers()
    fresh: dict[tuple[str, str], Change] = {}
    for probe, found in parted:
        if found.why == "value" and repeated.outcomes.get(probe.id) != before.outcomes[probe.id]:
            losses["an example that does not repeat itself"] += 1
            continue
        home = probe.id.split(".", 2)[2]
        change = _about(probe, found, home, changes, old, public, fresh)
        if change is None:
            losses["an example whose difference is another library's"] += 1
            continue
        program = "\n".join(piece.rstrip("\n") for piece in probe.pieces[1 : found.piece + 1])
        if not any(e.source == "example" for e in change.evidence):
            change.evidence.append(Evidence("example", found.old, found.new, program[-2000:]))
        change.executed = True
    return list(fresh.values()), losses, len(probes)


def _module(home: str, modules: set[str]) -> str:
    while home and home not in modules:
        home = home.rpartition(".")[0]
    return home


def _about(
    probe: Probe,
    found: Difference,
    home: str,
    changes: Sequence[Change],
    old: Surface,
    public: dict[str, list[str]],
    fresh: dict[tuple[str, str], Change],
) -> Change | None:
    """Return the change that a difference shows, or a new one of the API whose example it is."""
    piece = probe.pieces[found.piece]
    names = set(re.findall(r"[A-Za-z_]\w*", piece))
    missing = _MISSING.search(found.new) if found.why == "raises" else None
    if missing is not None:
        tail = next(filter(None, missing.groups()))
        for change in changes:
            last = change.api.rpartition(".")[2]
            if tail in {last, change.parameter} and (last in names or tail == last):
                return change
    elif found.why == "warns":
        for change in changes:
            last = change.api.rpartition(".")[2]
            if last in names and last in found.new and change.kind in {
                "newly-deprecated", "behaviour-changed"
            }:  # fmt: skip
                return change
    own = public[home][0]
    last = own.rpartition(".")[2]
    if last not in names:
        return None
    kind = "newly-deprecated" if found.why == "warns" else "behaviour-changed"
    for change in changes:
        if change.names[0] == own and (change.kind == kind or change.suspected):
            change.kind = kind
            return change
    item = old.items.get(home)
    change = fresh.setdefault((kind, home), Change(kind, list(public[home]), item, None, own))
    if kind == "newly-deprecated":
        change.deprecation = found.new.partition("warns ")[2]
    return change
