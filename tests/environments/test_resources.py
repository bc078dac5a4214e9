"""An installed wheel must behave as the checkout that it was built from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from recode_eval import resources
from recode_eval.errors import InfrastructureError
from recode_eval.resources import resource_dir

CHECKOUT = Path(__file__).resolve().parents[2]
NAMES = ("tasks", "sandbox", "leaderboard")

DESCRIBE = """
import hashlib, json, pathlib, sys
import recode_eval
from recode_eval.resources import resource_dir
from recode_eval.sandbox.environments import environment_names, get_environment
from recode_eval.sandbox.images import recipe_digest, supervisor_digest

def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(
            part == "__pycache__" or part.startswith(".") for part in path.relative_to(folder).parts
        )
    }

print(json.dumps({
    "package": str(pathlib.Path(recode_eval.__file__).parent),
    "files": {name: digest(resource_dir(name)) for name in sys.argv[1:]},
    "environments": {
        name: [get_environment(name).key, recipe_digest(get_environment(name))]
        for name in environment_names()
    },
    "supervisor": supervisor_digest(),
}))
"""


@pytest.mark.parametrize("name", NAMES)
def test_in_a_checkout_they_are_the_top_level_folders(name: resources.Resource) -> None:
    assert resource_dir(name) == CHECKOUT / name


def test_an_incomplete_installation_says_how_to_repair_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "recode_eval")
    with pytest.raises(InfrastructureError, match=r"'tasks'.*pip install --force-reinstall"):
        resource_dir("tasks")


def test_a_folder_beside_an_installed_package_is_not_taken_for_a_resource(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site-packages folder may well hold somebody else's package called `tasks`."""
    (tmp_path / "tasks").mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "recode_eval")
    with pytest.raises(InfrastructureError):
        resource_dir("tasks")


@pytest.fixture(scope="module")
def installed_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new venv with the wheel of this checkout, and nothing of the checkout.

    The dependencies come from this environment, by a .pth file; the editable installation does
    not, since .pth files that lie in such a folder are not read.
    """
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip"]
    _run([*pip, "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", str(CHECKOUT)])
    (wheel,) = folder.glob("recode_eval-*.whl")
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")])
    python = folder / "venv" / "bin" / "python"
    _run([*pip, f"--python={python}", "install", "--quiet", "--no-deps", "--no-index", str(wheel)])
    site = Path(_run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def _run(command: list[str], cwd: Path | None = None) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_wheel_carries_the_same_resources(installed_python: Path, tmp_path: Path) -> None:
    in_wheel = json.loads(_run([str(installed_python), "-c", DESCRIBE, *NAMES], cwd=tmp_path))
    in_checkout = json.loads(_run([sys.executable, "-c", DESCRIBE, *NAMES], cwd=tmp_path))
    assert Path(in_wheel.pop("package")).is_relative_to(installed_python.parents[1])
    assert Path(in_checkout.pop("package")) == CHECKOUT / "recode_eval"
    assert in_wheel == in_checkout
    assert "requirements/arena.txt" in in_wheel["files"]["sandbox"]


@pytest.mark.slow
def test_the_script_for_base_images_can_be_run_from_a_wheel(
    installed_python: Path, tmp_path: Path
) -> None:
    code = "from recode_eval.resources import resource_dir as d; print(d('sandbox') / 'base-image')"
    script = _run([str(installed_python), "-c", code], cwd=tmp_path)
    assert "usage: sandbox/base-image" in _run(["sh", script, "--help"])


@pytest.mark.slow
def test_the_command_of_a_wheel_answers(installed_python: Path, tmp_path: Path) -> None:
    command = str(installed_python.parent / "recode-eval")
    assert "recode-eval" in _run([command, "--help"], cwd=tmp_path)
    assert _run([command, "--version"], cwd=tmp_path).endswith(
        _run([sys.executable, "-m", "recode_eval", "--version"], cwd=tmp_path).split()[-1]
    )
