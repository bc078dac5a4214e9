"""Virtual environments for the tiers that run without Docker, cached by content.

An environment for any Python uses the running one; the lock of a release needs the Python it was
resolved for (see `interpreters`).

A venv is made in a temporary folder and renamed into place when it is complete and was seen to
import its libraries; a killed build leaves nothing that looks finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.sandbox.buildlog import BuildLog, StepError, cache_dir, locked, temporary_dir
from recode_eval.sandbox.interpreters import Interpreter, find_interpreter, find_uv
from recode_eval.sandbox.requirements import is_unimported
from recode_eval.sandbox.sdists import find_links
from recode_eval.sandbox.wheelhouse import (
    pip_command,
    pip_environment,
    run_pip,
    uv_environment,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recode_eval.sandbox.requirements import Environment, Pin

MANIFEST = "recode-eval.json"


@dataclass(frozen=True, slots=True)
class VenvInfo:
    """A virtual environment that is ready to use; do not change anything in it."""

    root: Path
    python: Path
    """The interpreter, inside `root` (a link to the one in `base_prefix`)."""
    version: str
    libraries: Mapping[str, str]
    base_prefix: Path
    """Where the interpreter's own standard library is; a sandbox must be able to read it too."""


def ensure_venv(environment: Environment, *, log: Callable[[str], None] | None = None) -> VenvInfo:
    """Return the venv of an environment for the running Python, making it first if needed.

    Lies in `$XDG_CACHE_HOME/recode-eval/venvs`. Safe to call from several processes.

    Raises:
        SandboxBuildError: a library cannot be had, the disk is full, ...; names cause and fix.
    """
    tell = log or (lambda _message: None)
    interpreter = find_interpreter(environment.python)
    root = cache_dir("venvs") / venv_folder(environment, interpreter)
    if not (root / MANIFEST).is_file():
        with locked(root.name, tell):
            if not (root / MANIFEST).is_file():
                _build(environment, interpreter, root, tell)
    manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    return VenvInfo(
        root=root,
        python=root / "bin" / "python",
        version=manifest["python"],
        libraries=manifest["libraries"],
        base_prefix=Path(manifest["base_prefix"]),
    )


def venv_folder(environment: Environment, interpreter: Interpreter) -> str:
    """Name of the folder: the environment and a hash of its pins, this Python and this platform."""
    parts = (
        environment.key,
        interpreter.build,
        str(interpreter.path),
        platform.machine(),
        *platform.libc_ver(),
    )
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{environment.name}-{digest[:12]}"


def _build(
    environment: Environment,
    interpreter: Interpreter,
    root: Path,
    log: Callable[[str], None],
) -> None:
    pins = environment.pins_for(interpreter.python)
    what = f"the Python environment {environment.name!r}"
    with (
        BuildLog(what, f"venv-{environment.name}") as build_log,
        temporary_dir(root.parent) as scratch,
    ):
        log(f"installing the {len(pins)} libraries of {environment.name!r} into {root}")
        new = scratch / "venv"
        build_log.run(
            [str(interpreter.path), "-m", "venv", "--without-pip", "--symlinks", str(new)]
        )
        python = str(new / "bin" / "python")
        settings = new / "pyvenv.cfg"
        interpreters = {path.name: path.readlink() for path in (new / "bin").glob("python*")}
        configuration = settings.read_text(encoding="utf-8")
        _install(pins, python, scratch, build_log)
        if is_unimported(environment.name):
            _disarm(new, interpreters)
        log(f"compiling the libraries of {environment.name!r}")
        _compile(new, root, build_log)
        if environment.check:
            build_log.run([python, "-I", "-c", environment.check])
        _remove_scripts(new / "bin")
        manifest = {
            "environment": environment.name,
            "python": interpreter.version,
            "base_prefix": interpreter.prefix,
            "libraries": {pin.name: pin.version for pin in pins},
        }
        _write(new / MANIFEST, json.dumps(manifest, indent=1))
        _write(settings, configuration.replace(str(new), str(root)))
        if root.exists():  # from a build that was killed while it was being removed
            shutil.rmtree(root)
        new.rename(root)


def _install(pins: Sequence[Pin], python: str, scratch: Path, build_log: BuildLog) -> None:
    """With uv where there is one; it does not read pip's configuration, so pip has a turn too."""
    if not pins:
        return
    uv = find_uv()
    if uv:
        command = [uv, "pip", "install", "--quiet", f"--python={python}", "--no-deps"]
        command += ["--only-binary=:all:", *find_links(pins)]
        try:
            run_pip(command, pins, build_log, uv_environment(), ())
        except StepError as error:
            build_log.write(f"uv: {error.cause}; trying pip")
        else:
            return
    pip = [
        *pip_command(build_log, scratch),
        f"--python={python}",
        "install",
        "--quiet",
        "--no-deps",
    ]
    pip += ["--only-binary=:all:", "--no-compile", *find_links(pins)]
    run_pip(pip, pins, build_log, pip_environment())


def _disarm(new: Path, interpreters: Mapping[str, Path]) -> None:
    """Remove what a library can put where an interpreter outside the sandbox would run it.

    Those are files that Python runs at its start (`*.pth`, `sitecustomize`), and anything in place
    of the interpreter itself (a wheel's data may name any file of the environment).
    """
    for pattern in ("*.pth", "sitecustomize*", "usercustomize*"):
        for path in (new / "lib").glob(f"python*/site-packages/{pattern}"):
            _remove(path)
    for path in (new / "bin").iterdir():
        _remove(path)
    for name, target in interpreters.items():
        (new / "bin" / name).symlink_to(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _compile(new: Path, root: Path, build_log: BuildLog) -> None:
    """Compile everything, with the paths that the files will have after the renaming.

    Some packages ship files that are no valid Python on purpose: the exit status says nothing.
    """
    # Without `site`: a library's .pth files are programs, and this is not a sandbox.
    command = [str(new / "bin" / "python"), "-I", "-S", "-m", "compileall", "-qq"]
    command += ["-j", str(_cores())]
    command += ["--invalidation-mode", "unchecked-hash", "-s", str(new), "-p", str(root)]
    try:
        build_log.run([*command, str(new / "lib")])
    except StepError as error:
        build_log.write(f"compileall: {error.cause}")


def _write(path: Path, text: str) -> None:
    """Write a file that other users may read, whatever the umask is."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _remove_scripts(folder: Path) -> None:
    """Programs like bin/pytest name the temporary folder in their first line; none is needed."""
    for path in folder.iterdir():
        if not path.name.startswith("python"):
            path.unlink()
