"""`make` on machines that lack something: one clear message, no half-made environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

TOO_OLD = """#!/bin/sh
case "$*" in
    *--version*) echo "Python 3.9.2" ;;
    *) exit 1 ;;
esac
"""
WITHOUT_ENSUREPIP = """#!/bin/sh
case "$*" in
    *ensurepip*) exit 1 ;;
    *print*) echo python3.11 ;;
esac
"""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the Makefile and a PATH with nothing but the basic programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "make", "awk", "rm", "touch", "echo", "env"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {n: v for n, v in os.environ.items() if n not in {"MAKEFLAGS", "MAKELEVEL", "PYTHON"}}
    return subprocess.run(
        [str(folder / "bin" / "make"), *arguments],
        cwd=folder,
        env=kept | {"PATH": str(folder / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )


def put(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.write_text(script)
    path.chmod(0o755)


def test_make_alone_lists_what_it_can_do(bare: Path) -> None:
    done = make(bare)
    assert done.returncode == 0
    assert {"demo", "test", "lint", "clean", "help"} <= {
        line.split()[1] for line in done.stdout.splitlines()
    }


def test_without_any_python_it_says_which_one_to_install(bare: Path) -> None:
    done = make(bare, "demo")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not (bare / ".venv").exists()


def test_a_python_that_is_too_old_is_named(bare: Path) -> None:
    put(bare, "python3", TOO_OLD)
    done = make(bare, "test")
    assert done.returncode != 0
    assert "found: Python 3.9.2" in done.stderr
    assert not (bare / ".venv").exists()


def test_a_newer_python_beside_an_old_python3_is_found(bare: Path) -> None:
    put(bare, "python3", TOO_OLD)
    put(bare, "python3.12", WITHOUT_ENSUREPIP)
    done = make(bare, "venv")
    assert "python3.12 cannot make virtual environments" in done.stderr


def test_without_ensurepip_it_names_the_package(bare: Path) -> None:
    """Debian splits the venv module's helper off; its own message is long and comes too late."""
    put(bare, "python3", WITHOUT_ENSUREPIP)
    done = make(bare, "demo")
    assert done.returncode != 0
    assert "apt-get install python3.11-venv" in done.stderr
    assert not (bare / ".venv").exists()


def test_uv_makes_the_environment_where_ensurepip_is_missing(bare: Path) -> None:
    put(bare, "python3", WITHOUT_ENSUREPIP)
    put(bare, "uv", '#!/bin/sh\necho "uv $*" >&2\nexit 7\n')
    assert "uv venv --quiet --seed --python python3 .venv" in make(bare, "venv").stderr


def test_clean_keeps_the_results_of_runs(bare: Path) -> None:
    (bare / "bin" / "find").symlink_to(shutil.which("find") or "")
    for name in (".venv/lib", "runs/one", "build", "package/__pycache__"):
        (bare / name).mkdir(parents=True)
    assert make(bare, "clean").returncode == 0
    assert (bare / "runs" / "one").is_dir()
    assert not any((bare / name).exists() for name in (".venv", "build", "package/__pycache__"))
