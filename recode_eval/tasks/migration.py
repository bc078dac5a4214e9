"""Task kind `migration`: code for an old release of a library, to be rewritten for a new one.

A row is proven by execution in both releases: its old code passes the tests with the old release
and fails them with the new one, its new code passes with the new one. An answer is graded in the
environment of the new release.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError
from recode_eval.languages import PYTHON, get_language
from recode_eval.sandbox.base import Program, Test
from recode_eval.sandbox.requirements import has_environment, release_name
from recode_eval.tasks import data
from recode_eval.tasks.base import BadRow, Problem, TaskData, TaskSpec, task_data
from recode_eval.tasks.clusters import connected
from recode_eval.tasks.days import day
from recode_eval.tasks.release_docs import ReleasePair, changelog
from recode_eval.tasks.rows import (
    RowError,
    open_rows,
    parse_rows,
    split_tests,
    text,
    text_list,
)
from recode_eval.tasks.signatures import Signatures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from recode_eval.languages.base import Language
    from recode_eval.tasks.base import DocsText

NEW_RELEASE = "new_release"

KINDS = (
    "renamed",
    "removed",
    "moved",
    "argument-renamed",
    "argument-added",
    "argument-removed",
    "default-changed",
    "return-changed",
    "behaviour-changed",
)
SPLITS = ("train", "validation", "test")

_ID = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_LIBRARIES = {
    "pypi": (re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"), "the library's name on PyPI"),
    "npm": (re.compile(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*"), "its name on npm"),
}
_VERSION = re.compile(r"[0-9][A-Za-z0-9.]*(-[0-9A-Za-z.]+)?")
_APIS = {
    "pypi": re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"),
    "npm": re.compile(r"[@A-Za-z_$][\w$@/.#!: -]*"),
}
_FIELDS = frozenset(
    {"id", "dependency", "old_version", "new_version", "changed_after", "changed_on", "license",
     "split", "update_type", "apis", "changes", "old_use", "new_use", "provenance", "update_info",
     "description", "old_code", "new_code", "tests", "preload"}
)  # fmt: skip
_FACTS = frozenset({"changed_after", "changed_on", "license", "changes"})
_CHANGE = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class MigrationRow:
    """One pair, checked."""

    id: str
    dependency: str
    old_version: str
    new_version: str
    changed_after: date | None
    """The change was not public before this day: the old release's upload, or that of the first
    later version where that is earlier (the old one is a repair of its own line)."""
    changed_on: date | None
    """The upload of the new release: by this day the change was public."""
    license: str
    """The library's licence as SPDX names it; empty where the row does not say."""
    split: str
    update_type: str
    apis: tuple[str, ...]
    """The changed APIs, by the names their documentation has; two or more: several updates."""
    changes: tuple[str, ...]
    """The entries of the release notes that the row is about: one change may meet many APIs."""
    old_use: tuple[str, ...]
    """Patterns of the stale use (`Language.api_uses`); empty where a change cannot be seen."""
    new_use: tuple[str, ...]
    provenance: str
    update_info: str
    description: str
    old_code: str
    new_code: str
    tests: tuple[Test, ...]
    preload: tuple[str, ...]


