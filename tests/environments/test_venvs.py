"""Virtual environments for the tiers without Docker: complete or not there at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_wheels import make_wheel

from recode_eval import cli
from recode_eval.errors import ExitCode
from recode_eval.sandbox import environments
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.environments import (
    Environment,
    ensure_venv,
    environment_disk_use,
    get_environment,
    prune,
)
from recode_eval.sandbox.interpreters import find_interpreter
from recode_eval.sandbox.requirements import Pin
from recode_eval.sandbox.venvs import MANIFEST, VenvInfo

pytestmark = pytest.mark.slow


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a folder of wheels that is all that may be used."""
    links = tmp_path / "links"
    links.mkdir()
    make_wheel(links, "alpha", "1.0")
    make_wheel(links, "beta", "2.0+cpu")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return tmp_path / "cache" / "recode-eval"


def test_a_python_of_debians_is_found(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `sandbox/debian-python` makes is used without being named."""
    made = cache / "pythons" / "3.4" / "bin" / "python3.4"
    made.parent.mkdir(parents=True)
    facts = json.dumps(["3.4.9 (a build)", "3.4.9", str(made.parents[1]), str(made)])
    made.write_text(f"#!/bin/sh\necho '{facts}'\n")
    made.chmod(0o755)
    find_interpreter.cache_clear()
    found = find_interpreter((3, 4))
    find_interpreter.cache_clear()
    assert (found.path, found.version) == (made.resolve(), "3.4.9")


def tiny(*imports: str, key: str = "0" * 64) -> Environment:
    pins = (Pin("alpha", "1.0"), Pin("beta", "2.0+cpu"))
    check = "".join(f"import {name}\n" for name in imports or ("alpha", "beta"))
    return Environment("tiny", Path("tiny.txt"), key, pins, check)


def run(info: VenvInfo, code: str) -> str:
    done = subprocess.run(
        [str(info.python), "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_libraries_can_be_imported_and_nothing_else(cache: Path) -> None:
    messages: list[str] = []
    info = ensure_venv(tiny(), log=messages.append)
    assert run(info, "import alpha, beta; print(alpha.VERSION, beta.VERSION)") == "1.0 2.0+cpu"
    assert info.libraries == {"alpha": "1.0", "beta": "2.0+cpu"}
    assert info.version == run(info, "import platform; print(platform.python_version())")
    assert str(info.base_prefix) == run(info, "import sys; print(sys.base_prefix)")
    found = run(
        info, "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('docker'))"
    )
    assert found == "None None"
    assert cache in info.root.parents
    assert "installing the 2 libraries" in messages[0]


def test_the_second_call_builds_nothing(cache: Path) -> None:
    first = ensure_venv(tiny())
    messages: list[str] = []
    started = time.monotonic()
    assert ensure_venv(tiny(), log=messages.append) == first
    assert time.monotonic() - started < 10
    assert messages == []
    assert len(list((cache / "logs").iterdir())) == 1


def test_other_pins_make_another_environment(cache: Path) -> None:
    assert ensure_venv(tiny()).root != ensure_venv(tiny(key="1" * 64)).root
    assert len(list((cache / "venvs").iterdir())) == 2


@pytest.mark.usefixtures("cache")
def test_everything_is_compiled_under_the_final_paths() -> None:
    """Sandboxed processes cannot write .pyc files; and the build folder's name must not leak."""
    info = ensure_venv(tiny())
    sources = {path.stem for path in info.root.rglob("*.py")}
    assert sources == {path.name.split(".")[0] for path in info.root.rglob("*.pyc")}
    for path in info.root.rglob("*"):
        if path.is_file():
            assert b"building-" not in path.read_bytes(), path


@pytest.mark.usefixtures("cache")
def test_other_users_can_read_it_whatever_the_umask_is() -> None:
    """The sandbox reads the libraries under another uid; a strict umask made that impossible."""
    old = os.umask(0o077)
    try:
        info = ensure_venv(tiny())
    finally:
        os.umask(old)
    for path in [info.root, *info.root.rglob("*")]:
        if not path.is_symlink():
            wanted = 0o555 if path.is_dir() else 0o444
            assert path.stat().st_mode & wanted == wanted, path


def test_a_library_that_cannot_be_imported_fails_the_build(cache: Path) -> None:
    with pytest.raises(SandboxBuildError, match=r"No module named 'gamma'.*log: "):
        ensure_venv(tiny("alpha", "gamma"))
    assert list((cache / "venvs").iterdir()) == []


def test_a_missing_wheel_fails_the_build(cache: Path) -> None:
    (cache.parent.parent / "links" / "alpha-1.0-py3-none-any.whl").unlink()
    with pytest.raises(SandboxBuildError, match="No matching distribution found for alpha"):
        ensure_venv(tiny())
    assert list((cache / "venvs").iterdir()) == []


BUILD = """
import sys
sys.path.insert(0, sys.argv[1])
from test_venvs import tiny
from recode_eval.sandbox.environments import ensure_venv
print(ensure_venv(tiny()).root)
"""


def builder() -> subprocess.Popen[str]:
    here = str(Path(__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, here],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_processes_that_start_together_build_once(cache: Path) -> None:
    processes = [builder() for _ in range(3)]
    roots = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(roots) == 1
    assert len(list((cache / "logs").iterdir())) == 1


def test_a_killed_build_is_done_again_and_its_leftovers_are_pruned(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = builder()
    deadline = time.monotonic() + 60
    while not list(cache.glob("venvs/building-*/venv/bin/python")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (leftover,) = cache.glob("venvs/building-*")

    info = ensure_venv(tiny())
    assert run(info, "import alpha; print(alpha.VERSION)") == "1.0"

    monkeypatch.setattr(environments, "_image_uses", list)
    assert str(leftover) not in {use.name for use in environment_disk_use()}  # may still be built
    os.utime(leftover, (time.time() - 48 * 3600,) * 2)
    assert ("leftover", str(leftover)) in {(use.kind, use.name) for use in prune()}
    assert not leftover.exists()


def test_prune_removes_what_no_environment_asks_for_any_more(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environments, "_image_uses", list)
    current, outdated = ensure_venv(tiny()), ensure_venv(tiny(key="1" * 64))
    monkeypatch.setattr(environments, "environment_names", lambda: ("tiny",))
    monkeypatch.setattr(environments, "get_environment", lambda _name: tiny())
    uses = {use.name: use for use in environment_disk_use()}
    assert uses[str(current.root)].current
    assert uses[str(current.root)].size_bytes > 4096
    assert cli.run(["sandbox", "prune", "--dry-run", "--json"]) == ExitCode.OK
    assert [use["name"] for use in json.loads(capsys.readouterr().out)] == [str(outdated.root)]
    assert outdated.root.exists()
    assert [use.name for use in prune()] == [str(outdated.root)]
    assert current.root.exists()
    assert [use.name for use in prune(everything=True)] == [str(current.root)]
    assert list((cache / "venvs").iterdir()) == []


def test_an_unfinished_environment_does_not_count(cache: Path) -> None:
    info = ensure_venv(tiny())
    (info.root / MANIFEST).unlink()
    (info.root / "lib").rename(info.root / "torn")
    assert ensure_venv(tiny()) == info
    assert run(info, "import alpha; print(alpha.VERSION)") == "1.0"
    assert cache in info.root.parents


@pytest.mark.slow
def test_the_real_environment_of_the_bundled_tasks() -> None:
    """In the user's own cache: made once, then reused by every run of the tests."""
    environment = get_environment("mini")
    info = ensure_venv(environment)
    code = "import numpy, pandas, sympy\nfor m in numpy, pandas, sympy: print(m.__version__)"
    wanted = [info.libraries[name] for name in ("numpy", "pandas", "sympy")]
    assert run(info, code).split() == wanted
