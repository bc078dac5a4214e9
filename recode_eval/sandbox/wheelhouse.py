"""Fetch the pinned wheels of an environment with the host's own pip (or uv, for virtual ones).

The host's pip knows the proxies, mirrors, certificates and folders that work here; a container
being built knows none of them. So the host downloads, for the Python and platform *of the image*,
and the image installs from a folder without a network.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.sandbox.buildlog import BuildLog, StepError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from recode_eval.sandbox.requirements import Pin

CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where builds with the local version `+cpu` are published."""

_MISLEADING = (
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_CONSTRAINT",
    "PIP_REQUIREMENT",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_DRY_RUN",
    "PIP_PYTHON",
    "PIP_NO_DEPS",
    "PIP_REQUIRE_HASHES",
    "PYTHONHOME",
    "PYTHONPATH",
)
"""Variables that make sense for a user's own installations and would spoil this one."""


@dataclass(frozen=True, slots=True)
class Target:
    """The Python and platform that wheels are for; only glibc Linux."""

    python: tuple[int, int]
    machine: str
    """As `platform.machine()` says it: `x86_64`, `aarch64`, ..."""
    glibc: tuple[int, int]

    def pip_options(self) -> list[str]:
        """What tells pip to choose wheels for this target instead of for itself."""
        version = f"{self.python[0]}.{self.python[1]}"
        abi = f"cp{self.python[0]}{self.python[1]}"
        options = ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
        options += [f"--abi={name}" for name in (abi, "abi3", "none")]
        # pip knows that manylinux2014 may run what manylinux1 may; it does not know the same of
        # the newer tags, so each is named.
        newest = self.glibc[1] if self.glibc[0] == 2 else 0
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, 4, -1)]
        tags += [f"manylinux2014_{self.machine}", f"linux_{self.machine}"]
        return options + [f"--platform={tag}" for tag in tags]


def pip_environment() -> dict[str, str]:
    """The user's environment (with pip's configuration) less what would spoil the build."""
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return kept | {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


_FOR_UV = {
    "PIP_INDEX_URL": "UV_INDEX_URL",
    "PIP_EXTRA_INDEX_URL": "UV_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_NO_INDEX": "UV_NO_INDEX",
    "PIP_CERT": "SSL_CERT_FILE",
}


def uv_environment() -> dict[str, str]:
    """The same for uv, which does not read pip's variables: they are handed on under its names."""
    env = pip_environment()
    for theirs, ours in _FOR_UV.items():
        if theirs in env:
            # pip separates several by spaces, uv by commas (its extra indexes by spaces, too).
            separator = "," if ours == "UV_FIND_LINKS" else " "
            env.setdefault(ours, separator.join(env[theirs].split()))
    return env


def pip_command(log: BuildLog, scratch: Path) -> list[str]:
    """The command line of a pip new enough for `--python`, the user's own if there is one.

    Raises:
        StepError: there is none and none can be made.
    """
    candidates = [[sys.executable, "-m", "pip"]]
    candidates += [[found, "-m", "pip"] for found in _interpreters()]
    for command in candidates:
        try:
            words = log.run([*command, "--version"]).split()
        except StepError:
            continue
        release = words[1].split(".") if len(words) > 1 else []
        if len(release) > 1 and (int(release[0]), int(release[1])) >= (22, 3):
            return command
    log.run([sys.executable, "-m", "venv", str(scratch / "pip")])
    return [str(scratch / "pip" / "bin" / "python"), "-m", "pip"]


def _interpreters() -> list[str]:
    found = (shutil.which(name) for name in ("python3", "python"))
    return [path for path in found if path and path != sys.executable]


def split_cpu_builds(pins: Iterable[Pin]) -> tuple[list[Pin], list[Pin]]:
    """The pins that any index has, and those of builds that only PyTorch's index publishes."""
    ordinary: list[Pin] = []
    cpu_builds: list[Pin] = []
    for pin in pins:
        (cpu_builds if pin.version.endswith("+cpu") else ordinary).append(pin)
    return ordinary, cpu_builds


def run_pip(
    pip: Sequence[str],
    pins: Iterable[Pin],
    log: BuildLog,
    env: Mapping[str, str],
    impatience: Sequence[str] = ("--retries=1", "--timeout=20"),
) -> None:
    """Run the command `pip` (a download or an installation by pip or uv) for every pin.

    A CPU build is looked for where the user's pip looks, which answers at once and covers mirrors
    and local folders; only then at PyTorch's own index, which may not be reachable from here.

    Raises:
        StepError: one cannot be had.
    """
    ordinary, cpu_builds = split_cpu_builds(pins)
    if ordinary:
        log.run([*pip, *(pin.requirement for pin in ordinary)], env)
    for pin in cpu_builds:
        try:
            log.run([*pip, pin.requirement], env)
        except StepError as missing:
            index = f"--index-url={CPU_TORCH_INDEX}"
            try:
                log.run([*pip, *impatience, index, pin.requirement], env)
            except StepError as error:
                raise StepError(missing.cause, missing.output) from error


def download(
    pins: Sequence[Pin],
    target: Target,
    folder: Path,
    log: BuildLog,
    options: Sequence[str] = (),
) -> None:
    """Put the wheel of every pin into `folder`; raises `StepError` if one cannot be had."""
    folder.mkdir(exist_ok=True)
    pip = [*pip_command(log, folder.parent), "download", "--quiet", "--no-deps"]
    pip += [f"--dest={folder}", *target.pip_options(), *options]
    run_pip(pip, pins, log, pip_environment())
