"""Reading runs for the leaderboard, and refusing those whose files do not agree.

A run is shown only if its results follow the schema and the counts of every problem are those of
its stored samples; anything else is a `DataError` that names the cause. Samples are not kept in
memory: an index says where their lines are.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError, InfrastructureError, StorageError, UsageError
from recode_eval.leaderboard.lines import LineIndex, changed, parse
from recode_eval.leaderboard.processes import forked, no_collection
from recode_eval.leaderboard.text import digest, slug
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.run.store import COMPLETIONS, MANIFEST, RESULTS, SCORES, identity_hash, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_BUFFER = 1 << 20
_WORTH_A_POOL = 32_000_000
"""Bytes of runs from which on they are read by several processes."""
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
    completion_lines: LineIndex = field(repr=False)
    score_lines: LineIndex = field(repr=False)

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
        """Read the samples of a problem from the run's files; raises `StorageError`."""
        position = next((i for i, p in enumerate(self.problems) if p.id == problem_id), None)
        if position is None:
            return []
        try:
            return [
                Sample(
                    CompletionRecord.from_json(completion),
                    None if score is None else ScoreRecord.from_json(score),
                )
                for completion, score in self.raw_samples(position)
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise changed(self.folder, error) from error

    def raw_samples(self, position: int) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        """Return the samples of the problem at `position` as their records' JSON, in order.

        Much faster than `samples`. Raises `StorageError`.
        """
        completions = self.completion_lines.read(self.folder / COMPLETIONS, position)
        scores = self.score_lines.read(self.folder / SCORES, position)
        try:
            judged = {score["sample"]: score for score in scores}
            return [(record, judged.get(record["sample"])) for record in completions]
        except (KeyError, TypeError) as error:
            raise changed(self.folder, error) from error


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


def load_runs(roots: Sequence[Path], jobs: int = 1) -> tuple[list[RunEntry], list[BrokenRun]]:
    """Read every run below `roots`; what cannot be trusted is returned as broken.

    Runs come in an order that does not depend on where their folders lie. `jobs` processes share
    the work where there is much of it.

    Raises:
        UsageError: see `find_runs`.
    """
    entries: dict[str, RunEntry] = {}
    broken: list[BrokenRun] = []
    for entry in _loaded(find_runs(roots), jobs):
        if isinstance(entry, BrokenRun):
            broken.append(entry)
        elif entry.key in entries:
            other = entries[entry.key].where
            broken.append(BrokenRun(entry.where, f"the same run as {other}; it would count twice"))
        else:
            entries[entry.key] = entry
    order = sorted(entries.values(), key=lambda e: (e.task, e.model_name, e.key))
    return order, broken


def _loaded(found: Sequence[tuple[Path, str]], jobs: int) -> Iterator[RunEntry | BrokenRun]:
    if min(jobs, len(found)) < 2 or sum(map(_size, found)) < _WORTH_A_POOL:
        yield from map(_load, found)
        return
    with forked(min(jobs, len(found))) as pool:
        yield from pool.map(_load, found)


def _size(found: tuple[Path, str]) -> int:
    paths = (found[0] / name for name in (COMPLETIONS, SCORES))
    return sum(path.stat().st_size for path in paths if path.is_file())


def _load(found: tuple[Path, str]) -> RunEntry | BrokenRun:
    folder, where = found
    try:
        with no_collection():
            return load_run(folder, where)
    except (DataError, StorageError) as error:
        return BrokenRun(where, str(error).replace(str(folder), where))


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
        positions = {problem.id: index for index, problem in enumerate(problems)}
        if len(positions) != len(problems):
            raise DataError(f"{RESULTS} holds a problem twice.")
        completions, digests = _index_completions(folder, positions, results["sampling"]["n"])
        scores, counted = _index_scores(folder, results, positions, digests)
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
        import jsonschema_rs
    except ImportError:
        raise InfrastructureError(
            "The leaderboard needs jsonschema-rs: pip install 'recode-eval[site]'."
        ) from None
    path = Path(__file__).resolve().parent.parent / "schemas" / name
    return jsonschema_rs.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def check_schema(content: object, name: str) -> None:
    """Check a file's content against this package's schema of such files; raises `DataError`."""
    schema = name.replace(".json", ".schema.json")
    try:
        error = next(iter(_validator(schema).iter_errors(content)), None)
    except ValueError as problem:
        raise DataError(f"{name} cannot be checked: {problem}.") from problem
    if error is not None:
        place = "/".join(map(str, error.instance_path)) or "the top level"
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


def _index_completions(
    folder: Path, positions: Mapping[str, int], n: int
) -> tuple[LineIndex, dict[tuple[int, int], str]]:
    """Return where the samples' lines are, and the digest of each; the first record counts.

    Samples go by the position of their problem and their own number.
    """
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    digests: dict[tuple[int, int], str] = {}
    for start, end, record in _records(folder / COMPLETIONS, CompletionRecord):
        key = positions.get(record.problem_id, -1), record.sample
        if key[0] >= 0 and 0 <= record.sample < n and key not in digests:
            digests[key] = record.digest
            spans[key] = start, end
    return LineIndex.of(spans, len(positions)), digests


def _index_scores(
    folder: Path,
    results: Mapping[str, Any],
    positions: Mapping[str, int],
    digests: Mapping[tuple[int, int], str],
) -> tuple[LineIndex, list[list[int]]]:
    """Return where the valid scores' lines are, and per problem how many count and pass.

    The last record of a sample counts.
    """
    scoring, tier = results["scoring"]["hash"], (results["sandbox"] or {}).get("tier")
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    verdicts: dict[tuple[int, int], tuple[bool, bool]] = {}
    for start, end, record in _records(folder / SCORES, ScoreRecord):
        key = positions.get(record.problem_id, -1), record.sample
        if (
            record.completion == digests.get(key)
            and record.scoring == scoring
            and record.tier == tier
        ):
            first = next(iter(record.conditions), "")
            spans[key] = start, end
            verdicts[key] = record.setup_error is None, record.passed(first)
    counted = [[0, 0] for _ in positions]
    for (position, _), (counts, passed) in verdicts.items():
        counted[position][0] += counts
        counted[position][1] += counts and passed
    return LineIndex.of(spans, len(positions)), counted


def _check_counts(
    results: Mapping[str, Any], problems: Sequence[ProblemCounts], counted: Sequence[Sequence[int]]
) -> None:
    for problem, (n, passed) in zip(problems, counted, strict=True):
        if problem.faulty is not None:
            continue
        if n != problem.n or (problem.passed is not None and passed != problem.passed):
            raise DataError(
                f"{RESULTS} says {problem.passed} of {problem.n} samples of {problem.id!r} pass, "
                f"{SCORES} has {passed} of {n}. `recode-eval score RUN` counts anew."
            )
    if sum(p.n for p in problems) != results["counts"]["scored"]:
        raise DataError(f"{RESULTS}: `counts` does not agree with `problems`.")


def _records(path: Path, kind: type[Any]) -> Iterator[tuple[int, int, Any]]:
    """Yield a file's records with start and end of their lines; a torn last line is left out."""
    start = 0
    try:
        with path.open("rb", buffering=_BUFFER) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                end = start + len(line)
                try:
                    yield start, end, kind.from_json(parse(line))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise DataError(f"{path.name}, line {number} is damaged ({error}).") from error
                start = end
    except FileNotFoundError:
        raise DataError(f"There is no {path.name}.") from None
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}") from error
