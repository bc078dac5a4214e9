"""What harbor's images are made of: a base with a Python, the libraries of a lock, the grader."""

from __future__ import annotations

import gzip
import hashlib
import io
import platform
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recode_eval.errors import UsageError
from recode_eval.resources import resource_dir
from recode_eval.sandbox.buildlog import BuildLog, cache_dir, temporary_dir
from recode_eval.sandbox.requirements import RELEASE_PYTHON
from recode_eval.sandbox.sdists import find_links
from recode_eval.sandbox.wheelhouse import (
    CPU_TORCH_INDEX,
    Target,
    download,
    split_cpu_builds,
)
from recode_eval.task_exports import TaskFile
from recode_eval.task_exports.harbor_grader import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.sandbox.requirements import Environment

LOCK: Final = "requirements.txt"
PYTHON: Final = "/opt/recode-eval/python"
_SUPERVISOR: Final = "recode_eval/_resources/sandbox/supervisor"
_GLIBC: Final = (2, 36)
"""Of Debian bookworm; wheels must run on it."""
_MAIN: Final = f"""\
import sys
from pathlib import Path

from recode_eval.task_exports.harbor_grader import main

sys.exit(main(Path("/tests/problem.json"), "{PYTHON}/bin/python"))
"""


class Image:
    """A base image with the libraries of an environment, in a virtual environment of its own."""

    def __init__(self, environment: Environment, base: str | None, *, wheels: bool) -> None:
        """`base` is an image with this Python, pip and venv; None: Python's own.

        Raises:
            UsageError: the environment is for a Python that the grader does not run on; or `base`
                is no name of an image.
        """
        self.environment = environment
        self._python = environment.python or RELEASE_PYTHON
        if self._python < RELEASE_PYTHON:
            raise UsageError(
                f"The environment {environment.name} is for Python {self._dotted}, and the grader "
                "in harbor's containers needs Python 3.11 or newer; leave its problems out with "
                "--problems."
            )
        if base is not None and (not base or not base.isprintable() or " " in base):
            raise UsageError(f"--base-image {base!r} is no name of an image.")
        self._base = base or f"python:{self._dotted}-slim-bookworm"
        self._pins = environment.pins_for(self._python)
        self._wheels = _wheelhouse(environment, self._python) if wheels else ()

    @property
    def _dotted(self) -> str:
        return ".".join(map(str, self._python))

    def recipe(self) -> str:
        """Return the lines of a Dockerfile that both images begin with, so that layers are shared.

        Nothing is fetched when a container runs.
        """
        # Made on purpose without BuildKit's syntax: old engines build this, too.
        pip = f"python3 -m pip --python {PYTHON}/bin/python install --quiet --no-cache-dir"
        pip += " --disable-pip-version-check --no-deps"
        copied = f"COPY {LOCK} /opt/recode-eval/\n"
        if self._wheels:
            copied += "COPY wheels /opt/recode-eval/wheels\n"
            pip += " --no-index --find-links /opt/recode-eval/wheels"
        elif split_cpu_builds(self._pins)[1]:
            pip += f" --extra-index-url {CPU_TORCH_INDEX}"
        install = f" \\\n    && {pip} -r /opt/recode-eval/{LOCK}" if self._pins else ""
        check = f"import sys; sys.exit(sys.version_info[:2] != {self._python})"
        return (
            f"FROM {self._base}\n{copied}"
            f'RUN python3 -c "{check}" \\\n'
            f"    && python3 -m venv --without-pip {PYTHON}{install}\n"
            f"ENV PATH={PYTHON}/bin:$PATH LANG=C.UTF-8\n"
        )

    def files(self, folder: str) -> Iterator[TaskFile]:
        """Yield what the recipe copies, for the build context `folder`."""
        lock = "".join(f"{pin.requirement}\n" for pin in self._pins)
        yield TaskFile(f"{folder}/{LOCK}", lock)
        for wheel in self._wheels:
            yield TaskFile(f"{folder}/wheels/{wheel.name}", source=wheel)


def _wheelhouse(environment: Environment, python: tuple[int, int]) -> tuple[Path, ...]:
    """Return the wheels of an environment, which are fetched once and kept in the cache.

    Raises:
        SandboxBuildError: one cannot be had.
    """
    target = Target(python, platform.machine(), _GLIBC)
    pins = environment.pins_for(python)
    digest = hashlib.sha256(repr((environment.key, target)).encode()).hexdigest()[:12]
    folder = cache_dir("harbor") / f"{environment.name}-{digest}"
    if not folder.is_dir():
        what = f"the wheels of {environment.name!r}"
        with BuildLog(what, "harbor-wheels") as log, temporary_dir(folder.parent) as scratch:
            wheels = scratch / "wheels"
            wheels.mkdir()
            if pins:
                download(pins, target, wheels, log, find_links(pins))
            try:
                wheels.rename(folder)
            except OSError:  # another process was faster
                if not folder.is_dir():
                    raise
    return tuple(sorted(folder.iterdir()))


def grader_archive() -> Path:
    """Return the archive with the grader and its sandbox; equal content is an equal file."""
    package = Path(__file__).resolve().parents[1]
    supervisor = resource_dir("sandbox") / "supervisor"
    sources = {f"recode_eval/{part}": package / part for part in PARTS}
    for path in sorted(supervisor.rglob("*")):
        if path.suffix in {".py", ".cjs"}:
            sources[f"{_SUPERVISOR}/{path.relative_to(supervisor).as_posix()}"] = path
    contents = {"__main__.py": _MAIN.encode()}
    contents |= {name: path.read_bytes() for name, path in sources.items()}
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in sorted(contents.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    data = packed.getvalue()
    path = cache_dir("harbor") / f"grader-{hashlib.sha256(data).hexdigest()[:12]}.tar.gz"
    if not path.exists():
        with temporary_dir(path.parent) as scratch:
            (scratch / "archive").write_bytes(data)
            (scratch / "archive").rename(path)
    return path
