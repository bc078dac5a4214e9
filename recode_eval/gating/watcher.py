"""Gating every checkpoint that a training run writes, once each, whatever is killed when.

Each checkpoint is evaluated by a job of its own (`gate.job`), in a process of its own: an engine
that crashes takes nobody along. What happened is in `history.jsonl`; beside
it lie `runs/` and a report per checkpoint in `gate/`. An evaluation inherits the lock of the
folder: after a kill of the watcher alone, the next one waits for it and takes its verdict.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, ExitCode, InfrastructureError, StorageError, UsageError
from recode_eval.gating.checkpoints import (
    State,
    examine,
    find_checkpoints,
    marks_checkpoints,
    step_of,
)
from recode_eval.gating.history import (
    HISTORY,
    CheckpointStatus,
    Reference,
    next_spending,
    read_history,
    reference_runs,
    spent_text,
)
from recode_eval.gating.job import Job, evaluation_job, gate_job, site_job
from recode_eval.gating.rule import IMPROVED, Verdict
from recode_eval.models.fingerprint import fingerprint
from recode_eval.run import provenance
from recode_eval.run.store import AppendOnlyFile, make_folder, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from recode_eval.gating.candidate import Candidate
    from recode_eval.gating.spending import Spending
    from recode_eval.models.options import ModelOptions
    from recode_eval.run.config import RunConfig

JOB: Final = "job.json"
_ABOUT: Final = "checkpoint.json"
_ATTEMPTS: Final = 3
_TRANSIENT: Final = frozenset({
    ExitCode.UNAVAILABLE, ExitCode.INTERNAL, ExitCode.IO, ExitCode.INCOMPLETE, ExitCode.INTERRUPTED,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watch:
    """What to watch, and how its checkpoints are evaluated."""

    place: Path
    out: Path
    reference: Reference | tuple[Path, ...]
    """A rule, or stored runs."""
    candidate: Candidate
    """How a checkpoint is gated; its model and folders are filled in."""
    run: RunConfig | None = None
    """How a checkpoint that is the reference is evaluated; its model and folder are filled in."""
    policy: Path | None = None
    base: str | None = None
    """The model below adapters, if not the one that they name."""
    pattern: str = "checkpoint-*"
    settle_s: float = 30.0
    stop_on: frozenset[Verdict] = frozenset()
    per_checkpoint: bool = False
    """Judge every checkpoint at the policy's full level, whatever that adds up to."""
    site: Mapping[str, Any] | None = None
    """Options of `gate.job.site_job`; None: no site."""


