"""What lies in the folders of a Python and is not its standard library stays out of sight."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import open_or_skip

import recode_eval
from recode_eval.sandbox import Limits, Program, Test, bubblewrap, hidden, landlock
from recode_eval.sandbox.local import supervisor_folder
from recode_eval.sandbox.pool import Pool
from recode_eval.sandbox.runtimes import PythonRuntime
from recode_eval.sandbox.venvs import VenvInfo

sys.path.insert(0, str(supervisor_folder()))
from recode_program import linux
from recode_supervisor import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = Limits(cpu_s=10, wall_s=40)
READ = """
def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ''
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of this Python with a marker among its packages, and a venv made from it.

    Under /var/tmp: bubblewrap hides /tmp, and whoever runs programs must be able to read it.
    """
    del tmp_path_factory
    root = Path(f"/var/tmp/recode-hidden-{os.getpid()}")
    source = Path(sys.base_prefix)
    if source.is_relative_to("/usr"):
        pytest.skip("the Python of the system cannot be copied by its folder")
    root.mkdir(mode=0o755)
    try:
        library = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"
        leave_out = shutil.ignore_patterns("test", "site-packages", "idlelib", "*.a", "config-*")
        shutil.copytree(source / library, root / "base" / library, ignore=leave_out)
        for file in (source / "lib").glob("*.so*"):
            shutil.copy2(file, root / "base" / "lib" / file.name)
        (root / "base" / "bin").mkdir()
        name = Path(os.path.realpath(sys.executable)).name
        shutil.copy2(source / "bin" / name, root / "base" / "bin" / name)
        packages = root / "base" / library / "site-packages"
        (packages / "recode_eval").mkdir(parents=True)
        (packages / "recode_eval" / "tasks.txt").write_text("the hidden tests")
        (packages / "marker.py").write_text("HIDDEN = 1")
        (packages / "marker.py").chmod(0o644)
        venv = [
            str(root / "base" / "bin" / name),
            "-m",
            "venv",
            "--without-pip",
            str(root / "venv"),
        ]
        environment = {**os.environ, "LD_LIBRARY_PATH": str(root / "base" / "lib")}
        subprocess.run(venv, check=True, capture_output=True, env=environment)
        (root / "venv" / library / "site-packages" / "needed.py").write_text("VALUE = 6")
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def launcher(tier: str, base: Path) -> bubblewrap.BubblewrapLauncher | landlock.LandlockLauncher:
    python = base / "venv" / "bin" / "python"
    version = ".".join(map(str, sys.version_info[:3]))
    if tier == "landlock":
        return landlock.LandlockLauncher([PythonRuntime(str(python), version)])
    venv = VenvInfo(base / "venv", python, version, {}, base / "base")
    return bubblewrap.BubblewrapLauncher(venv)


@pytest.mark.parametrize("tier", ["bubblewrap", "landlock"])
def test_packages_of_the_base_python_cannot_be_read(tier: str, base: Path) -> None:
    """`sys.base_prefix` was shown whole: with recode-eval in it, its hidden tests as well."""
    module = {"bubblewrap": bubblewrap, "landlock": landlock}[tier]
    if reason := module.reason_against():
        pytest.skip(f"{tier}: {reason}")
    packages = base / "base" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    tests = (
        Test("base", f"import sys\nassert sys.base_prefix == {str(base / 'base')!r}"),
        Test("module", f"assert not read({str(packages / 'marker.py')!r})"),
        Test("tasks", f"assert not read({str(packages / 'recode_eval/tasks.txt')!r})"),
        Test("needed", "import needed\nassert needed.VALUE == 6"),
        Test("library", "import sqlite3, decimal, xml.dom.minidom, asyncio, zoneinfo"),
        Test(
            "child",
            "import subprocess, sys\ncode = 'import needed, wave, sys; print(needed.VALUE)'\n"
            "done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
            "assert done.stdout == '6\\n', done",
        ),
        Test(
            "import",
            f"import sys\nsys.path.append({str(packages)!r})\ntry:\n    import marker\n"
            "except (ImportError, OSError):\n    marker = None\nassert marker is None",
        ),
    )
    with Pool(launcher(tier, base), workers=1, isolation="program") as pool:
        result = pool.submit(Program(READ, "", tests), LIMITS).result(120)
    assert [(v.name, v.detail) for v in result.verdicts if v.detail] == []
    assert result.passed


def test_no_tier_shows_this_package_or_its_tasks(tier: str) -> None:
    """Wherever it is installed: in a checkout, in a venv, in the base Python."""
    own = Path(recode_eval.__file__).parent
    seen = [str(own / "__init__.py"), str(own.parent / "pyproject.toml")]
    test = f"found = [path for path in {seen!r} if read(path)]\nassert not found, found"
    missing = "import importlib\ntry:\n    importlib.import_module('recode_eval')\n"
    missing += "except (ImportError, OSError):\n    pass\nelse:\n    raise SystemExit"
    with open_or_skip(tier, workers=1) as sandbox:
        program = Program(READ, "", (Test("files", test), Test("import", missing)))
        result = sandbox.submit(program, LIMITS).result(120)
    assert result.passed, result


@pytest.mark.skipif(os.getuid() != 0, reason="only root may put a file among the system's packages")
def test_packages_of_the_system_cannot_be_read(tier: str) -> None:
    """They are below /usr, which programs need for its libraries."""
    library = Path("/usr/local/lib/python3.11")
    folders = [library / "site-packages", library / "dist-packages"]
    above = [one for one in (*folders, *library.parents, library) if not one.exists()]
    markers = [folder / f"recode_marker_{os.getpid()}.py" for folder in folders]
    try:
        for marker in markers:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.write_text("HIDDEN = 1")
            marker.chmod(0o644)
        with open_or_skip(tier, workers=1) as sandbox:
            test = f"found = [path for path in {[*map(str, markers)]!r} if read(path)]"
            program = Program(READ, "", (Test("t", f"{test}\nassert not found, found"),))
            assert sandbox.submit(program, LIMITS).result(120).passed
    finally:
        for marker in markers:
            marker.unlink(missing_ok=True)
        for one in sorted(above, key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError):
                one.rmdir()


def test_rules_leave_out_what_is_hidden_and_nothing_else(tmp_path: Path) -> None:
    """Landlock can allow, but not exclude: a folder is replaced by what it holds."""
    root = tmp_path.resolve()
    for name in ("lib/python3.11/site-packages/secret", "lib/python3.11/json", "lib/a", "bin"):
        (root / name).mkdir(parents=True)
    library = root / "lib" / "python3.11"
    (library / "os.py").write_text("")
    (library / "link.py").symlink_to("/etc/passwd")
    (root / "lib" / "libx.so").write_text("")
    found = visible.hidden_below([str(root)], hidden.PACKAGE_FOLDERS, ["/nowhere"])
    assert found == {str(library / "site-packages"), "/nowhere"}
    look = linux.READ | linux.EXECUTE
    assert visible.rules([str(root)], found) == {
        str(root / "bin"): look,
        str(root / "lib" / "a"): look,
        str(root / "lib" / "libx.so"): look,
        str(library): linux.READ_FOLDER,
        str(library / "json"): look,
        str(library / "os.py"): look,
    }
    environment = str(library / "site-packages")
    needed = visible.hidden_below([str(root), environment], hidden.PACKAGE_FOLDERS, [])
    assert needed == set()


def test_a_needed_folder_is_not_hidden(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    own = Path(recode_eval.__file__).resolve().parent
    assert hidden.hidden_below([tmp_path], []) == [packages.resolve()]
    assert hidden.hidden_below([tmp_path], [packages]) == []
    assert hidden.hidden_below([own.parent], []) == [own.parent, own]
