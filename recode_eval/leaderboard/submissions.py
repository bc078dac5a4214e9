"""Submissions: a run made fit to be published, packed under a stable name, its facts beside it.

What a run says of the machine it was made on (paths, private hosts, values of secret options) is
taken out of `manifest.json` and `results.json` before it is packed. Answers and scores stay to the
byte: they are what is verified. So does the identity, but for the folder that a model's weights
were loaded from (their SHA-256 says what they are) and the private host of a server. A run that
cannot be published so is refused.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from recode_eval.comparison.comparability import MOST_UNSCORED
from recode_eval.errors import DataError, RecodeError, UsageError
from recode_eval.leaderboard.boards import Board, boards, is_baseline
from recode_eval.leaderboard.loading import load_run
from recode_eval.leaderboard.publishing import (
    looks_secret,
    public,
    public_command,
    public_content,
    public_identity,
)
from recode_eval.leaderboard.text import slug
from recode_eval.leaderboard.verify import wrong_figures
from recode_eval.run.archive import MEMBERS, OPTIONAL, SUFFIX, pack
from recode_eval.run.store import (
    BATCHES,
    COMPLETIONS,
    MANIFEST,
    RESULTS,
    identity_hash,
    make_folder,
    read_json,
    write_json,
)
from recode_eval.schemas.base import Hash, JsonStruct, decode

if TYPE_CHECKING:
    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.leaderboard.sources import Sources

FOLDER: Final = Path("leaderboard", "submissions")
LARGEST: Final = 95_000_000
"""Bytes: GitHub refuses files of 100 MB."""
_VERBATIM: Final = frozenset({"identity", "problems", "breakdown", "metrics"})
"""Sections that are verified or are figures; none of them tells of the machine."""
_LONGEST_HOW: Final = 2_000
_MOST_FACTS: Final = 100_000


class SubmissionFacts(JsonStruct, frozen=True, kw_only=True):
    """What stands beside a pack, as JSON; texts are hostile."""

    schema_version: Literal[1]
    file: str
    sha256: Hash
    model: str
    task: str
    board: str
    run: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    problems: int
    how: Annotated[str, Meta(max_length=_LONGEST_HOW, description="How the model can be had.")]
    command: str
    created: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A pack that was written, and its facts."""

    pack: Path
    facts_file: Path
    facts: SubmissionFacts
    warnings: tuple[str, ...]
    was: str
    """The run's hash in its own folder: another one where its identity named a folder or host."""

    @property
    def branch(self) -> str:
        """A name for the branch of the pull request."""
        return f"submit-{self.pack.name.removesuffix(SUFFIX)}"


def board_of(folder: Path, sources: Sources, where: str = "") -> Board:
    """Return the board of a single run, which knows whether it is whole; `where` is for messages.

    Raises `DataError` if the run's files are damaged, or the run is not finished.
    """
    if not (folder / RESULTS).exists():
        raise _no_run(folder)
    [board] = boards([load_run(folder, where or str(folder))])
    return replace(board, whole=sources.size(board.first) or board.whole)


def _no_run(folder: Path) -> RecodeError:
    if not folder.is_dir():
        return UsageError(
            f"{folder} is not the folder of a run. To unpack a pack: recode-eval pack --extract"
        )
    if below := sorted([*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"*/*/{MANIFEST}")]):
        return UsageError(f"{folder} holds runs; name one of them, for example {below[0].parent}")
    return DataError(
        f"{folder} has no {RESULTS}: no run is there, or it is not finished. If it was "
        "interrupted, repeat its command."
    )


def submit(folder: Path, out: Path, how: str, sources: Sources) -> Submission:
    """Write a run's pack and facts into the folder `out` and return them.

    Raises:
        UsageError: the run may not be submitted (a part of a board, built-in answers, words that
            must not be published), or it is there already.
        DataError: its files are damaged or do not agree.
        StorageError: the files cannot be written.
    """
    board = board_of(folder, sources)
    run = board.first
    _check_fit(board)
    if not how.strip() or len(how) > _LONGEST_HOW:
        raise UsageError(f"--how needs 1 to {_LONGEST_HOW:,} characters: how the model can be had.")
    _check_identity(folder, public_identity(run.identity))
    name = stable_name(run)
    place = out / f"{name}{SUFFIX}"
    for file in (place, place.with_name(f"{name}.json")):
        if file.exists():
            raise UsageError(f"{file} exists: this run was submitted. Remove it to submit it anew.")
    with tempfile.TemporaryDirectory(prefix="recode-eval-submit-") as temporary:
        copy = Path(temporary, "run")
        warnings = public_copy(folder, copy)
        board = board_of(copy, sources, str(folder))  # what others will read must agree as well
        if wrong := wrong_figures(board.first):
            raise DataError(
                f"{folder}: {', '.join(wrong)} in {RESULTS} do not follow from the counts of its "
                "problems. `recode-eval score` writes the file anew from the graded answers."
            )
        make_folder(out)
        pack(copy, place)
    if (size := place.stat().st_size) > LARGEST:
        place.unlink()
        raise UsageError(
            f"The pack has {size:,} bytes, and GitHub takes files of up to 100 MB. Submit a run "
            "with fewer samples, or put the pack elsewhere and open an issue with its address."
        )
    facts = _facts(board, place, public(how.strip()))
    file = place.with_name(f"{name}.json")
    try:
        write_json(file, msgspec.to_builtins(facts))
    except BaseException:
        place.unlink()  # alone it would be taken for a submission that was made
        raise
    return Submission(place, file, facts, tuple(warnings), run.results.run)


