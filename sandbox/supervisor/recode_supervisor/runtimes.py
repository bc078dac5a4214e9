"""The languages that this supervisor can run: a `Runtime` each, made from the evaluator's data.

Another kind of runtime is one more class here: it says which interpreter its spawner has, and makes
a `ProgramExecution` of a program. The supervisor's main loop does not change.
"""

from __future__ import annotations

import dataclasses
import errno
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from recode_supervisor import confinement
from recode_supervisor.command_execution import CommandExecution, CommandSpec
from recode_supervisor.execution import Home, ProgramExecution, ProgramRequest
from recode_supervisor.node_execution import RUNNER, NodeExecution, NodeSpec, Standby
from recode_supervisor.python_execution import PythonExecution, SplitExecution
from recode_supervisor.zygote_pool import ZygotePool

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_program.confine import Settings

    from recode_supervisor.disk import Disk

_VERSION_S = 20.0


class Runtime(ABC):
    """Runs the programs of one language."""

    kind: ClassVar[str]

    def __init__(self, config: dict[str, Any], settings: Settings, tier: dict[str, Any]) -> None:
        """Start its spawner and hand over how programs are confined.

        `config` is the runtime's own part of the evaluator's configuration `tier`.

        Raises:
            OSError: programs cannot be confined as required.
            LostError: the interpreter does not start.
        """
        self._users = (settings.uid, settings.guard_uid)
        self._limit_address_space = config.get("memory", "address_space") == "address_space"
        self._pool = ZygotePool(
            self._interpreter(config, tier), tier.get("report", []), own_users=settings.own_users
        )
        folders = self._folders(config, self._pool.facts)
        self._pool.configure(
            *confinement.rule_files(
                dataclasses.replace(settings, warm=self._warm, child_signals=self._child_signals),
                tier,
                folders,
            )
        )

    _warm = True
    splits: ClassVar[bool] = False
    """Whether it can run the tests in another process than the candidate."""
    _child_signals = False

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What to record: `kind`, `version`, and what else is known."""

    @abstractmethod
    def execution(
        self, home: Home, request: ProgramRequest, indices: list[int], output: int, *, split: bool
    ) -> ProgramExecution:
        """Prepare a run of these tests of a program; what it prints goes to `output`.

        `split`: in a process of their own, where the runtime can do that.
        """

    @abstractmethod
    def _interpreter(self, config: dict[str, Any], tier: dict[str, Any]) -> list[str]:
        """The command line of the interpreter that the spawner runs on."""

    @abstractmethod
    def _folders(self, config: dict[str, Any], found: dict[str, Any]) -> list[str]:
        """What programs must be able to read, beside the system's own folders."""

    @property
    def libraries(self) -> dict[str, str]:
        """The versions of the libraries that the evaluator asked about."""
        return {}

    @property
    def zygotes(self) -> int:
        """How many zygotes were ever started."""
        return len(self._pool)

    def home(self, libraries: tuple[str, ...], disk: Disk, tick: Callable[[], None]) -> Home:
        """Where the next program runs: a zygote with these libraries loaded, started if need be."""
        found = self._pool.zygote_for(libraries if self._warm else (), tick)
        return Home(found, disk, self._users, self._limit_address_space)

    def stand_by(self, home: Home, request: ProgramRequest) -> None:  # noqa: B027 - most do not
        """Get ready for a program with the limits of this one, while there is nothing to do."""

    def stand_down(self) -> None:  # noqa: B027
        """Another runtime has a program, whose end ends everything else of its user."""

    def close(self) -> None:
        """End its processes."""
        self._pool.close()


class PythonZygote(Runtime):
    """Python: programs are forked from a process that has their libraries loaded."""

    kind = "python"
    splits = True

    def facts(self) -> dict[str, Any]:
        """Kind, version and implementation of the interpreter that runs the programs."""
        found = self._pool.facts
        return {
            "kind": self.kind,
            "version": found["version"],
            "implementation": found["implementation"],
        }

    @property
    def libraries(self) -> dict[str, str]:
        """As the programs' interpreter finds them."""
        return dict(self._pool.facts["libraries"])

    def execution(
        self, home: Home, request: ProgramRequest, indices: list[int], output: int, *, split: bool
    ) -> ProgramExecution:
        """See `Runtime.execution`."""
        made = SplitExecution if split else PythonExecution
        return made(home, request, indices, output)

    def _interpreter(self, config: dict[str, Any], tier: dict[str, Any]) -> list[str]:
        del tier
        return list(config["command"])

    def _folders(self, config: dict[str, Any], found: dict[str, Any]) -> list[str]:
        return [*found["folders"], *config.get("folders", [])]


