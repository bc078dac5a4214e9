"""What the tests need from the machine, what happens where it is missing, and how they are shared.

Several workers (`tests/run_phases.py`) share the tests by the file, so that what a module sets up
is set up once.

A test that cannot run is skipped with the reason, unless the variable RECODE_EVAL_REQUIRE_DOCKER,
RECODE_EVAL_REQUIRE_RUST, RECODE_EVAL_REQUIRE_VLLM or RECODE_EVAL_REQUIRE_BROWSER is 1: then it
fails, so that nobody mistakes silence for success.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).resolve().parent.parent

# A deadline per example fails where an example imports a library, or the machine is busy.
# Continuous integration uses hypothesis's own profile `ci`: no deadline, and the same examples each
# time, so that a run fails for a change in the code and nothing else. `fuzz` is for `make fuzz`.
settings.register_profile("local", deadline=None)
if settings.get_current_profile_name() == "default":
    settings.load_profile("local")
_LONGEST = {
    "test_train_demo_learning": 6,
    "test_vllm_model": 5,
    "test_attacks_on_tiers": 4,
    "test_training_resume": 3,
    "test_faults": 3,
    "test_resume": 3,
    "test_load": 2,
    "test_ray": 2,
}
"""Files that take minutes, and how many: they start first. Another file only costs time."""
settings.register_profile("quick", max_examples=20, deadline=None)
settings.register_profile("fuzz", max_examples=2000, deadline=None, print_blob=True)


def pytest_configure() -> None:
    """Let an interrupt arrive in the programs that tests start.

    A shell starts what it puts into the background with interrupts ignored, and its children
    inherit that: the tests that send SIGINT to a program waited for an end that never came.
    """
    # xdist gives its workers a terminal's width, which tables would be folded to.
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.pop("COLUMNS", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: one that starts last keeps the others waiting."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    groups = {item: group_of(item.nodeid) for item in items}
    slow = Counter(groups[item] for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-_weight(groups[item]), -slow[groups[item]], groups[item]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give the tests of a group to one worker, so that what a file sets up is set up once.

    `--dist loadgroup` would do it by marks, but with pytest 9.2 xdist 3.8 changes ids in vain.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Scheduling(config, log)


def group_of(nodeid: str) -> str:
    """Return what keeps tests on one worker: the file, and the tier where a tier takes minutes."""
    file, _, rest = nodeid.partition("::")
    if file.endswith("test_attacks_on_tiers.py"):
        tier = next((tier for tier in ("docker", "bubblewrap") if tier in rest), "landlock")
        return f"{file} on {tier}"
    return file


def _weight(group: str) -> int:
    return next((weight for name, weight in _LONGEST.items() if name in group), 0)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("docker"):
        _need("DOCKER", _why_no_docker())
    if item.get_closest_marker("rust"):
        _need("RUST", _why_no_rust())
    if item.get_closest_marker("vllm"):
        _need("VLLM", _why_no_vllm())
    if item.get_closest_marker("browser"):
        from leaderboard.chromium import why_no_browser

        _need("BROWSER", why_no_browser())


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of six small rows in the arena schema."""
    from arena_rows import write_rows

    return write_rows(tmp_path / "rows.jsonl")


@pytest.fixture
def closed_rewards() -> Iterator[None]:
    """Close what `reward` keeps open until the process ends: other tests count processes."""
    from recode_eval.run.reward import close_all

    yield
    close_all()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real benchmark rows, which are not part of this repository."""
    named = os.environ.get("RECODE_EVAL_SHARED_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if named:
        pytest.fail(f"RECODE_EVAL_SHARED_DATA={named} is not a folder")
    pytest.skip(f"no real rows here ({folder}); set RECODE_EVAL_SHARED_DATA to their folder")


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """The interpreter of the environment with the vLLM engine; only for tests marked vllm."""
    return os.environ["RECODE_EVAL_VLLM_PYTHON"]


@pytest.fixture(scope="session")
def peer_python() -> Callable[[str], str]:
    """Return the interpreter of another program's environment (.ci/peers.txt), by its name."""

    def find(name: str) -> str:
        folder = os.environ.get("RECODE_EVAL_PEERS")
        python = Path(folder or "", name, "bin", "python")
        there = folder is not None and python.exists()
        missing = f"RECODE_EVAL_PEERS names no folder with {name}; .ci/peers makes one"
        _need("PEERS", None if there else missing)
        return str(python)

    return find


def _need(what: str, missing: str | None) -> None:
    if missing is None:
        return
    if os.environ.get(f"RECODE_EVAL_REQUIRE_{what}") == "1":
        pytest.fail(f"RECODE_EVAL_REQUIRE_{what}=1, but {missing}", pytrace=False)
    pytest.skip(missing)


@functools.cache
def _why_no_docker() -> str | None:
    from recode_eval.sandbox.base import SandboxUnavailableError
    from recode_eval.sandbox.daemon import docker_client

    try:
        docker_client(timeout_s=20).close()
    except SandboxUnavailableError as error:
        return str(error)
    return None


@functools.cache
def _why_no_vllm() -> str | None:
    python = os.environ.get("RECODE_EVAL_VLLM_PYTHON")
    if not python:
        return "RECODE_EVAL_VLLM_PYTHON does not name a Python with the vLLM engine"
    found = subprocess.run([python, "-c", "import vllm"], capture_output=True, check=False)
    if found.returncode != 0:
        last = found.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"{python} cannot import vllm ({' '.join(last)})"
    return None


@functools.cache
def _why_no_rust() -> str | None:
    from recode_eval.errors import RecodeError
    from recode_eval.languages.rust.runtime import find_rustc

    if not shutil.which("cc"):
        return "there is no linker (cc)"
    try:
        find_rustc()
    except RecodeError as error:
        return str(error)
    return None
