"""Fixtures: a sandbox of every tier that works on this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox import bubblewrap, docker, landlock, open_sandbox
from recode_eval.sandbox.base import SandboxBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recode_eval.sandbox import Sandbox

_MODULES = {"docker": docker, "bubblewrap": bubblewrap, "landlock": landlock}
_DOCKER_REQUIRED = os.environ.get("RECODE_EVAL_REQUIRE_DOCKER") == "1"
OLD_PYTHON = "mini-py3.9"
"""The usual libraries for programs on Python 3.9, which the supervisor cannot run on. Made by
`DEBIAN_SUITE=bullseye sandbox/base-image recode-eval-base:bullseye` for docker, and by
`sandbox/debian-python bullseye` for the other tiers."""
NEW_PYTHON = "mini-py3.13"
"""The same for Python 3.13, of Debian trixie, which brings its own C library."""
OTHER_PYTHONS = ("mini-py3.7", "mini-py3.8", "mini-py3.10", "mini-py3.12", "mini-py3.14")
"""For those that happen to be there: pyenv's, uv's, or (3.14) that of Debian forky."""
_OLD_PYTHON_REQUIRED = os.environ.get("RECODE_EVAL_REQUIRE_OLD_PYTHON") == "1"


def open_or_skip(tier: str, **options: object) -> Sandbox:
    """Open a sandbox of a tier; skip the test, with the reason, where the tier cannot work."""
    reason = _MODULES[tier].reason_against()
    required = tier == "docker" and _DOCKER_REQUIRED
    if reason and not required:
        pytest.skip(f"{tier}: {reason}")
    environment = options.get("environment")
    if environment in OTHER_PYTHONS:
        required = False
    elif environment in {OLD_PYTHON, NEW_PYTHON}:
        required = _OLD_PYTHON_REQUIRED
    elif environment == "node":
        required = required or _DOCKER_REQUIRED
    try:
        return open_sandbox(tier, **options)
    except SandboxBuildError as error:
        if required:
            raise
        pytest.skip(f"{tier}: {error}")


@pytest.fixture
def opener() -> Callable[..., Sandbox]:
    return open_or_skip


@pytest.fixture(
    scope="module",
    params=[pytest.param("docker", marks=pytest.mark.docker), "bubblewrap", "landlock"],
)
def tier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def sandbox(tier: str) -> Iterator[Sandbox]:
    """One worker of each tier, shared by the tests: what one leaves behind, the next would see."""
    with open_or_skip(tier, workers=1) as opened:
        yield opened


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """An empty folder for temporary files that programs under other user ids can get to."""
    folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
