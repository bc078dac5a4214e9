"""Locks of single releases: resolved from wheels, complete, and found by their name."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from tiny_wheels import make_wheel

from recode_eval import cli
from recode_eval.errors import ExitCode, StorageError, UsageError
from recode_eval.sandbox import locks
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.environments import get_environment, prune
from recode_eval.sandbox.interpreters import can_be_had
from recode_eval.sandbox.locks import (
    NoSuchReleaseError,
    ensure_release,
    is_requirement,
    lock_release,
)
from recode_eval.sandbox.requirements import RELEASE_PYTHON, is_release
from recode_eval.sandbox.venvs import ensure_venv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all that may be used, and a cache of its own.

    And no Docker: pruning removed the images of whoever ran the tests.
    """
    links = tmp_path / "links"
    links.mkdir()
    make_wheel(links, "alpha", "1.0", requires="beta>=1")
    make_wheel(links, "beta", "1.5")
    make_wheel(links, "beta", "2.0")
    make_wheel(links, "gamma", "1.0", requires="delta")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    return links


def pins(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_the_lock_holds_everything_and_is_found() -> None:
    path = lock_release("alpha==1.0")
    assert pins(path) == ["alpha==1.0", "beta==2.0"]
    assert is_release("alpha-1.0")
    assert [pin.requirement for pin in get_environment("alpha-1.0").pins] == pins(path)


def test_requirements_narrow_it(tmp_path: Path) -> None:
    path = lock_release("alpha==1.0", ["beta<2"], folder=tmp_path / "here", name="alpha-old")
    assert path == tmp_path / "here" / "alpha-old.txt"
    assert pins(path) == ["alpha==1.0", "beta==1.5"]
    assert [child.name for child in path.parent.iterdir()] == ["alpha-old.txt"]


def test_a_lock_names_its_python() -> None:
    """All locks were for one Python; programs of another failed for want of wheels."""
    path = lock_release("alpha==1.0", python=(3, 9))
    assert path.name == "alpha-1.0-py3.9.txt"
    assert "# python: 3.9" in path.read_text(encoding="utf-8").splitlines()
    environment = get_environment("alpha-1.0-py3.9")
    assert environment.python == (3, 9)
    assert "distribution('alpha')" in environment.check
    lock_release("alpha==1.0")
    usual = get_environment("alpha-1.0")
    assert usual.python == RELEASE_PYTHON
    assert usual.pins == environment.pins
    assert usual.key != environment.key


@pytest.mark.slow
def test_a_release_on_python_37_is_checked() -> None:
    """The check asked `importlib.metadata`, which is younger: nothing could be built for 3.7."""
    if not can_be_had((3, 7), fetch=False):
        pytest.skip("no Python 3.7 here")
    lock_release("alpha==1.0", python=(3, 7))
    assert ensure_venv(get_environment("alpha-1.0-py3.7")).version.startswith("3.7.")


@pytest.mark.parametrize("library", ["alpha", "Broken_Name"])
def test_the_check_imports_the_release_without_metadata_as_well(
    index: Path, tmp_path: Path, library: str
) -> None:
    """As on 3.7, whose standard library does not know what is installed."""
    name = library.lower()
    make_wheel(index, name, "3.0", source="raise RuntimeError('imported')")
    lock_release(f"{library}==3.0")
    check = get_environment(f"{name.replace('_', '-')}-3.0").check
    with zipfile.ZipFile(index / f"{name}-3.0-py3-none-any.whl") as wheel:
        wheel.extractall(tmp_path / "site")
    hidden = "import sys; sys.modules['importlib.metadata'] = None\n"
    for start in ("", hidden):
        done = subprocess.run(
            [sys.executable, "-c", start + check],
            env={"PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "RuntimeError: imported" in done.stderr, done.stderr


def test_the_wheels_must_be_for_that_python(index: Path) -> None:
    make_wheel(index, "zeta", "1.0", tag="cp39-cp39-manylinux1_x86_64")
    assert pins(lock_release("zeta==1.0", python=(3, 9))) == ["zeta==1.0"]
    with pytest.raises(NoSuchReleaseError, match=r"no wheels fit together for Python 3\.11"):
        lock_release("zeta==1.0")


def test_the_command_takes_a_python(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sandbox", "lock", "alpha==1.0", "--json", "--python"]
    assert cli.run([*command, "3.13"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["name"] == "alpha-1.0-py3.13"
    for python in ("3.6", "3.15", "3", "2.7", "3.9.1", "x"):
        assert cli.run([*command, python]) == ExitCode.USAGE
        assert "programs run on Python 3.7 to 3.14" in capsys.readouterr().err


def test_the_release_is_built_shown_and_pruned() -> None:
    lock_release("alpha==1.0")
    info = ensure_venv(get_environment("alpha-1.0"))
    assert info.libraries == {"alpha": "1.0", "beta": "2.0"}
    assert not [use for use in prune() if use.kind == "venv"]
    [removed] = [use for use in prune(releases=True) if use.kind == "venv"]
    assert removed.release
    assert not info.root.exists()


@pytest.mark.parametrize("release", ["alpha==7", "nothing==1.0", "gamma==1.0"])
def test_what_has_no_wheels_is_told_apart_from_trouble(release: str) -> None:
    """The first can never work and is skipped by a loader; the second is worth another try."""
    with pytest.raises(NoSuchReleaseError, match="no wheels fit together"):
        lock_release(release)


@pytest.mark.slow
def test_an_index_that_cannot_be_reached_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(SandboxBuildError) as caught:
        lock_release("epsilon==1.0")
    assert not isinstance(caught.value, NoSuchReleaseError)


@pytest.mark.parametrize("release", ["alpha", "alpha>=1", "--index-url==1", "../x==1", "a==1 b==2"])
def test_only_one_release_can_be_locked(release: str) -> None:
    with pytest.raises(UsageError, match="LIBRARY==VERSION"):
        lock_release(release)


@pytest.mark.parametrize(
    "requirement",
    ["--index-url=http://x", "-r file", "./x", "a @ file:///x", "", "a b", "a=1", "a<", "a\n-r x"],
)
def test_requirements_are_no_options_files_or_addresses(requirement: str) -> None:
    """Rows of data files name them, too."""
    with pytest.raises(UsageError, match="is not a requirement"):
        lock_release("alpha==1.0", [requirement])


@pytest.mark.parametrize(
    "requirement", ["a", "a<2", "a == 1.0.*", "a>=1.21, <2", "a[b,c]~=1.0", "a===1!2+x"]
)
def test_requirements_by_name_and_versions(requirement: str) -> None:
    assert is_requirement(requirement)


@pytest.mark.parametrize("day", ["yesterday", "20230531", "2023-13-01", "--index-url=x", ""])
def test_a_day_is_a_day(day: str) -> None:
    """The message spoke of the network, and of a setting that does not help."""
    with pytest.raises(UsageError, match="write a day"):
        lock_release("alpha==1.0", exclude_newer=day)


@pytest.mark.parametrize(("itself", "first"), [(0, 0), (0, 1), (1, 1), (0, 2), (2, 2), (1, 3)])
def test_what_is_open_is_resolved_as_when_the_release_appeared(
    monkeypatch: pytest.MonkeyPatch, itself: int, first: int
) -> None:
    """Torch 1.13, without a word of numpy, met numpy 2: "Numpy is not available"."""
    days = [f"2023-0{month}-01" for month in (1, 4, 7)] + ["2024-01-01"]
    inner, asked = locks._compile, []

    def compiled(
        requirements: Sequence[str],
        exclude_newer: str | None,
        python: tuple[int, int],
        links: Sequence[Path] = (),
        *,
        dependencies: bool = True,
    ) -> str:
        if dependencies:
            asked.append(str(exclude_newer))
        if str(exclude_newer) < days[first if dependencies else itself]:
            raise NoSuchReleaseError("not yet")
        # The folder of wheels tells no days: what comes later is left out by hand.
        return inner([*requirements, "beta<2"], None, python)

    monkeypatch.setattr(locks, "_compile", compiled)
    ensure_release("alpha==1.0", [], name="alpha-1.0-x", days=days)
    assert asked[-1] == days[first]
    assert len(asked) <= 4
    assert get_environment("alpha-1.0-x").pins[1].version == "1.5"


def test_what_never_had_wheels_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoSuchReleaseError):
        ensure_release("epsilon==1.0", [], name="epsilon-1.0-x", days=["2023-01-01", "2024-01-01"])
    monkeypatch.setattr(locks, "_compile", None)
    with pytest.raises(NoSuchReleaseError):
        ensure_release("epsilon==1.0", [], name="epsilon-1.0-x", days=["2023-01-01"])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """It was reported as a bug of the program, with a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Cannot write .*file/alpha-1\.0\.txt"):
        lock_release("alpha==1.0", folder=tmp_path / "file")


def test_a_network_that_is_switched_off_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is "no solution", which was remembered for a week as "there are no wheels"."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(SandboxBuildError) as caught:
        lock_release("epsilon==1.0")
    assert not isinstance(caught.value, NoSuchReleaseError)


def test_what_is_being_removed_does_not_look_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it pruned, it left a venv without libraries that counted as finished."""
    lock_release("alpha==1.0")
    root = ensure_venv(get_environment("alpha-1.0")).root
    monkeypatch.setattr("recode_eval.sandbox.environments.shutil.rmtree", lambda *_, **__: None)
    prune(releases=True)
    monkeypatch.undo()
    assert root.is_dir()
    assert not (root / "recode-eval.json").exists()