def stable_name(run: RunEntry) -> str:
    """Return the name of a run's files: model, task, and the hash of its public identity."""
    model, task = (slug(public(text)).rpartition("-")[0] for text in (run.model_name, run.task))
    return f"{model}-{task}-{run.public_run}"


def _check_fit(board: Board) -> None:
    run = board.first
    if is_baseline(run):
        raise UsageError(f"{run.where}: built-in answers are no model's; the site has them.")
    if board.partial:
        raise UsageError(
            f"{run.where}: {board.problems} of {board.whole} problems were asked. Submit a run of "
            "the whole task (without --limit, --problems and dates)."
        )
    if run.metric(board.primary) is None:
        raise UsageError(f"{run.where}: the run has no {board.primary}.")
    if run.unscored_share > MOST_UNSCORED:
        raise UsageError(
            f"{run.where}: {100 * run.unscored_share:.1f} % of the samples are unscored, and a "
            f"board ranks runs with at most {100 * MOST_UNSCORED:g} %. Repeat the run's command."
        )


def public_copy(folder: Path, copy: Path) -> list[str]:
    """Copy a run without what tells of its machine; return what a person should look at.

    The run's hash follows its identity, which may change (`public_identity`).
    Raises `DataError` for a run with a file that is not plain.
    """
    copy.mkdir()
    for name in (*MEMBERS, *OPTIONAL):
        source = folder / name
        if name == BATCHES or not source.exists():
            continue  # the ids of a provider's jobs concern nobody else
        if source.is_symlink() or not source.is_file():
            raise DataError(f"{source} is not a plain file.")
        if name in {MANIFEST, RESULTS}:
            write_json(copy / name, _public_content(read_json(source)))
        else:
            shutil.copyfile(source, copy / name)
    with (copy / COMPLETIONS).open(encoding="utf-8", errors="replace") as lines:
        secrets = sum(map(looks_secret, lines))
    if not secrets:
        return []
    return [f"{secrets} answers hold what looks like a token; if one is real, revoke it first."]


def _check_identity(folder: Path, identity: object) -> None:
    for text in _texts(identity):
        if public(text) != text:
            raise UsageError(
                f"{folder}: its identity, which cannot be changed, has {public(text)!r} in a form "
                "that names a path, a private host or a secret. Run the model under a public name."
            )


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    if isinstance(content, dict):
        return [text for pair in content.items() for part in pair for text in _texts(part)]
    if isinstance(content, list):
        return [text for part in content for text in _texts(part)]
    return []


def _public_content(content: dict[str, Any]) -> dict[str, Any]:
    shown = {
        key: value if key in _VERBATIM else public_content(value) for key, value in content.items()
    }
    shown["identity"] = public_identity(content["identity"])
    if "run" in content:
        shown["run"] = identity_hash(shown["identity"])
    return shown


def _facts(board: Board, file: Path, how: str) -> SubmissionFacts:
    run = board.first
    estimate = run.metric(board.primary)
    assert estimate is not None
    command = run.results.invocations[-1].get("command")
    return SubmissionFacts(
        schema_version=1,
        file=file.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        model=public(run.model_name),
        task=run.task,
        board=board.label,
        run=run.results.run,
        metric=board.primary,
        value=estimate["value"],
        low=estimate["low"],
        high=estimate["high"],
        n=run.stored.n,
        problems=board.problems,
        how=how,
        command=public_command(command) if isinstance(command, list) else "",
        created=run.results.created,
    )


def wrong_facts(file: Path, board: Board) -> list[str]:
    """Return what the facts beside a pack say that its run does not; empty where they agree."""
    beside = file.with_name(f"{file.name.removesuffix(SUFFIX)}.json")
    if beside.is_symlink() or not beside.is_file() or beside.stat().st_size > _MOST_FACTS:
        return [f"{beside.name} is missing, or is not a plain file"]
    try:
        said = decode(beside.read_bytes(), SubmissionFacts, beside.name)
    except DataError as error:
        return [str(error)]
    due = _facts(board, file, said.how)
    names = (name for name in due.keys() if name != "command")  # noqa: SIM118 - no dictionary
    return [
        f"{beside.name}: {name} is {json.dumps(said[name])[:200]}, and the pack says "
        f"{json.dumps(due[name])[:200]}"
        for name in names
        if said[name] != due[name]
    ]
