"""Reading runs for the leaderboard, and refusing those whose files do not agree.

A run is shown only if its results follow the schema and the counts of every problem are those of
its stored samples; anything else is a `DataError` that names the cause. Samples are not kept in
memory: an index says where their lines are.
"""

from __future__ import annotations

import json
import math
import os
from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError, InfrastructureError, StorageError, UsageError
from recode_eval.leaderboard.text import digest, slug
from recode_eval.records import CompletionRecord, ScoreRecord
from recode_eval.store import COMPLETIONS, MANIFEST, RESULTS, SCORES, identity_hash, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LARGEST = 2**53
"""Beyond it a number is neither a count nor a share, and a browser cannot hold it."""


@dataclass(frozen=True, slots=True)
class BrokenRun:
    """A run that was left out, and why."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class ProblemCounts:
    """One problem of one run, as `results.json` has it."""

    id: str
    cluster: str
    tags: Mapping[str, str]
    n: int
    passed: int | None
    passed_without: int | None
    es: float | None
    faulty: str | None

    @property
    def pass_rate(self) -> float | None:
        """pass@1 of this problem, or None where nothing was scored."""
        return None if self.passed is None or not self.n else self.passed / self.n


@dataclass(frozen=True, slots=True)
class Sample:
    """What the model wrote and how it was judged; `score` is None where it could not be."""

    completion: CompletionRecord
    score: ScoreRecord | None


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A verified run."""

    folder: Path
    where: str
    """The folder as people know it: relative to what was given on the command line."""
    results: Mapping[str, Any]
    problems: tuple[ProblemCounts, ...]
    tested: bool
    """Whether the task has tests; without any, similarity is all there is."""
    completion_lines: Mapping[str, Sequence[int]] = field(repr=False)
    score_lines: Mapping[str, Sequence[int]] = field(repr=False)

    @property
    def key(self) -> str:
        """The run's hash; names it in links."""
        return str(self.results["run"])

    @property
    def model_name(self) -> str:
        """The model's name as the run was given it."""
        return str(self.results["model"]["name"])

    @property
    def model_slug(self) -> str:
        """File name of the model's page: one per name and identity, whatever it is called."""
        name = self.model_name
        return slug(name).rsplit("-", 1)[0] + "-" + digest([name, self.identity["model"]])

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that decides what was asked, and of whom."""
        return self.results["identity"]  # type: ignore[no-any-return]

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.identity["task"])

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of samples and problems."""
        return self.results["counts"]  # type: ignore[no-any-return]

    @property
    def unscored_share(self) -> float:
        """Share of the samples that could not be judged, 0 to 1."""
        return self.counts["unscored"] / self.counts["samples"] if self.counts["samples"] else 1.0

    @property
    def primary(self) -> str:
        """The metric that ranks: pass@1, or ES for a task without tests."""
        return "pass@1" if self.tested else "es"

    def metric(self, name: str) -> Mapping[str, Any] | None:
        """Return an estimate (`value`, `low`, `high`, ...), or None where there is none."""
        return self.results["metrics"].get(name)  # type: ignore[no-any-return]

    def samples(self, problem_id: str) -> list[Sample]:
        """Read the samples of a problem from the run's files; raises `DataError`."""
        scores = {
            record.sample: record
            for record in map(
                ScoreRecord.from_json,
                _lines(self.folder / SCORES, self.score_lines.get(problem_id, ())),
            )
        }
        completions = map(
            CompletionRecord.from_json,
            _lines(self.folder / COMPLETIONS, self.completion_lines.get(problem_id, ())),
        )
        found = [Sample(record, scores.get(record.sample)) for record in completions]
        return sorted(found, key=lambda sample: sample.completion.sample)


