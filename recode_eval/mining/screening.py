"""Dropping what no user meets: private, test, vendored and merely re-exported names.

A name counts as public if the library exports it (`__all__`, a package's own namespace) or its
documents mention it; every drop has a reason, which is counted.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.mining.differences import Change
    from recode_eval.mining.releases import Release
    from recode_eval.mining.surface import Surface

_TESTS = {"tests", "test", "conftest", "benchmarks", "_testing"}
_INTERNAL = {"core", "internals", "internal", "compat", "impl"}
_FEW_WORDS = 4000
"""Documents with fewer words do not speak of every public name."""
_VENDORED = {"vendor", "vendored", "_vendor", "extern", "externals", "_vendored", "packages"}
_SHALLOW = 2
"""Dots up to which a module's own names need no document: `click.core.Context`."""


def documented_words(releases: Iterable[Release]) -> frozenset[str]:
    """Return every dotted word of the libraries' documents, and the last part of each."""
    words: set[str] = set()
    for release in releases:
        if release.documented is not None and release.documented.is_file():
            words |= set(release.documented.read_text(encoding="utf-8").split("\n"))
    tails = {word.rstrip(".").rpartition(".")[2] for word in words}
    return frozenset(words | tails)


def screened(
    changes: Iterable[Change], old: Surface, new: Surface, words: frozenset[str]
) -> tuple[list[Change], Counter[str]]:
    """Return the changes of public things, their public names alone, and the drops by reason."""
    kept: list[Change] = []
    drops: Counter[str] = Counter()
    for change in changes:
        reasons: Counter[str] = Counter()
        names = []
        for name in change.names:
            reason = _against(name, old if change.old is not None else new, words)
            if (
                reason is None
                and _is_constant(change, name, old)
                and not _known(name.split("."), words)
            ):
                reason = "undocumented"
            if reason is None:
                names.append(name)
            else:
                reasons[reason] += 1
        if not names:
            drops[reasons.most_common(1)[0][0] if reasons else "no name"] += 1
            continue
        names.sort(key=lambda n: (n not in old.exported, n.count("."), len(n), n))
        aside = [n for n in change.names if n not in names and not _is_private(n)]
        if change.kind == "moved" and change.new_api in names:
            drops["moved in the documentation only"] += 1
            continue
        change.names = names + aside  # the same thing by names that nobody should use
        kept.append(change)
    return kept, drops


def _against(name: str, surface: Surface, words: frozenset[str]) -> str | None:
    """Return why a name is not public; None: it is."""
    parts = name.split(".")
    if _is_private(name):
        return "private"
    if _TESTS & set(parts[:-1]):
        return "test"
    if _VENDORED & set(parts[1:-1]):
        return "vendored"
    module, member = _split(name, surface)
    owner = f"{module}.{member.partition('.')[0]}" if member else module
    quiet = not _known(parts, words) and (
        len(words) >= _FEW_WORDS or bool(_INTERNAL & set(module.split(".")[1:]))
    )
    if owner in surface.exported or not member:
        internal = _INTERNAL & set(module.split(".")[1:])
        return "undocumented" if module.count(".") > _SHALLOW and quiet and internal else None
    home = surface.names.get(owner, owner)
    at_home = home.rpartition(".")[0] == module
    face = (module in surface.packages and not quiet) or module.count(".") < _SHALLOW
    if not at_home and not (module in surface.packages and face):
        return "merely re-exported"
    return "undocumented" if module.count(".") >= _SHALLOW and quiet else None


def _is_private(name: str) -> bool:
    """Whether a part begins with an underscore; `__version__` and the like do not count."""
    *inside, last = name.split(".")
    parts = inside if last.startswith("__") and last.endswith("__") else [*inside, last]
    return any(part.startswith("_") for part in parts)


def _is_constant(change: Change, name: str, old: Surface) -> bool:
    """Whether it is a value in a module that is not a package's face."""
    if change.old is None or change.old.kind not in {"attribute", "module"} or name in old.exported:
        return False
    return name in old.names and name.rpartition(".")[0] not in old.packages


def _split(name: str, surface: Surface) -> tuple[str, str]:
    module = name
    while module and module not in surface.modules:
        module = module.rpartition(".")[0]
    return (
        (module, name[len(module) + 1 :]) if module else (name.rpartition(".")[0], parts_of(name))
    )


def parts_of(name: str) -> str:
    """Return the last part of a dotted name."""
    return name.rpartition(".")[2]


def _known(parts: list[str], words: frozenset[str]) -> bool:
    """Whether a document writes the name, at least with the part before the last."""
    last = parts[-1]
    telling = len(last) > 5 and ("_" in last.strip("_") or not (last.islower() or last.isupper()))
    return ".".join(parts) in words or ".".join(parts[-2:]) in words or (telling and last in words)


def public_names(surface: Surface, words: frozenset[str]) -> set[str]:
    """Return every public name of a release, the members of public classes included."""
    found = {name for name in surface.names if _against(name, surface, words) is None}
    found |= {
        f"{name}.{member}"
        for name in tuple(found)
        for member in surface.members.get(surface.names[name], ())
        if not member.startswith("_")
    }
    return found | {m for m in surface.modules if not any(p.startswith("_") for p in m.split("."))}