class Command(Runtime):
    """Any other language: a command line per program, under the same confinement."""

    kind = "command"
    _warm = False
    _child_signals = True

    def __init__(self, config: dict[str, Any], settings: Settings, tier: dict[str, Any]) -> None:
        """See `Runtime`; also asks the language's own executable for its version."""
        self._spec = CommandSpec.parse(config)
        first = (self._spec.compile or self._spec.argv)[0]
        if not os.access(first, os.X_OK):
            raise OSError(errno.ENOENT, f"no executable {first} in the sandbox")
        super().__init__(config, settings, tier)
        self._version = _first_line(config.get("version_argv", []))

    def facts(self) -> dict[str, Any]:
        """Kind, command and version of what runs the programs."""
        return {"kind": self.kind, "version": self._version, "command": list(self._spec.argv)}

    def execution(
        self, home: Home, request: ProgramRequest, indices: list[int], output: int, *, split: bool
    ) -> ProgramExecution:
        """See `Runtime.execution`."""
        del split
        return CommandExecution(home, request, indices, output, self._spec)

    def _interpreter(self, config: dict[str, Any], tier: dict[str, Any]) -> list[str]:
        del config
        return list(tier["interpreter"])

    def _folders(self, config: dict[str, Any], found: dict[str, Any]) -> list[str]:
        del found
        return list(config.get("folders", []))


class Node(Runtime):
    """JavaScript and TypeScript: one process of Node per program, with a runner of ours in it."""

    kind = "node"
    _warm = False
    _child_signals = True

    def __init__(self, config: dict[str, Any], settings: Settings, tier: dict[str, Any]) -> None:
        """See `Runtime`; also asks Node for its version."""
        self._spec = NodeSpec.parse(config)
        self._version = _first_line([self._spec.node, "--version"]).removeprefix("v")
        if not self._version:
            raise OSError(errno.ENOENT, f"{self._spec.node} does not start in the sandbox")
        self._standby: Standby | None = None
        self._stands_by = bool(config.get("standby", True))
        self._libraries: dict[str, str] = dict(config.get("libraries", {}))
        super().__init__(config, settings, tier)

    @property
    def libraries(self) -> dict[str, str]:
        """As the environment's lock has them."""
        return self._libraries

    def facts(self) -> dict[str, Any]:
        """Kind and version of what runs the programs."""
        return {"kind": self.kind, "version": self._version}

    def execution(
        self, home: Home, request: ProgramRequest, indices: list[int], output: int, *, split: bool
    ) -> ProgramExecution:
        """See `Runtime.execution`."""
        del split
        standby, self._standby = self._standby, None
        if standby is not None and not standby.fits(home, request):
            standby.discard()
            standby = None
        return NodeExecution(home, request, indices, output, self._spec, standby)

    def stand_by(self, home: Home, request: ProgramRequest) -> None:
        """See `Runtime.stand_by`: Node takes longer to start than most programs to run."""
        if self._stands_by and self._standby is None:
            self._standby = Standby.start(home, request, self._spec)

    def stand_down(self) -> None:
        """See `Runtime.stand_down`."""
        if self._standby is not None:
            self._standby.discard()
            self._standby = None

    def _interpreter(self, config: dict[str, Any], tier: dict[str, Any]) -> list[str]:
        del config
        return list(tier["interpreter"])

    def _folders(self, config: dict[str, Any], found: dict[str, Any]) -> list[str]:
        del found
        return [RUNNER, *config.get("folders", [])]


_KINDS: dict[str, type[Runtime]] = {one.kind: one for one in (PythonZygote, Command, Node)}


def start(config: dict[str, Any], settings: Settings) -> dict[str, Runtime]:
    """Start the runtime of each language that the evaluator's configuration names.

    Raises:
        OSError: a kind that is not known here, or programs cannot be confined as required.
    """
    found: dict[str, Runtime] = {}
    for language, own in config["runtimes"].items():
        if own["kind"] not in _KINDS:
            raise OSError(f"this supervisor knows no runtime of the kind {own['kind']!r}")
        same = next((name for name in found if config["runtimes"][name] == own), None)
        found[language] = found[same] if same else _KINDS[own["kind"]](own, settings, config)
    return found


def _first_line(argv: list[str]) -> str:
    """The first line that a trusted command prints; empty if it cannot be run."""
    if not argv:
        return ""
    import subprocess

    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_VERSION_S,
            check=False,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout[:4096].decode("utf-8", "replace").splitlines()
    return next((line.strip() for line in lines if line.strip()), "")[:200]
