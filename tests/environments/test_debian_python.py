"""The script that unpacks a Debian release's Python: what it makes, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from recode_eval.resources import resource_dir

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = [
    "basename",
    "cat",
    "chmod",
    "cp",
    "dirname",
    "find",
    "head",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sed",
    "sh",
]
UNPACK = """
for root; do case $root in */root) break ;; esac; done
mkdir -p $root/usr/bin $root/usr/lib/python3.9 $root/lib/x86_64-linux-gnu
printf '#!/bin/sh\\nexit 0\\n' >$root/usr/bin/python3.9
chmod +x $root/usr/bin/python3.9
: >$root/usr/lib/python3.9/os.py
: >$root/lib/x86_64-linux-gnu/libc.so.6
: >$root/lib/x86_64-linux-gnu/libffi.so.7
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with nothing but the usual tools, to which tests add what they need."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name) or "")
    put(folder, "patchelf", "exit 0")
    return folder


def put(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def debian_python(programs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    scratch = programs.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    cache = programs.parent / "cache"
    return subprocess.run(
        ["/bin/sh", str(resource_dir("sandbox") / "debian-python"), *arguments],
        env={"PATH": str(programs), "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_makes_a_folder_where_the_sandbox_looks(programs: Path) -> None:
    put(programs, "mmdebstrap", UNPACK)
    for _ in range(2):  # again replaces it
        done = debian_python(programs, "bullseye")
        assert done.returncode == 0, done.stderr
        made = programs.parent / "cache" / "recode-eval" / "pythons" / "3.9"
        assert done.stdout == f"{made}/bin/python3.9\n"
        assert os.access(made / "bin" / "python3.9", os.X_OK)
        assert (made / "lib" / "python3.9" / "os.py").is_file()
        assert [path.name for path in (made / "lib" / "shared").iterdir()] == ["libffi.so.7"]
        assert not list((programs.parent / "scratch").iterdir())


def test_a_newer_c_library_comes_along(programs: Path) -> None:
    """Python 3.13 of trixie did not start on a machine with bookworm's C library."""
    loader = "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    own = UNPACK.replace("exit 0", "exit 1") + (
        f"printf '#!/bin/sh\\nexit 0\\n' >{loader}\nchmod +x {loader}\n"
    )
    put(programs, "mmdebstrap", own)
    put(programs, "patchelf", f'echo "$@" >>{programs.parent}/patched')
    done = debian_python(programs, "trixie")
    assert done.returncode == 0, done.stderr
    shared = programs.parent / "cache" / "recode-eval" / "pythons" / "3.9" / "lib" / "shared"
    names = {"libffi.so.7", "libc.so.6", "ld-linux-x86-64.so.2"}
    assert {path.name for path in shared.iterdir()} == names
    interpreter = f"--set-interpreter {shared}/ld-linux-x86-64.so.2 "
    assert interpreter in (programs.parent / "patched").read_text(encoding="utf-8")


def test_a_release_without_a_package_is_unpacked_without_it(programs: Path) -> None:
    """The second attempt met what the first had left, and ended with "is not empty"."""
    refuse = (
        'case "$*" in *distutils*) for root; do case $root in */root) break ;; esac; done\n'
        "mkdir $root || exit 9; : >$root/left; exit 25 ;; esac\n"
    )
    empty = "for root; do case $root in */root) break ;; esac; done\n[ ! -e $root ] || exit 26\n"
    put(programs, "mmdebstrap", refuse + empty + UNPACK)
    done = debian_python(programs, "trixie")
    assert done.returncode == 0, done.stderr


def test_a_folder_of_somebody_else_is_left_alone(programs: Path) -> None:
    put(programs, "mmdebstrap", UNPACK)
    precious = programs.parent / "precious"
    precious.mkdir()
    (precious / "thesis").touch()
    done = debian_python(programs, "bullseye", str(precious))
    assert done.returncode == 1
    assert "was not made by this" in done.stderr
    assert (precious / "thesis").is_file()


def test_what_does_not_run_here_is_not_kept(programs: Path) -> None:
    """A release newer than this machine's C library unpacks well and starts badly."""
    put(programs, "mmdebstrap", UNPACK.replace("exit 0", "exit 1"))
    done = debian_python(programs, "sid")
    assert done.returncode == 1
    assert "does not run on this machine" in done.stderr
    assert not (programs.parent / "cache").exists()
    assert not list((programs.parent / "scratch").iterdir())


def test_missing_programs_are_named_with_their_packages(programs: Path) -> None:
    assert "apt-get install mmdebstrap" in debian_python(programs, "bullseye").stderr
    put(programs, "mmdebstrap", "exit 25")
    assert "could not unpack Debian bullseye" in debian_python(programs, "bullseye").stderr
    (programs / "patchelf").unlink()
    assert "apt-get install patchelf" in debian_python(programs, "bullseye").stderr
    assert debian_python(programs).returncode == 2
