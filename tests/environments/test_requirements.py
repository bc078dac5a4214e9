"""The files of pins: exact, complete, and their hash decides what is rebuilt."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import DataError, UsageError
from recode_eval.sandbox import requirements
from recode_eval.sandbox.environments import (
    Environment,
    environment_disk_use,
    environment_names,
    get_environment,
    has_environment,
    release_name,
)
from recode_eval.sandbox.npm_lock import environment_name
from recode_eval.sandbox.requirements import RELEASE_PYTHON, Pin, parse_python, python_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PYTHONS = [(3, 11), (3, 12), (3, 13), (3, 14)]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Environment]:
    """Read an environment `mini` made of the given files instead of the shipped ones."""

    def read_files(text: str, **others: str) -> Environment:
        folder = tmp_path / "requirements"
        folder.mkdir(exist_ok=True)
        for name, content in {"mini": text, **others}.items():
            (folder / f"{name}.txt").write_text(content, encoding="utf-8")
        monkeypatch.setattr(requirements, "resource_dir", lambda _name: tmp_path)
        return get_environment("mini")

    return read_files


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", ["mini", "arena"])
def test_every_environment_pins_the_same_packages_for_every_python(
    name: str, python: tuple[int, int]
) -> None:
    environment = get_environment(name)
    pins = environment.pins_for(python)
    assert {pin.name for pin in pins} == {pin.name for pin in environment.pins}
    imported = re.findall(r"^import (\w+)", environment.check, re.MULTILINE)
    assert set(imported) <= {pin.name for pin in pins}


def releases() -> list[str]:
    sets = {"mini", "arena", "rust", "node"}
    return [name for name in environment_names() if name not in sets]


def test_every_lock_of_a_release_pins_that_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # only those of the project
    assert releases()
    for name in releases():
        environment = get_environment(name)
        if (lock := environment.npm) is not None:
            assert name == environment_name(lock.main, lock.packages[lock.main])
            continue
        pins = environment.pins_for(RELEASE_PYTHON)
        assert environment.python == RELEASE_PYTHON
        assert name in {release_name(pin.name, pin.version) for pin in pins}
        assert "metadata.distribution(" in environment.check


def test_a_lock_made_on_this_machine_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not has_environment("alpha-1.0")
    folder = tmp_path / "recode-eval" / "envs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alpha-1.0.txt").write_text("alpha==1.0\nbeta==2\n", encoding="utf-8")
    assert has_environment("alpha-1.0")
    assert "distribution('alpha')" in get_environment("alpha-1.0").check


def test_a_library_set_for_another_python() -> None:
    mini, old = get_environment("mini"), get_environment("mini-py3.9")
    assert has_environment("mini-py3.9")
    assert (old.name, old.python) == ("mini-py3.9", (3, 9))
    assert mini.python is None
    assert old.pins == mini.pins
    assert len({mini.key, old.key, get_environment("mini-py3.10").key}) == 3
    for unknown in ("mini-py2.7", "mini-py3.", "mini-py3.9-py3.9", "pandas-2.2.3-py3.9"):
        assert not has_environment(unknown)


def test_pythons_without_the_usual_versions_have_pins_of_their_own() -> None:
    for python, numpy in {(3, 7): "1.21.6", (3, 8): "1.24.4", (3, 9): "1.26.4"}.items():
        environment = get_environment(f"mini-py{python[0]}.{python[1]}")
        pins = {pin.name: pin.version for pin in environment.pins_for(python)}
        assert environment.python == python
        assert pins["numpy"] == numpy
        assert {"numpy", "pandas", "sympy"} <= pins.keys()
        assert environment.check == get_environment("mini").check
    assert "mini-py3.7" not in environment_names()


@pytest.mark.parametrize("python", requirements.PYTHONS)
def test_the_python_in_a_lock_is_read_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: tuple[int, int]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "recode-eval" / "envs"
    folder.mkdir(parents=True, exist_ok=True)
    header = f"# alpha 1.0 and what it needs.\n{python_header(python)}\n# More.\n"
    (folder / "alpha-1.0.txt").write_text(f"{header}alpha==1.0\n", encoding="utf-8")
    assert get_environment("alpha-1.0").python == python
    # Only the comment at the top is the header.
    (folder / "alpha-1.0.txt").write_text(f"alpha==1.0\n{header}", encoding="utf-8")
    assert get_environment("alpha-1.0").python == RELEASE_PYTHON


@given(st.text(max_size=12))
def test_only_pythons_that_programs_run_on_are_read(text: str) -> None:
    try:
        python = parse_python(text)
    except UsageError:
        return
    assert python in requirements.PYTHONS
    assert python_header(python) == f"# python: {text.strip()}"


def test_a_lock_for_no_such_python_is_an_error_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed for another Python, its libraries would be of versions that nobody resolved."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "recode-eval" / "envs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alpha-1.0.txt").write_text("# python: 2.7\nalpha==1.0\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"alpha-1\.0\.txt: the line '# python: 2\.7': '2"):
        get_environment("alpha-1.0")


@pytest.mark.parametrize("name", ["../mini", "a/b", "", ".", "A", "x\n"])
def test_a_name_is_never_a_path(name: str) -> None:
    """Rows of data files name environments; one must not reach other files."""
    assert not has_environment(name)
    with pytest.raises(UsageError, match="unknown sandbox environment"):
        get_environment(name)


@pytest.mark.parametrize("python", [(3, 11), (3, 12)])
def test_the_benchmarks_own_versions_are_used_where_they_exist(python: tuple[int, int]) -> None:
    versions = {pin.name: pin.version for pin in get_environment("arena").pins_for(python)}
    assert versions["numpy"] == "1.26.4"
    assert versions["pandas"] == "2.2.2"
    assert versions["sympy"] == "1.12"
    assert versions["scipy"] == "1.13.0"
    assert versions["torch"] == "2.13.0+cpu"


def test_arena_holds_all_of_mini() -> None:
    assert set(get_environment("mini").pins) < set(get_environment("arena").pins)


def test_an_unknown_environment_is_named_together_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'nope'.*mini, arena"):
        get_environment("nope")


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy>=1.26",
        "numpy==1.*",
        "numpy==1.26.4 ; sys_platform == 'linux'",
        "numpy==1.26.4 ; python_version <= '3.12'",
        "--extra-index-url https://example.org/simple",
        "git+https://example.org/numpy.git",
        "numpy @ file:///tmp/numpy.whl",
        "-r ../../etc/passwd",
        "numpy==1.26.4 pandas==2.2.2",
    ],
)
def test_anything_but_an_exact_pin_is_an_error_with_its_line(
    read: Callable[..., Environment], line: str
) -> None:
    with pytest.raises(DataError, match=r"mini\.txt:2: not an exact pin"):
        read(f"six==1.17.0\n{line}\n")


def test_two_pins_for_one_python_are_an_error_of_that_python_only(
    read: Callable[..., Environment],
) -> None:
    environment = read('a_b==1\nA-b==2 ; python_version >= "3.13"\n')
    assert [pin.version for pin in environment.pins_for((3, 12))] == ["1"]
    with pytest.raises(DataError, match=r"pinned twice for Python 3\.13"):
        environment.pins_for((3, 13))


def test_files_that_include_each_other_are_an_error(read: Callable[..., Environment]) -> None:
    with pytest.raises(DataError, match="includes itself"):
        read("-r other.txt\n", other="-r mini.txt\n")


def test_a_missing_included_file_is_an_error(read: Callable[..., Environment]) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read("-r gone.txt\n")


def test_the_key_follows_the_pins_and_nothing_else(read: Callable[..., Environment]) -> None:
    key = read("a==1\nb==2\n").key
    assert read("# said differently\n\na==1   # here\nb==2").key == key
    assert read("-r other.txt\nb==2", other="a==1").key == key
    assert read("a==1\nb==3\n").key != key
    assert read('a==1\nb==2 ; python_version < "3.13"\n').key != key


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(\.post[0-9]|\+cpu|rc1)?", fullmatch=True)
pins = st.builds(Pin, names, versions) | st.builds(
    Pin, names, versions, st.sampled_from(["<", ">="]), st.sampled_from(PYTHONS)
)


@given(pin=pins)
def test_a_pin_that_is_written_reads_back_as_itself(
    pin: Pin, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("pins") / "one.txt"
    path.write_text(f"{pin}\n", encoding="utf-8")
    assert requirements._read(path, ()) == (pin,)


@given(pin=pins)
def test_a_marker_splits_the_pythons_at_one_point(pin: Pin) -> None:
    applies = [pin.applies(python) for python in PYTHONS]
    assert len(list(itertools.groupby(applies))) <= 2
    assert all(applies) or pin.operator != ""


def test_a_name_longer_than_a_file_name_is_unknown() -> None:
    """A row with a long library name ended in a traceback: no file can have that name."""
    assert not has_environment("a" * 300)


@pytest.mark.parametrize(
    ("version", "name"), [("1.0RC1", "x-1.0rc1"), ("2.1.0+cpu", "x-2.1.0-cpu")]
)
def test_a_lock_is_found_whatever_its_version_is_spelt_with(
    version: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a lock was written, then unknown, and `sandbox list` and `prune` stopped at it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert release_name("X", version) == name
    folder = tmp_path / "recode-eval" / "envs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(f"x=={version}\n", encoding="utf-8")
    (folder / "X-1.0+old.txt").write_text("x==1.0\n", encoding="utf-8")
    assert name in environment_names()
    assert {has_environment(known) for known in environment_names()} == {True}
    assert "distribution('x')" in get_environment(name).check


def test_a_damaged_lock_does_not_keep_disk_use_from_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad file in the cache made `sandbox list` and `sandbox prune` fail."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    folder = tmp_path / "recode-eval" / "envs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x-1.0.txt").write_text("x>=1\n", encoding="utf-8")
    assert environment_disk_use() == []
