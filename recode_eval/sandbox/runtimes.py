"""What runs the programs of a language in a sandbox, as data for the supervisor.

The supervisor has an interpreter of its own; these name the one of the programs. `PythonRuntime`
comes with every environment. `CommandRuntime` adds a language that has an executable: give it to
`open_sandbox(..., runtimes=[...])`, and name its language in `Program.language`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Protocol

from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON = "python"
"""The language of programs that name none."""
NODE_LANGUAGES = ("javascript", "typescript")
"""The languages that Node runs."""
MemoryLimit = Literal["address_space", "resident"]
"""`address_space`: the kernel refuses more than the limit, at once. `resident`: the sandbox looks
20 times a second at what is in use, for runtimes that reserve far more than they use (V8, the JVM);
a program can be over its limit for that long, and in a container the kernel limits all together."""


class ProgramRuntime(Protocol):
    """How the programs of one language run."""

    @property
    def language(self) -> str:
        """The `Program.language` that it runs."""
        ...

    def config(self) -> dict[str, Any]:
        """What the supervisor is told."""
        ...


@dataclass(frozen=True, slots=True)
class PythonRuntime:
    """Python 3.7 or newer: programs are forked from a process with their libraries loaded."""

    python: str
    """Path of the interpreter, as the sandbox sees it."""
    version: str
    """Its version, e.g. `3.9.2`."""
    language: str = PYTHON

    def config(self) -> dict[str, Any]:
        """What the supervisor is told. Nothing of the user's own Python settings gets in.

        >>> PythonRuntime("/opt/bin/python", "3.9.2").config()["command"]
        ['/opt/bin/python', '-s', '-B', '-X', 'utf8']
        """
        release = tuple(int(part) for part in self.version.split(".")[:2])
        safe_path = ["-P"] if release >= (3, 11) else []
        command = [self.python, *safe_path, "-s", "-B", "-X", "utf8"]
        return {"kind": "python", "command": command, "memory": "address_space"}


@dataclass(frozen=True, slots=True)
class CommandRuntime:
    """A language whose programs are a file that a command line runs.

    `program` is the text of the file; the sandbox fills in `{setup}`, `{candidate}`, `{defined}`
    and `{tests}`. The code of the template must print `{defined}` as a line of its own when set-up
    and candidate have run. `test` is the text of each test, with `{test}`; its code must run the
    test, then read one line (the nonce) from descriptor 3, then print a line that starts with that
    nonce, a space and `passed`, `failed` or `memory`, at most followed by a space and a detail.

    Candidate and tests share a process and a file: this keeps out accidents and programs that only
    print or exit, not code that knows the protocol and reads the nonces itself. What a program
    printed is its standard error first, then its standard output.
    """

    language: str
    argv: tuple[str, ...]
    """`{program}` stands for the file, `{output}` for what `compile` has made; the first is an
    absolute path in the sandbox, or `{output}`."""
    program: str
    test: str
    file: str = "program"
    """The file's name, with the suffix that the language wants."""
    memory: MemoryLimit = "address_space"
    environment: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    """What programs must be able to read beside the system's folders."""
    version_argv: tuple[str, ...] = ()
    """Prints the version of the language, for the record."""
    in_images: str = ""
    """Where the executable is in container images, which have none of this machine's files; empty:
    at the same path."""
    compile: tuple[str, ...] = ()
    """For compiled languages, the command line that makes an executable, `{output}`, of the file.
    `argv` then usually is `{output}` alone."""
    compile_cpu_s: float = 30.0
    compile_wall_s: float = 120.0
    compile_memory_bytes: int = 2 << 30
    """Limits of compiling; those of the program count from when it is compiled."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, here rather than in a sandbox.

        Raises:
            UsageError: names the field and the reason.
        """
        first = (self.compile or self.argv)[:1]
        if not self.argv or not first or not PurePosixPath(first[0]).is_absolute():
            raise UsageError(f"runtime {self.language!r}: argv must start with an absolute path")
        if PurePosixPath(self.file).name != self.file or self.file in {"", ".", ".."}:
            raise UsageError(f"runtime {self.language!r}: {self.file!r} is not a file name")
        for name in ("setup", "candidate", "defined", "tests"):
            if f"{{{name}}}" not in self.program:
                raise UsageError(f"runtime {self.language!r}: program has no {{{name}}}")
        if "{test}" not in self.test:
            raise UsageError(f"runtime {self.language!r}: test has no {{test}}")
        if self.language == PYTHON:
            raise UsageError("the language python has its own runtime")

    def for_images(self) -> CommandRuntime:
        """The same with the paths of container images."""
        if not self.in_images:
            return self
        first = (self.compile or self.argv)[0]

        def moved(words: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(self.in_images if word == first else word for word in words)

        return replace(
            self,
            argv=moved(self.argv),
            compile=moved(self.compile),
            version_argv=moved(self.version_argv),
            folders=(),
        )

    def config(self) -> dict[str, Any]:
        """What the supervisor is told."""
        return {
            "kind": "command",
            "argv": list(self.argv),
            "file": self.file,
            "program": self.program,
            "test": self.test,
            "memory": self.memory,
            "environment": dict(self.environment),
            "folders": list(self.folders),
            "version_argv": list(self.version_argv),
            "compile": list(self.compile),
            "compile_limits": [
                self.compile_cpu_s,
                self.compile_wall_s,
                self.compile_memory_bytes,
            ],
        }


@dataclass(frozen=True, slots=True)
class NodeRuntime:
    """JavaScript or TypeScript: a process of Node for each program, with a trusted runner in it."""

    language: str
    node: str
    """Path of the executable, as the sandbox sees it."""
    environment: str
    """The folder with `node_modules`, as the sandbox sees it; empty if there is none."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """What is in it, for the record."""
    folders: tuple[str, ...] = ()
    """What programs must be able to read beside the system's folders."""

    def config(self) -> dict[str, Any]:
        """What the supervisor is told; equal for both languages, which share a runtime there."""
        return {
            "kind": "node",
            "argv": [self.node],
            "environment": self.environment,
            "libraries": dict(self.libraries),
            "memory": "resident",
            "folders": list(self.folders),
        }


def node_runtimes(
    node: str, environment: str, libraries: Mapping[str, str], folders: tuple[str, ...] = ()
) -> tuple[NodeRuntime, ...]:
    """The runtimes of an environment of JavaScript, one per language."""
    return tuple(
        NodeRuntime(name, node, environment, libraries, folders) for name in NODE_LANGUAGES
    )


def configs(*runtimes: ProgramRuntime) -> dict[str, dict[str, Any]]:
    """The part of a supervisor's configuration that names its languages."""
    return {runtime.language: runtime.config() for runtime in runtimes}