class MigrationTask:
    """The bundled pairs, and any file in the same schema.

    `data` in the task.yaml may narrow the bundled pairs: `split: test` or `train`, `multi: true`
    (only pairs with several updates at once). A file given by the user is taken as a whole.
    """

    conditions = (NEW_RELEASE,)

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self._signatures = Signatures(spec)

    def load(self, source: str | None, *, skip_bad_rows: bool = False) -> TaskData:
        """Read and check the rows; see `Task.load`."""
        name, rows = open_rows(self.spec, source, data.read_yaml_lists)
        parse = partial(parse_row, language=self.spec.language)
        good, bad = parse_rows(rows, parse, lambda row: row.id)
        bad += _in_both_splits(good.values())
        for row in bad:
            good.pop(row.where, None)
        chosen = {row.id: row for row in good.values() if source is not None or self._wants(row)}
        clusters = _clusters(chosen.values())
        trained = {row.dependency for row in good.values() if row.split == "train"}
        language = get_language(self.spec.language)
        problems = tuple(
            _problem(row, clusters[row.id], row.dependency in trained, language)
            for row in chosen.values()
        )
        contents = ((key, _content(row)) for key, row in chosen.items())
        return task_data(name, problems, contents, bad, skip_bad_rows=skip_bad_rows)

    def _wants(self, row: MigrationRow) -> bool:
        match self.spec.data.get("split"), self.spec.data.get("multi", False):
            case split, bool(multi) if split in {None, *SPLITS}:
                return split in {None, row.split} and (not multi or len(row.apis) > 1)
        raise DataError(
            f"{self.spec.folder / 'task.yaml'}: data.split must be one of {', '.join(SPLITS)}, and "
            "data.multi true or false."
        )

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the program with the new release installed."""
        return {NEW_RELEASE: self._program(problem.payload, code, problem.payload.new_version)}

    def environments(self, problem: Problem) -> tuple[str, ...]:
        """Return the environment of the new release."""
        return (self._environment(problem.payload, problem.payload.new_version),)

    def documentation(self, problem: Problem, known: Sequence[Problem]) -> Mapping[str, DocsText]:
        """Return what the data and the releases say of the change; see `Documented`.

        Releases of Python packages alone are asked: a program of JavaScript cannot tell signatures.
        """
        row: MigrationRow = problem.payload
        texts: dict[str, DocsText] = {
            "note": (f"{row.dependency} {row.new_version}: {row.update_info}",),
            "changelog": changelog(row, [other.payload for other in known]),
        }
        if self.spec.language == PYTHON:
            releases = self.releases(row)
            texts["signature"] = releases.signature(self._signatures)
            texts["wrong-version"] = releases.wrong_version(self._signatures)
        return {arm: text for arm, text in texts.items() if text}

    def apis(self, problem: Problem) -> Iterator[tuple[str, str]]:
        """Yield what the row is about in its two releases; nothing for JavaScript."""
        if self.spec.language == PYTHON:
            yield from self.releases(problem.payload).asked()

    def releases(self, row: MigrationRow) -> ReleasePair:
        """Return the two releases of a row, with the APIs that it is about."""
        old, new = (
            self._environment(row, version) for version in (row.old_version, row.new_version)
        )
        return ReleasePair(row, old, new)

    def own_programs(self, problem: Problem) -> Iterator[tuple[str, Program]]:
        """Yield the old code with the old release, which must pass."""
        row: MigrationRow = problem.payload
        name = f"old code with {row.dependency} {row.old_version}"
        yield name, self._program(row, row.old_code, row.old_version)

    def problem(self, row: MigrationRow) -> Problem:
        """Return a single row as a problem, which is a cluster of its own."""
        [cluster] = _clusters([row]).values()
        return _problem(row, cluster, False, get_language(self.spec.language))

    def new_code_with_old(self, row: MigrationRow) -> Program:
        """Return the new code with the old release: whether it needs the new one."""
        return self._program(row, row.new_code, row.old_version)

    def _program(self, row: MigrationRow, code: str, version: str) -> Program:
        preload = self.spec.preload | set(row.preload)
        environment = self._environment(row, version)
        return Program("", code, row.tests, preload, environment, self.spec.language)

    def _environment(self, row: MigrationRow, version: str) -> str:
        ecosystem = get_language(self.spec.language).ecosystem
        return release_name(row.dependency, version, ecosystem)

    def faults(self, problem: Problem) -> list[str]:
        """Return where patterns of use do not describe the row's code, and tests do not use it."""
        row: MigrationRow = problem.payload
        old, new = row.old_use, row.new_use
        stale, fresh = self._uses(old, row.old_code), self._uses(new, row.new_code)
        left = self._uses(old, row.new_code)
        faults = [f"old_use {text}: not in the old code" for text in old if text not in stale]
        faults += [f"old_use {text}: still in the new code" for text in left]
        faults += [f"new_use {text}: not in the new code" for text in new if text not in fresh]
        mentions = get_language(self.spec.language).mentions
        return faults + [
            f"{test.name}: uses no name that the program defines, so it tests nothing"
            for test in row.tests
            if not mentions(test.code, row.new_code)
        ]

    def _uses(self, patterns: tuple[str, ...], code: str) -> tuple[str, ...]:
        return get_language(self.spec.language).api_uses(patterns, code) or ()

    def measures(self, problem: Problem, code: str | None) -> Mapping[str, float]:
        """Return how an answer uses the API; a pair whose change cannot be seen has no value.

        `stale_api` is 1 if any stale use is left, `new_api` is 1 if every new use occurs. No code,
        or code that does not parse, uses nothing.
        """
        row: MigrationRow = problem.payload
        old, new = row.old_use, row.new_use
        found = () if code is None else self._uses((*old, *new), code)
        measures: dict[str, float] = {}
        if old:
            measures["stale_api"] = float(any(pattern in found for pattern in old))
        if new:
            measures["new_api"] = float(all(pattern in found for pattern in new))
        return measures


