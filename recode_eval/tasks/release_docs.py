"""What the releases of a migration pair say of its APIs, and what the data says of the release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.tasks.base import ApiDocs, OthersNote
from recode_eval.tasks.signatures import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recode_eval.tasks.base import DocsText
    from recode_eval.tasks.migration import MigrationRow
    from recode_eval.tasks.signatures import Signatures


@dataclass(frozen=True, slots=True)
class ReleasePair:
    """A row, and the environments of its old and its new release."""

    row: MigrationRow
    old: str
    new: str

    @property
    def replacements(self) -> tuple[str, ...]:
        """What the new code uses instead, as far as its patterns of use name it by a path.

        A member of any object (`_.name`) may be one of the class that the old API is of.
        """
        found: dict[str, None] = {}
        for pattern in self.row.new_use:
            path = pattern.partition("(")[0].strip()
            if path.startswith("_.") and path.count(".") == 1:
                parents = (api.rpartition(".")[0] for api in self.row.apis)
                found |= {f"{parent}.{path[2:]}": None for parent in parents if parent}
            elif not path.startswith("_."):
                found[path] = None
        return tuple(path for path in found if path not in self.row.apis)

    def asked(self) -> Iterator[tuple[str, str]]:
        """Yield each environment with an API whose signature is worth to be known."""
        for path in self.row.apis:
            yield self.old, path
            yield self.new, path
        for path in self.replacements:
            yield self.new, path

    def signature(self, known: Signatures) -> DocsText:
        """Return old and new signature of each API, and the new docstring.

        An API that was looked for and is in neither release has nothing: its name may be one that
        only objects have. An argument (`function.argument`) has what its function has.
        """
        parts: list[str | OthersNote | ApiDocs] = []
        for path in self._found(known):
            before, now = known.of(self.old, path), known.of(self.new, path)
            if isinstance(before, str):
                parts.append(f"{path} in {self._title(self.row.old_version)}: {before}")
                if now is None:
                    parts.append(f"{path} is not in {self._title(self.row.new_version)} any more.")
            if now is not None:
                parts.append(self._now(path, now))
        for path in self.replacements:
            now = known.of(self.new, path)
            if isinstance(now, str):
                parts.append(self._now(path, now))
        return tuple(parts)

    def wrong_version(self, known: Signatures) -> DocsText:
        """Return signature and docstring of each API in the old release.

        Without the release's name: what is out of date seldom says so.
        """
        found = ((path, known.of(self.old, path)) for path in self._found(known))
        return tuple(
            ApiDocs(path, self.old, f"{path}: ", before if isinstance(before, str) else None)
            for path, before in found
            if before is UNKNOWN or isinstance(before, str)
        )

    def _found(self, known: Signatures) -> list[str]:
        """Return the APIs as the releases know them: an argument by its function, each once."""
        found: dict[str, None] = {}
        for path in self.row.apis:
            nowhere = known.of(self.old, path) is None and known.of(self.new, path) is None
            is_argument = nowhere and self._is_call(parent_of(path), known)
            found[parent_of(path) if is_argument else path] = None
        return list(found)

    def _is_call(self, path: str, known: Signatures) -> bool:
        return any("(" in str(known.of(release, path)) for release in (self.old, self.new))

    def _title(self, version: str) -> str:
        return f"{self.row.dependency} {version}"

    def _now(self, path: str, signature: object) -> ApiDocs:
        lead = f"{path} in {self._title(self.row.new_version)}: "
        return ApiDocs(path, self.new, lead, signature if isinstance(signature, str) else None)


def parent_of(path: str) -> str:
    """Return what an API is a member or an argument of; empty for a member of the library itself.

    >>> parent_of("validators.url.public"), parent_of("numpy.trapz")
    ('validators.url', '')
    """
    parent = path.rpartition(".")[0]
    return parent if "." in parent else ""


def changelog(row: MigrationRow, known: Iterable[MigrationRow]) -> DocsText:
    """Return the notes of all changes between a row's releases that the data knows, as a list.

    Each change once: rows that name the same entries of the release notes (`changes`) say the same
    in other words. The row's own note stands where its API's name puts it.
    """
    entries: list[tuple[Sequence[str], str, str | OthersNote]] = []
    told: set[str] = set(row.changes)
    texts = {row.update_info}
    entries.append((row.apis, row.id, f"- {row.update_info}"))
    releases = row.dependency, row.old_version, row.new_version
    for other in sorted(known, key=lambda one: one.id):
        if (other.dependency, other.old_version, other.new_version) != releases:
            continue
        if other.update_info in texts or (other.changes and told.issuperset(other.changes)):
            continue
        told.update(other.changes)
        texts.add(other.update_info)
        entries.append((other.apis, other.id, OthersNote(f"- {other.update_info}")))
    title = f"{row.dependency} {row.new_version}, what has changed since {row.old_version}:"
    return (title, *(part for *_, part in sorted(entries, key=lambda entry: entry[:2])))
