"""The `Sandbox` interface: its programs, its results and its errors.

A sandbox runs *programs*. A program is set-up code (trusted data of the benchmark: imports, the
API update), the candidate (what the model wrote, hostile) and tests. What comes back is a verdict
per test. A verdict is something the tests did; what the machine did wrong is an exception, and a
program that met one is run again or stays unscored, but never counts as failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, runtime_checkable

from recode_eval.checks import named_fields_only, of_type, whole, within
from recode_eval.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from types import TracebackType

ISOLATIONS: Final = ("program", "test", "split")
"""One process for all tests of a program, a process per test, or one for the tests and another for
the candidate, which then cannot reach its grader."""
LONGEST_S: Final = 10_000_000
"""The highest limit of time, a third of a year; a kernel's limits are whole numbers."""


class Status(StrEnum):
    """How one test ended. Any status except `PASSED` is a failure of the candidate."""

    PASSED = "passed"
    FAILED = "failed"
    """The test (or the candidate while being defined) raised an exception or exited."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    """The memory limit was hit (`MemoryError`, or the kernel killed the process)."""
    CRASHED = "crashed"
    """The process died without a verdict (segmentation fault, `os._exit`, ...)."""


@dataclass(frozen=True, slots=True)
class Test:
    """One test: `code` is run after the candidate in the same namespace; raising is failing."""

    __test__: ClassVar[bool] = False  # pytest: not one of yours

    name: str
    code: str

    def __post_init__(self) -> None:
        """Raises `UsageError` for what is no text."""
        for part in ("name", "code"):
            of_type(f"{part} of a test", getattr(self, part), str, "a text")


@dataclass(frozen=True, slots=True)
class Program:
    """Everything one execution needs.

    `setup`, `candidate` and each test's `code` are executed in this order in one fresh namespace
    whose `__name__` is `"solution"`. An exception in `setup` is the data's fault and comes back as
    `Execution.setup_error`; one in `candidate` fails all tests. That is Python; in JavaScript
    set-up and candidate are a module each; other languages keep to it as their `CommandRuntime`
    says.
    """

    setup: str
    candidate: str
    tests: tuple[Test, ...]
    preload: frozenset[str] = frozenset()
    """Top-level packages likely to be imported. A hint: a wrong one costs time, never a verdict."""
    environment: str | None = None
    """The library environment it needs, e.g. `pandas-2.2.3`; None: the task's own."""
    language: str = "python"
    """The language of all its parts; the sandbox must have been opened with its runtime."""
    unsplit: str = ""
    """Why its tests cannot run in another process than the candidate: with the isolation `split`,
    it runs as with `program`. Empty: they can, or it is not known."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for parts of a wrong type: a sandbox would call it a crash."""
        for part in ("setup", "candidate", "language"):
            of_type(f"{part} of a program", getattr(self, part), str, "a text")
        tests = self.tests
        if not isinstance(tests, tuple | list) or not all(isinstance(t, Test) for t in tests):
            raise UsageError(f"tests of a program must be a list of Test, not {tests!r}.")
        of_type("preload of a program", self.preload, (frozenset, set), "a set of names")


@named_fields_only
@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one program. Times are seconds *per test* (set-up and candidate count as one)."""

    cpu_s: float = 15.0
    wall_s: float = 60.0
    """Backstop for code that sleeps or waits; generous, since it depends on the machine's load."""
    memory_bytes: int = 4 << 30
    output_bytes: int = 64 << 10
    file_bytes: int = 64 << 20
    processes: int = 128
    """The kernel counts threads, too."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for a limit that no sandbox can set."""
        for name in ("cpu_s", "wall_s"):
            within(name, getattr(self, name), 0, LONGEST_S)
        for name in ("memory_bytes", "output_bytes", "file_bytes", "processes"):
            whole(name, getattr(self, name), 0)


@dataclass(frozen=True, slots=True)
class TestVerdict:
    """The verdict of one test; `detail` is one printable line (exception type and message)."""

    __test__: ClassVar[bool] = False

    name: str
    status: Status
    detail: str = ""
    cpu_s: float | None = None
    line: int | None = field(default=None, compare=False)
    """The line of the test's source at which it failed, from 1; None: not known. A hint for people:
    code that shares a process with its tests can make it up."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Result of running a program. `verdicts` has one entry per test, in the program's order."""

    verdicts: tuple[TestVerdict, ...]
    setup_error: str | None = None
    """Set when the benchmark's own set-up failed: the row is faulty, the verdicts are empty."""
    unsplit: str = ""
    """With the isolation `split`: why it ran as with `program`; empty if it did not."""
    unsplit_by_answer: bool = False
    """Whether what the candidate gave to the tests is the reason, and not the tests."""
    output: str = ""
    """The last part of stdout and stderr, decoded and with control characters escaped."""
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def passed(self) -> bool:
        """True if there is at least one test and every test passed."""
        return bool(self.verdicts) and all(v.status is Status.PASSED for v in self.verdicts)


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """What a run records about its sandbox."""

    tier: str
    guarantees: tuple[str, ...]
    """Short sentences for people: what this tier keeps a hostile program from doing."""
    isolation: str
    workers: int
    python: str
    """The version of the Python that runs the programs; empty where there is none."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    image_digest: str | None = None
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What else programs ran in: name -> `python`, `libraries`, `image`, `image_digest`."""
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """On a cluster, the machines that graded: name -> `tier`, `workers`, `python`,
    `image_digest`."""
    runtimes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What runs the programs of each language: language -> `kind`, `version` and what else is
    known. Empty in records made before there were several."""
    supervisor: str = ""
    """The version of the Python that the sandbox's own supervisor runs on."""


class SandboxError(InfrastructureError):
    """Base class of the faults of a sandbox itself."""


class SandboxUnavailableError(SandboxError):
    """The tier cannot work on this machine; the message says what to install."""


class SandboxBuildError(SandboxError):
    """The image or the environment of the tier could not be built."""


class SandboxCrashError(SandboxError):
    """Workers died or stopped answering, also with the set-up alone: the machine is at fault."""


class SandboxClosedError(SandboxError):
    """`submit` after `close`, or closed while the program waited."""


@runtime_checkable
class Sandbox(Protocol):
    """A pool of workers; thread-safe; a context manager that removes everything it created."""

    @property
    def info(self) -> SandboxInfo:
        """Tier, guarantees and provenance, for the manifest and the screen."""
        ...

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        """Queue a program.

        The future's exception is a `SandboxCrashError` (workers were lost by the machine's fault),
        `SandboxUnavailableError` (the daemon went away for good) or `SandboxClosedError`; nothing
        else. Cancelling a queued future drops the program.
        """
        ...

    def close(self) -> None:
        """Stop the workers and remove every process, container and file they made. Idempotent."""
        ...

    def __enter__(self) -> Sandbox:
        """Return the started pool."""
        ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close."""
        ...