def parse_row(raw: Mapping[str, Any], language: str = PYTHON) -> MigrationRow:
    """Check a raw row of programs in a language.

    Raises:
        RowError: a field is missing, unknown or wrong, the code in one does not parse, or there is
            no environment for one of the releases.
    """
    ecosystem = get_language(language).ecosystem
    if ecosystem not in _LIBRARIES:
        raise RowError(f"programs in {get_language(language).title} have no libraries to migrate")
    library, what = _LIBRARIES[ecosystem]
    unknown = sorted(str(key) for key in raw.keys() - _FIELDS)
    if unknown:
        raise RowError(f"unknown field {unknown[0]!r}; known: {', '.join(sorted(_FIELDS))}")
    row = MigrationRow(
        id=_matching(raw, "id", _ID, "words of a-z and 0-9, with - between them"),
        dependency=_matching(raw, "dependency", library, what),
        old_version=_matching(raw, "old_version", _VERSION, "a version, in quotes"),
        new_version=_matching(raw, "new_version", _VERSION, "a version, in quotes"),
        changed_after=day(raw, "changed_after"),
        changed_on=day(raw, "changed_on"),
        license=text(raw, "license", required=False),
        split=_one_of(raw, "split", SPLITS),
        update_type=_one_of(raw, "update_type", KINDS),
        apis=text_list(raw, "apis"),
        changes=text_list(raw, "changes"),
        old_use=_checked_patterns(raw, "old_use", language),
        new_use=_checked_patterns(raw, "new_use", language),
        provenance=text(raw, "provenance"),
        update_info=text(raw, "update_info"),
        description=text(raw, "description"),
        old_code=_program(raw, "old_code", language),
        new_code=_program(raw, "new_code", language),
        tests=split_tests(text(raw, "tests"), "tests", language),
        preload=text_list(raw, "preload"),
    )
    if not row.tests:
        raise RowError("tests holds no function named test...")
    if not row.apis or not all(map(_APIS[ecosystem].fullmatch, row.apis)):
        raise RowError("apis must name the changed APIs, such as package.member")
    if not all(map(_CHANGE.fullmatch, row.changes)):
        raise RowError("changes must name entries of the release notes, such as numpy-2.0-text")
    if row.changed_after and row.changed_on and row.changed_after > row.changed_on:
        raise RowError("changed_after is later than changed_on")
    if row.old_version == row.new_version:
        raise RowError("old_version and new_version are the same")
    for version in (row.old_version, row.new_version):
        if not has_environment(release_name(row.dependency, version, ecosystem)):
            release = f"{row.dependency}=={version}"
            if ecosystem == "npm":
                release = f"npm:{row.dependency}@{version}"
            raise RowError(
                f"there is no environment for {row.dependency} {version}; make one with "
                f"`recode-eval sandbox lock {release}`"
            )
    return row


