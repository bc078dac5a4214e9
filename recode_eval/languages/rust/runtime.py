"""How the sandbox compiles and runs a Rust program: the text around an answer and its tests.

One file is compiled, with the answer at its top so that `#![feature(...)]` and the like stand
where they must. The tests run in the order of the file, each in a thread of its own, as `cargo
test` does; after each, the program reads a nonce and prints the verdict (see `CommandRuntime`).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from recode_eval.errors import InfrastructureError
from recode_eval.sandbox.runtimes import CommandRuntime

VARIABLE: Final = "RECODE_EVAL_RUSTC"
FIX: Final = (
    f"install Rust (Debian: apt-get install rustc-web gcc), or name the compiler with {VARIABLE}"
)
_TIMEOUT_S = 20
EDITION: Final = "2021"
_HARNESS: Final = Path(__file__).with_name("harness.rs")
"""The program around answer and tests, as `CommandRuntime.program`."""


def failing_test(why: str) -> str:
    """Return the code of a test that fails with this text."""
    text = why.replace("\\", "\\\\").replace('"', '\\"').replace("{", "{{").replace("}", "}}")
    return f'fn fails() {{ ::std::panic!("{text}") }}\n__recode::check(fails, None);'


@cache
def find_rustc() -> tuple[str, str]:
    """Return the path of the compiler itself (not of a launcher), and its sysroot.

    Raises:
        InfrastructureError: there is none, or it does not run; says what to install.
    """
    named = os.environ.get(VARIABLE)
    path = named or shutil.which("rustc")
    if path is None:
        raise InfrastructureError(f"No Rust compiler: {FIX}.")
    try:
        done = subprocess.run(
            [path, "--print", "sysroot"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InfrastructureError(
            f"The Rust compiler {path} does not run ({error}): {FIX}."
        ) from error
    sysroot = Path(done.stdout.strip())
    if not (sysroot / "lib").is_dir():
        raise InfrastructureError(f"{path} is no Rust compiler, as it names no sysroot: {FIX}.")
    inner = sysroot / "bin" / "rustc"
    return str(inner if inner.is_file() else Path(path).resolve()), str(sysroot)


def rustc_version(rustc: str) -> str:
    """Return what a compiler says of itself: `rustc 1.96.0 (...)`."""
    done = subprocess.run(
        [rustc, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    return done.stdout.strip()


def _usual_linker(rustc: str) -> tuple[str, ...]:
    """Say that the system's linker is to be used, where rustc would take another one.

    The lld that comes with rustc may lie in a private folder, such as /root. Programs may search
    that, but gcc asks with `access`, which does not heed the right to do so.
    """
    release = re.match(r"rustc (\d+)\.(\d+)", rustc_version(rustc))
    brings_lld = release is not None and (int(release[1]), int(release[2])) >= (1, 90)
    if brings_lld and platform.machine() == "x86_64":
        return ("-C", "linker-features=-lld")
    return ()


def rust_runtime() -> CommandRuntime:
    """Return the runtime of the compiler on this machine; see `find_rustc` for errors."""
    rustc, sysroot = find_rustc()
    return CommandRuntime(
        language="rust",
        argv=("{output}",),
        compile=(
            rustc, "--edition", EDITION, "--crate-name", "solution", "--cap-lints", "allow",
            "-C", "debuginfo=0", "-C", "codegen-units=1", *_usual_linker(rustc),
            "-o", "{output}", "{program}",
        ),
        program=_HARNESS.read_text(encoding="utf-8"),
        test="{\n{test}\n}",
        file="solution.rs",
        memory="resident",
        in_images="/usr/bin/rustc",
        folders=() if sysroot == "/usr" else (sysroot,),
        version_argv=(rustc, "--version"),
    )  # fmt: skip
