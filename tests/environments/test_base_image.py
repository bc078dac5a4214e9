"""The script that makes a base image: what it says where it cannot work."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from recode_eval.resources import resource_dir

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mktemp", "rm", "sed"):
        (folder / name).symlink_to(shutil.which(name) or "")
    return folder


def base_image(programs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(resource_dir("sandbox") / "base-image"), *arguments],
        env={"PATH": str(programs), "TMPDIR": str(programs.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def put(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_docker_it_names_the_package(programs: Path) -> None:
    done = base_image(programs)
    assert done.returncode == 1
    assert "apt-get install docker.io" in done.stderr


def test_without_mmdebstrap_it_names_the_package(programs: Path) -> None:
    put(programs, "docker", "exit 0")
    done = base_image(programs)
    assert done.returncode == 1
    assert "apt-get install mmdebstrap" in done.stderr


def test_without_a_daemon_it_says_so(programs: Path) -> None:
    put(programs, "docker", "exit 1")
    put(programs, "mmdebstrap", "exit 0")
    done = base_image(programs)
    assert done.returncode == 1
    assert "no answer from the Docker daemon" in done.stderr


def test_a_failed_download_imports_nothing_and_leaves_nothing(programs: Path) -> None:
    """With a pipe, half an archive would have become an image."""
    put(programs, "docker", f'[ "$1" = import ] && : >{programs.parent}/imported; exit 0')
    put(programs, "mmdebstrap", "echo 'E: no network' >&2; exit 25")
    done = base_image(programs, "mine:1")
    assert done.returncode == 1
    assert "E: no network" in done.stderr
    assert {path.name for path in programs.parent.iterdir()} == {"bin"}


def test_it_imports_the_archive_under_the_asked_tag(programs: Path) -> None:
    put(programs, "docker", f'[ "$1" = import ] && echo "$@" >{programs.parent}/imported; exit 0')
    put(programs, "mmdebstrap", "exit 0")
    done = base_image(programs, "mine:1")
    assert done.stdout == "mine:1\n"
    assert (programs.parent / "imported").read_text().endswith("/base.tar mine:1\n")