def _program(raw: Mapping[str, Any], key: str, language: str) -> str:
    code = text(raw, key)
    if not get_language(language).parses(code):
        raise RowError(f"{key} is not {get_language(language).title}")
    return code


def _matching(raw: Mapping[str, Any], key: str, pattern: re.Pattern[str], what: str) -> str:
    value = text(raw, key)
    if not pattern.fullmatch(value):
        raise RowError(f"the field {key} must be {what}, not {value!r}")
    return value


def _content(row: MigrationRow) -> dict[str, Any]:
    """Return what decides about answers; facts about the change do not, and older hashes lack them.

    Clusters, which `changes` decides too, are compared problem by problem.
    """
    return {key: value for key, value in asdict(row).items() if key not in _FACTS}


def _one_of(raw: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = text(raw, key)
    if value not in choices:
        raise RowError(f"the field {key} must be one of {', '.join(choices)}, not {value!r}")
    return value


def _checked_patterns(raw: Mapping[str, Any], key: str, language: str) -> tuple[str, ...]:
    texts = text_list(raw, key)
    for pattern in texts:
        try:
            get_language(language).check_pattern(pattern)
        except ValueError as error:
            raise RowError(f"{key}: {error}") from None
    return texts


def _parts(row: MigrationRow) -> tuple[str, ...]:
    """Return what makes rows depend on each other: their APIs, and the changes these met."""
    return (*row.apis, *(f"change {change}" for change in row.changes))


def _in_both_splits(rows: Iterable[MigrationRow]) -> list[BadRow]:
    """Name the rows whose API or change occurs in another split: a model would be tested on it."""
    rows = tuple(rows)
    splits: dict[str, set[str]] = {}
    for row in rows:
        for part in _parts(row):
            splits.setdefault(part, set()).add(row.split)
    return [
        BadRow(
            row.id,
            f"the {part if part.startswith('change ') else f'API {part}'} occurs in several "
            f"splits: {', '.join(name for name in SPLITS if name in splits[part])}",
        )
        for row in rows
        for part in _parts(row)
        if len(splits[part]) > 1
    ]


def _clusters(rows: Iterable[MigrationRow]) -> dict[str, str]:
    """Return each row's cluster: rows of a library with an API or a change in common."""
    rows = tuple(rows)
    clusters = connected({row.id: _parts(row) for row in rows})
    return {row.id: f"{row.dependency}:{clusters[row.id]}" for row in rows}


def _problem(row: MigrationRow, cluster: str, seen: bool, language: Language) -> Problem:
    return Problem(
        id=row.id,
        cluster=cluster,
        tags={
            "dependency": row.dependency,
            "update_type": row.update_type,
            "updates": "one" if len(row.apis) == 1 else "several",
            **({"changed": str(row.changed_on.year)} if row.changed_on else {}),
            "training_library": "seen" if seen else "unseen",
        },
        context={
            "dependency": row.dependency,
            "old_version": row.old_version,
            "new_version": row.new_version,
            "update_info": row.update_info,
            "description": row.description,
            "old_code": row.old_code,
        },
        solutions={"reference": row.new_code, "stale": row.old_code},
        payload=row,
        entry_point=language.entry_point(row.new_code),
        changed_after=row.changed_after,
        changed_on=row.changed_on,
    )


def composition(rows: Iterable[MigrationRow]) -> dict[str, Counter[str]]:
    """Count rows by library, split, kind and number of updates, for people and for checks."""
    rows = tuple(rows)
    return {
        "dependency": Counter(row.dependency for row in rows),
        "split": Counter(row.split for row in rows),
        "update_type": Counter(row.update_type for row in rows),
        "updates": Counter("one" if len(row.apis) == 1 else "several" for row in rows),
    }