@dataclass(slots=True)
class Watcher:
    """Goes through the checkpoints; `call` does a job and returns its exit code."""

    watch: Watch
    note: Callable[[str], None]
    call: Callable[[Job, Path, int], int]
    """A job, a file for its output, and the descriptor of the lock that the process inherits."""
    _lines: list[dict[str, Any]] = field(default_factory=list)
    _attempts: dict[str, int] = field(default_factory=dict)
    _codes: dict[str, int] = field(default_factory=dict)
    _prints: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)
    _lock: int = -1

    @contextlib.contextmanager
    def opened(self, wait_s: float = 1.0) -> Iterator[None]:
        """Hold the folder; waits for what an earlier watcher, now gone, still evaluates.

        Raises `UsageError` if another process watches, and `StorageError`.
        """
        make_folder(self.watch.out)
        try:
            self._lock = os.open(self.watch.out / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"Cannot lock {self.watch.out}: {error.strerror}.") from error
        try:
            self._acquire(wait_s)
            self._lines = read_history(self.watch.out / HISTORY)
            yield
        finally:
            os.close(self._lock)

    def _acquire(self, wait_s: float) -> None:
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
                if holder.isdecimal() and _alive(int(holder)):
                    raise UsageError(
                        f"Process {holder} already writes to {self.watch.out}; stop it, or choose "
                        "another --out."
                    ) from None
                self._once("An evaluation of an earlier watch still runs; waiting for its end.")
                time.sleep(wait_s)
            else:
                os.ftruncate(self._lock, 0)
                os.pwrite(self._lock, str(os.getpid()).encode(), 0)
                return

    def newest(self) -> dict[str, Any] | None:
        """Return the history's last line about the newest checkpoint."""
        lines = reversed(self._lines)
        return max(lines, key=lambda line: line.get("step") or 0, default=None)

    @property
    def untried(self) -> int | None:
        """The exit code of an evaluation that must be tried again, if any."""
        return next(iter(self._codes.values()), None)

    def go_through(self, *, last: bool = False) -> dict[str, Any] | None:
        """Evaluate new checkpoints, in the order of the steps; return the line that ends the watch.

        `last`: nobody will come back, so what is unfinished is named. Raises `StorageError`.
        """
        marked = marks_checkpoints(self.watch.place)
        for folder in find_checkpoints(self.watch.place, self.watch.pattern):
            try:
                finding = examine(folder, marked=marked, settle_s=self.watch.settle_s)
                if finding.state is not State.WHOLE:
                    self._incomplete(folder, finding.state, finding.reason, last=last)
                    continue
                content = self._fingerprint(folder)
            except (OSError, StorageError) as error:
                if folder.is_dir():
                    self._once(f"{folder.name}: left out, it cannot be read ({error}).")
                else:
                    self._gone(folder)
                continue
            if self._known(folder, content) or self._attempts.get(folder.name, 0) >= _ATTEMPTS:
                continue
            line = self._handle(folder, content, adapter=finding.adapter)
            if line is not None and line["status"] in self.watch.stop_on:
                return line
        return None

    # --- one checkpoint

    def _handle(self, folder: Path, content: str, *, adapter: bool) -> dict[str, Any] | None:
        """Evaluate a checkpoint; returns its line, or None if it is to be tried again."""
        reference = self._reference()
        report = self.watch.out / "gate" / folder.name
        model, own = str(folder), self.watch.candidate.model_options
        if adapter and self.watch.base:
            model, own = self.watch.base, replace(own, adapter=str(folder))
        if reference is None:
            return self._evaluate(folder, content, report, model, own)
        return self._gate(folder, content, report, model, own, reference)

    def _evaluate(
        self, folder: Path, content: str, report: Path, model: str, own: ModelOptions
    ) -> dict[str, Any] | None:
        """Evaluate the reference checkpoint."""
        self.note(f"{folder.name}: evaluated as the reference.")
        make_folder(report)
        out = report / "results.out"
        assert self.watch.run is not None
        config = replace(
            self.watch.run, model=model, model_options=own, out=self.watch.out / "runs"
        )
        code = self._called(evaluation_job(config), report, out)
        if code not in {ExitCode.OK, ExitCode.INCOMPLETE}:
            return self._failed(folder, content, code, report)
        runs = [str(Path(results["folder"])) for results in _printed_results(out)]
        return self._record(
            folder, content, CheckpointStatus.REFERENCE, code, runs=runs, reference=[]
        )

    def _gate(
        self,
        folder: Path,
        content: str,
        report: Path,
        model: str,
        own: ModelOptions,
        reference: Sequence[str],
    ) -> dict[str, Any] | None:
        spending = self._spending()
        about = {
            "checkpoint": folder.name,
            "fingerprint": content,
            "reference": list(reference),
            "spending": None if spending is None else asdict(spending),
        }
        code = 0
        if not _has_verdict(report, about):
            self.note(f"{folder.name}: gated against {', '.join(reference)}.")
            shutil.rmtree(report, ignore_errors=True)
            make_folder(report)
            write_json(report / _ABOUT, about)
            # A checkpoint that others will be compared with needs all samples.
            candidate = replace(
                self.watch.candidate,
                model=model,
                model_options=own,
                full=not self._reference_is_fixed(),
                out=self.watch.out / "runs",
            )
            job = gate_job(candidate, reference, self.watch.policy, report, spending)
            code = self._called(job, report, report / "gate.out")
        if not _has_verdict(report, about):
            return self._failed(folder, content, code, report)
        verdict = read_json(report / "verdict.json")
        runs = [str(Path(task["candidate"]["source"]).parent) for task in verdict["tasks"]]
        improved = any(check["note"] == IMPROVED for check in verdict["checks"])
        found: dict[str, Any] = {"runs": runs, "reference": reference, "improved": improved}
        if verdict["verdict"] != Verdict.INVALID:
            found["spending"] = verdict.get("spending")
        if (
            self.watch.reference is Reference.BEST
            and improved
            and verdict["verdict"] == Verdict.PASS
        ):
            found["promoted"] = self._sampled_again(folder, report, model, own, verdict)
            if found["promoted"] is None:
                return None
        line = self._record(
            folder, content, Verdict(verdict["verdict"]), verdict["exit_code"], **found
        )
        self._build_site()
        return line

    def _sampled_again(
        self,
        folder: Path,
        report: Path,
        model: str,
        own: ModelOptions,
        verdict: Mapping[str, Any],
    ) -> list[str] | None:
        """Sample a new reference with a seed of its own; None: to be tried again.

        Its samples were selected for being good. Compared with them, equally good checkpoints would
        look worse. No runs: it cannot be sampled, and the old reference stays.
        """
        assert self.watch.run is not None
        again = report / "again"
        make_folder(again)
        out = again / "results.out"
        seed = 1 + max(task["baseline"]["seed"] for task in verdict["tasks"])
        config = replace(
            self.watch.run, model=model, model_options=own, seed=seed, out=self.watch.out / "runs"
        )
        self.note(f"{folder.name}: improved; sampled again as the new reference (seed {seed}).")
        code = self._called(evaluation_job(config), again, out)
        if code in {ExitCode.OK, ExitCode.INCOMPLETE}:
            self._attempts.pop(folder.name, None)
            return [str(Path(item["folder"])) for item in _printed_results(out)]
        if folder.is_dir() and self._to_be_tried_again(folder, code, again):
            return None
        self.note(f"{folder.name}: cannot be sampled again; the old reference stays.")
        return []

    def _called(self, job: Job, report: Path, out: Path) -> int:
        write_json(report / JOB, job)
        return self.call(job, out, self._lock)

    def _failed(self, folder: Path, content: str, code: int, report: Path) -> dict[str, Any] | None:
        if not folder.is_dir():
            self._gone(folder)
            return None
        if self._to_be_tried_again(folder, code, report):
            return None
        reason, transient = _reason(report, code), _is_transient(code)
        code = code if code > 0 else ExitCode.UNAVAILABLE
        return self._record(
            folder, content, CheckpointStatus.FAILED, code, reason=reason, again=transient
        )

    def _to_be_tried_again(self, folder: Path, code: int, report: Path) -> bool:
        """Count an attempt that the machine failed; tells whether another one is left."""
        if not _is_transient(code):
            return False
        self._attempts[folder.name] = self._attempts.get(folder.name, 0) + 1
        if self._attempts[folder.name] >= _ATTEMPTS:
            return False
        self.note(f"{folder.name}: not evaluated ({_reason(report, code)}); to be tried again.")
        self._codes[folder.name] = code if code > 0 else ExitCode.UNAVAILABLE
        return True

    def _build_site(self) -> None:
        if self.watch.site is None:
            return
        verdicts = self.watch.out / "gate"
        job = site_job(
            self.watch.site, self.watch.out / "runs", verdicts if verdicts.is_dir() else None
        )
        write_json(self.watch.out / JOB, job)
        code = self.call(job, self.watch.out / "site.out", self._lock)
        if code:
            self.note(f"The leaderboard could not be built whole (exit code {code}).")

    # --- what is compared with what

    def _reference_is_fixed(self) -> bool:
        return self.watch.reference not in {Reference.BEST, Reference.PREVIOUS}

    def _reference(self) -> list[str] | None:
        """Return the runs to compare with; None: the next checkpoint becomes the reference."""
        rule = self.watch.reference
        if isinstance(rule, tuple):
            return [str(path) for path in rule]
        return reference_runs(self._lines, rule)

    def _spending(self) -> Spending | None:
        """Return the next verdict's place among those of the training, by the history."""
        if self.watch.per_checkpoint:
            return None
        return next_spending(self._lines, promotes=self.watch.reference is Reference.BEST)

    # --- what is remembered

    def _known(self, folder: Path, content: str) -> bool:
        return any(
            line["checkpoint"] == folder.name
            and line.get("fingerprint") == content
            and not line.get("again")
            for line in self._lines
        )

    def _fingerprint(self, folder: Path) -> str:
        """Return the hash of the content; it is read again only if a size or time has changed."""
        files = sorted(path for path in folder.iterdir() if path.is_file())
        stats = tuple((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files)
        key = (folder.name, stats)
        if key not in self._prints:
            self._prints[key] = fingerprint(folder)
        return self._prints[key]

    def _record(
        self,
        folder: Path,
        content: str | None,
        status: CheckpointStatus | Verdict,
        code: int,
        **more: Any,
    ) -> dict[str, Any]:
        line = {
            "schema_version": 1,
            "time": provenance.now(),
            "checkpoint": folder.name,
            "step": step_of(folder),
            "fingerprint": content,
            "status": str(status),
            "exit_code": int(code),
            **more,
        }
        file = AppendOnlyFile(self.watch.out / HISTORY)
        try:
            file.append(line)
        finally:
            file.close()
        self._lines.append(line)
        self._codes.pop(folder.name, None)
        about = line.get("reason") or spent_text(line.get("spending"))
        self.note(f"{folder.name}: {status}{f' ({about})' if about else ''}.")
        return line

    def _gone(self, folder: Path) -> None:
        """Name a checkpoint that its trainer removed before it was evaluated."""
        if not any(line["checkpoint"] == folder.name for line in self._lines):
            self._record(folder, None, CheckpointStatus.VANISHED, ExitCode.OK, again=True)

    def _incomplete(self, folder: Path, state: State, reason: str, *, last: bool) -> None:
        named = any(
            line["checkpoint"] == folder.name and line.get("reason") == reason
            for line in self._lines
        )
        if state is State.BROKEN and not named:
            code = ExitCode.DATA
            self._record(folder, None, CheckpointStatus.BROKEN, code, reason=reason, again=True)
        elif last and state is State.UNFINISHED:
            self.note(f"{folder.name}: not whole yet, left out ({reason}).")

    def _once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.note(text)


def call_process(job: Job, out: Path, lock: int) -> int:
    """Do the job that is written beside `out` in a process; its messages go to `log.txt` there.

    A watcher that is stopped stops it too; what it had drawn stays.
    """
    del job
    try:
        with out.open("wb") as stdout, out.with_name("log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "recode_eval.jobs", str(out.with_name(JOB))],
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=log, pass_fds=[lock],
            )  # fmt: skip
            try:
                return process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
    except OSError as error:
        raise InfrastructureError(f"Cannot start an evaluation: {error.strerror}.") from error


def _has_verdict(report: Path, about: Mapping[str, Any]) -> bool:
    with contextlib.suppress(DataError):
        return read_json(report / _ABOUT) == about and bool(read_json(report / "verdict.json"))
    return False


def _printed_results(file: Path) -> list[dict[str, Any]]:
    content = json.loads(file.read_text(encoding="utf-8"))
    return content if isinstance(content, list) else [content]


def _last_line(file: Path) -> str:
    with contextlib.suppress(OSError):
        lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else ""
    return ""


def _reason(report: Path, code: int) -> str:
    return _last_line(report / "log.txt") or f"exit code {code}"


def _is_transient(code: int) -> bool:
    # A signal, such as the kernel's when memory runs out, is the machine's trouble too.
    return code < 0 or code in _TRANSIENT


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
