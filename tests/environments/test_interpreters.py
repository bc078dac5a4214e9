"""Where a Python of a version is looked for, and what is said where there is none."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox import interpreters
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.interpreters import can_be_had, find_interpreter, interpreter_variable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# No such Python was ever released: none of this machine's can be found in its place.
PYTHON = (3, 4)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without Pythons: an empty PATH, cache and pyenv, no uv."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv(interpreter_variable(PYTHON), raising=False)
    monkeypatch.setattr(interpreters, "find_uv", lambda: None)
    find_interpreter.cache_clear()
    can_be_had.cache_clear()
    yield tmp_path
    find_interpreter.cache_clear()
    can_be_had.cache_clear()


def put_python(path: Path, version: str) -> str:
    """Make a program that answers as a Python of this version does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = json.dumps([f"{version} (a build)", version, str(path.parents[1]), str(path)])
    path.write_text(f"#!/bin/sh\necho '{facts}'\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_the_newest_of_pyenv_is_found(machine: Path) -> None:
    for release in ("3.4.2", "3.4.10", "3.4.9", "3.4-dev"):
        put_python(machine / "pyenv" / "versions" / release / "bin" / "python3.4", "3.4.10")
    found = find_interpreter(PYTHON)
    assert found.path == machine / "pyenv" / "versions" / "3.4.10" / "bin" / "python3.4"


def test_a_shim_of_pyenv_does_not_hide_the_python(machine: Path) -> None:
    """Of a version that is installed, but not chosen, pyenv's own script says "not found"."""
    shim = machine / "bin" / "python3.4"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.4: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    put_python(machine / "pyenv" / "versions" / "3.4.9" / "bin" / "python3.4", "3.4.9")
    assert find_interpreter(PYTHON).version == "3.4.9"


def test_the_path_comes_before_what_was_made_here(machine: Path) -> None:
    made = put_python(
        machine / "cache" / "recode-eval" / "pythons" / "3.4" / "bin" / "python3.4", "3.4.1"
    )
    assert str(find_interpreter(PYTHON).path) == made
    find_interpreter.cache_clear()
    in_path = put_python(machine / "bin" / "python3.4", "3.4.2")
    assert str(find_interpreter(PYTHON).path) == in_path


def test_the_variable_decides(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_python(machine / "bin" / "python3.4", "3.4.2")
    named = put_python(machine / "mine" / "bin" / "python", "3.4.3")
    monkeypatch.setenv("RECODE_EVAL_PYTHON3_4", named)
    assert str(find_interpreter(PYTHON).path) == named


@pytest.mark.parametrize("named", ["/no/such/python", sys.executable])
def test_a_variable_that_names_another_python_is_no_hint(
    named: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To use some other Python silently would grade answers on one that nobody chose."""
    put_python(machine / "bin" / "python3.4", "3.4.2")
    monkeypatch.setenv("RECODE_EVAL_PYTHON3_4", named)
    with pytest.raises(SandboxBuildError, match=r"RECODE_EVAL_PYTHON3_4 names .*correct or unset"):
        find_interpreter(PYTHON)
    assert not can_be_had(PYTHON)


def test_where_there_is_none_the_ways_out_are_named() -> None:
    with pytest.raises(SandboxBuildError) as caught:
        find_interpreter(PYTHON)
    for way in ("uv python install 3.4", "sandbox/debian-python", "RECODE_EVAL_PYTHON3_4"):
        assert way in str(caught.value)
    assert not can_be_had(PYTHON)


def test_only_who_asks_has_one_fetched(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = machine / "bin" / "uv"
    python = machine / "fetched" / "bin" / "python3.4"
    uv.write_text(
        f'#!/bin/sh\ncase "$*" in *install*) touch {machine}/asked ;; esac\n'
        f"[ -e {machine}/asked ] && echo {put_python(python, '3.4.8')}\n"
    )
    uv.chmod(0o755)
    monkeypatch.setattr(interpreters, "find_uv", lambda: str(uv))
    assert not can_be_had(PYTHON, fetch=False)
    assert not (machine / "asked").exists()
    assert can_be_had(PYTHON)
    assert find_interpreter(PYTHON).version == "3.4.8"


def test_a_download_that_fails_is_not_tried_at_once_again(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network every run waited for it anew, most of a minute per Python."""
    uv = machine / "bin" / "uv"
    uv.write_text(f'#!/bin/sh\ncase "$*" in *install*) echo x >>{machine}/asked ;; esac\nexit 1\n')
    uv.chmod(0o755)
    monkeypatch.setattr(interpreters, "find_uv", lambda: str(uv))
    for _ in range(2):
        assert not can_be_had(PYTHON)
        can_be_had.cache_clear()
    assert (machine / "asked").read_text() == "x\n"
    with pytest.raises(SandboxBuildError):  # who needs it now tries
        find_interpreter(PYTHON)
    assert (machine / "asked").read_text() == "x\nx\n"
