"""Many models on many tasks as one job: remembers finished models and evaluates the rest.

Which model is which is decided by its files, without loading it: a model whose runs are complete
costs nothing when the same job is given again. A model that cannot be evaluated is reported with
the reason and stops no other one.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError, RecodeError, StorageError, UsageError
from recode_eval.models.gguf import is_gguf_name
from recode_eval.run.store import RESULTS, make_folder, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEDGER = ".sweep"
"""Beside the runs: a file per finished model and job."""
_COMMENT = re.compile(r"(^|\s)#.*")
_CHECKPOINT_FILES = ("config.json", "adapter_config.json")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One model: its results (with `folder`), or why there are none."""

    model: str
    results: list[dict[str, Any]] = field(default_factory=list)
    error: RecodeError | None = None
    remembered: bool = False
    """Everything was there already; nothing was loaded."""


def find_models(patterns: Sequence[str]) -> list[str]:
    """Return the models that names, folders, patterns (`runs/*/checkpoint-*`) and `@FILE`s mean.

    A pattern means the checkpoint folders it matches, in the order of their numbers; what is no
    pattern is taken as it is. A file has one of these a line; `#` begins a comment.

    Raises:
        UsageError: a pattern matches no checkpoint, or a file cannot be read.
    """
    found: list[str] = []
    for pattern in patterns:
        if pattern.startswith("@"):
            lines = _lines(Path(pattern[1:]).expanduser())
            found += find_models(lines) if lines else []
        elif glob.has_magic(pattern):
            found += _matching(pattern)
        else:
            found.append(pattern)
    if not found:
        raise UsageError(f"--models {', '.join(patterns)} names no model.")
    return list(dict.fromkeys(found))


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--models @{file}: cannot be read ({error}).") from error
    stripped = (_COMMENT.sub("", line).strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("@")]


def _matching(pattern: str) -> list[str]:
    folders = [
        path
        # pathlib cannot match below an absolute path.
        for path in map(Path, glob.glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207
        if any((path / name).is_file() for name in _CHECKPOINT_FILES)
        or (is_gguf_name(path.name) and path.is_file())
    ]
    if not folders:
        raise UsageError(
            f"--models {pattern} matches no checkpoint (a folder with {_CHECKPOINT_FILES[0]} or "
            f"{_CHECKPOINT_FILES[1]}, or a GGUF file). Quote the pattern, so that the shell does "
            "not expand it."
        )
    return [str(path) for path in sorted(folders, key=_natural)]


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort `checkpoint-900` before `checkpoint-1000`."""
    parts: list[tuple[int, str]] = []
    number = ""
    for letter in [*str(path), ""]:
        if letter.isdigit():
            number += letter
            continue
        if number:
            parts.append((int(number), ""))
            number = ""
        parts.append((-1, letter))
    return parts


class Ledger:
    """Which models of a job are finished, and where their runs are; survives the process."""

    def __init__(self, out: Path, job: Any) -> None:
        """Remember in `out`; `job` is all that decides the results except the model (JSON)."""
        self._folder = out / LEDGER
        self._job = job

    def finished(self, identity: Any) -> list[dict[str, Any]] | None:
        """Return the results of a model, or None if any is missing or has unscored samples."""
        try:
            runs = read_json(self._path(identity))["runs"]
            if any(_digest(run) != digest for run, digest in runs.items()):
                return None
            results = [{**read_json(Path(run) / RESULTS), "folder": run} for run in runs]
            complete = all(not result["counts"]["unscored"] for result in results)
        except (DataError, StorageError, KeyError, TypeError, AttributeError, OSError):
            return None
        return results if results and complete else None

    def add(self, identity: Any, results: Sequence[dict[str, Any]]) -> None:
        """Remember a model's results; raises `StorageError`."""
        make_folder(self._folder)
        runs = {result["folder"]: _digest(result["folder"]) for result in results}
        write_json(self._path(identity), {"runs": runs})

    def _path(self, identity: Any) -> Path:
        content = json.dumps([self._job, identity], sort_keys=True, default=str)
        return self._folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.json"


def _digest(run: str) -> str:
    """Hash a run's results: other jobs (another n, other limits) write into the same folder."""
    return hashlib.sha256((Path(run) / RESULTS).read_bytes()).hexdigest()


def work_through(
    models: Sequence[str],
    evaluate: Callable[[str], Outcome],
    *,
    at_once: int,
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Evaluate every model, `at_once` at a time; `done` receives each result at once.

    A `RecodeError` of one model becomes its outcome, save that the disk is full, which ends it all.
    """
    stopped = threading.Event()
    lock = threading.Lock()

    def one(model: str) -> Outcome | None:
        if stopped.is_set():
            return None
        try:
            outcome = evaluate(model)
        except StorageError:
            stopped.set()
            raise
        except RecodeError as error:
            outcome = Outcome(model, error=error)
        with lock:
            done(outcome)
        return outcome

    if at_once == 1:  # In this thread: an interruption reaches what runs.
        return [outcome for model in models if (outcome := one(model)) is not None]
    # No `with`: its end would wait for models that are being evaluated. The caller closes what they
    # work with, and that ends them.
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="sweep")
    futures = [pool.submit(one, model) for model in models]
    try:
        return [outcome for future in futures if (outcome := future.result()) is not None]
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