def find_runs(roots: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return the run folders at and below `roots`, with the names they are shown by, in order.

    Raises:
        UsageError: a root is no folder, or none of them holds a run.
    """
    found: dict[Path, str] = {}
    for root in roots:
        if not root.is_dir():
            raise UsageError(f"{root} is not a folder. Give the folder that --out named.")
        for place, folders, files in os.walk(root):
            folders.sort()
            if MANIFEST in files or RESULTS in files:
                folder = Path(place)
                where = folder.relative_to(root).as_posix()
                found.setdefault(folder.resolve(), folder.name if where == "." else where)
    if not found:
        raise UsageError(
            f"No run in {', '.join(map(str, roots))}: no folder there has a {MANIFEST}. "
            "`recode-eval --model ... --tasks ... --out FOLDER` makes some."
        )
    return sorted(found.items(), key=lambda item: (item[1], item[0]))


def load_runs(roots: Sequence[Path]) -> tuple[list[RunEntry], list[BrokenRun]]:
    """Read every run below `roots`; what cannot be trusted is returned as broken.

    Runs come in an order that does not depend on where their folders lie.

    Raises:
        UsageError: see `find_runs`.
    """
    entries: dict[str, RunEntry] = {}
    broken: list[BrokenRun] = []
    for folder, where in find_runs(roots):
        try:
            entry = load_run(folder, where)
        except (DataError, StorageError) as error:
            broken.append(BrokenRun(where, str(error).replace(str(folder), where)))
            continue
        if entry.key in entries:
            other = entries[entry.key].where
            broken.append(BrokenRun(where, f"the same run as {other}; it would count twice"))
            continue
        entries[entry.key] = entry
    order = sorted(entries.values(), key=lambda e: (e.task, e.model_name, e.key))
    return order, broken


def load_run(folder: Path, where: str) -> RunEntry:
    """Read and verify one run.

    Raises:
        DataError: a file is missing, damaged, or does not agree with another one.
        StorageError: a file cannot be read.
    """
    for name in (RESULTS, MANIFEST, COMPLETIONS, SCORES):
        path = folder / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            # A folder from a stranger could point anywhere, or to what never ends.
            raise DataError(f"{name} is not a plain file.")
    results = read_json(folder / RESULTS)
    manifest = read_json(folder / MANIFEST)
    check_numbers(results, RESULTS)
    check_schema(results, RESULTS)
    try:
        _check_identity(results, manifest)
        problems = tuple(map(_problem, results["problems"]))
        tested = any(p.passed is not None for p in problems)
        completions, digests = _index_completions(folder, results)
        scores, counted = _index_scores(folder, results, digests)
        _check_counts(results, problems, counted)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"{RESULTS} is not what this program writes ({type(error).__name__}: {error}). "
            "`recode-eval score RUN` writes it anew."
        ) from error
    return RunEntry(folder, where, results, problems, tested, completions, scores)


def check_numbers(content: object, name: str) -> None:
    """Refuse numbers that JSON does not have or that a page cannot show; raises `DataError`."""
    stack = [content]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, int | float) and (
            not math.isfinite(value) if isinstance(value, float) else abs(value) > _LARGEST
        ):
            raise DataError(f"{name} holds a number that is not finite or far too large.")


@cache
def _validator(name: str) -> Any:
    try:
        import jsonschema
    except ImportError:
        raise InfrastructureError(
            "The leaderboard needs jsonschema and pygments: pip install 'recode-eval[site]'."
        ) from None
    path = Path(__file__).resolve().parent.parent / "schemas" / name
    return jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def check_schema(content: object, name: str) -> None:
    """Check a file's content against this package's schema of such files; raises `DataError`."""
    schema = name.replace(".json", ".schema.json")
    error = next(_validator(schema).iter_errors(content), None)
    if error is not None:
        place = "/".join(map(str, error.absolute_path)) or "the top level"
        raise DataError(f"{name} does not follow the schema at {place}: {error.message[:200]}")


def _check_identity(results: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    identity = results["identity"]
    if identity_hash(identity) != results["run"]:
        raise DataError(f"{RESULTS}: the hash `run` is not that of `identity`.")
    if manifest.get("identity") != identity:
        raise DataError(f"{MANIFEST} and {RESULTS} are not of the same run.")
    for field_name, path in (("data", "task/data_hash"), ("prompt", "prompt/hash")):
        section, _, name = path.partition("/")
        if results[section][name] != identity[field_name]:
            raise DataError(f"{RESULTS}: {path} is not what `identity` has.")
    if not isinstance(identity["model"], dict):
        raise DataError(f"{RESULTS}: identity/model is not an object.")
    if results["task"]["name"] != identity["task"]:
        raise DataError(f"{RESULTS}: task/name is not what `identity` has.")
    sampling = {key: value for key, value in results["sampling"].items() if key != "n"}
    if sampling != identity["sampling"]:
        raise DataError(f"{RESULTS}: `sampling` is not what `identity` has.")


def _problem(raw: Mapping[str, Any]) -> ProblemCounts:
    n, passed, without = int(raw["n"]), raw["passed"], raw["passed_without_update"]
    es = raw["es"]
    if not all(count is None or 0 <= count <= n for count in (passed, without)):
        raise DataError(f"{RESULTS}: a problem passes more often than it was tried.")
    if es is not None and not 0 <= es <= 1:
        raise DataError(f"{RESULTS}: an ES lies outside of 0 to 1.")
    tags = {str(key): str(value) for key, value in raw["tags"].items()}
    return ProblemCounts(
        raw["id"], raw["cluster"], tags, n, passed, without, es, raw["faulty"]
    )  # fmt: skip


_Index = dict[str, "array[int]"]


def _index_completions(
    folder: Path, results: Mapping[str, Any]
) -> tuple[_Index, dict[tuple[str, int], str]]:
    """Return where the samples' lines begin, and the digest of each; the first record counts."""
    wanted, n = {p["id"] for p in results["problems"]}, results["sampling"]["n"]
    lines: _Index = defaultdict(lambda: array("q"))
    digests: dict[tuple[str, int], str] = {}
    for offset, record in _records(folder / COMPLETIONS, CompletionRecord):
        if record.problem_id in wanted and 0 <= record.sample < n and record.key not in digests:
            digests[record.key] = record.digest
            lines[record.problem_id].append(offset)
    return dict(lines), digests


def _index_scores(
    folder: Path, results: Mapping[str, Any], digests: Mapping[tuple[str, int], str]
) -> tuple[_Index, dict[str, list[int]]]:
    """Return where the valid scores' lines begin, and per problem how many count and pass."""
    scoring, tier = results["scoring"]["hash"], (results["sandbox"] or {}).get("tier")
    last: dict[tuple[str, int], tuple[int, bool, bool]] = {}
    for offset, record in _records(folder / SCORES, ScoreRecord):
        if (
            record.completion == digests.get(record.key)
            and record.scoring == scoring
            and record.tier == tier
        ):
            first = next(iter(record.conditions), "")
            last[record.key] = (offset, record.setup_error is None, record.passed(first))
    lines: _Index = defaultdict(lambda: array("q"))
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (problem_id, _), (offset, counts, passed) in sorted(last.items()):
        lines[problem_id].append(offset)
        counted[problem_id][0] += counts
        counted[problem_id][1] += counts and passed
    return dict(lines), counted


def _check_counts(
    results: Mapping[str, Any], problems: Sequence[ProblemCounts], counted: Mapping[str, list[int]]
) -> None:
    for problem in problems:
        if problem.faulty is not None:
            continue
        n, passed = counted.get(problem.id, (0, 0))
        if n != problem.n or (problem.passed is not None and passed != problem.passed):
            raise DataError(
                f"{RESULTS} says {problem.passed} of {problem.n} samples of {problem.id!r} pass, "
                f"{SCORES} has {passed} of {n}. `recode-eval score RUN` counts anew."
            )
    if len({p.id for p in problems}) != len(problems):
        raise DataError(f"{RESULTS} holds a problem twice.")
    if sum(p.n for p in problems) != results["counts"]["scored"]:
        raise DataError(f"{RESULTS}: `counts` does not agree with `problems`.")


def _records(path: Path, kind: type[Any]) -> Iterator[tuple[int, Any]]:
    """Yield the records of a file with the offsets of their lines; a torn last line is left out."""
    offset = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield offset, kind.from_json(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                    raise DataError(f"{path.name}, line {number} is damaged ({error}).") from error
                offset += len(line)
    except FileNotFoundError:
        raise DataError(f"There is no {path.name}.") from None
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}") from error


def _lines(path: Path, offsets: Sequence[int]) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                yield json.loads(file.readline())
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} changed while it was read: {error}. Build again.") from error
