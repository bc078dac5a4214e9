"""Tests that need Docker or the vLLM engine: skipped with a reason, or failed where required."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

@pytest.mark.docker
def test_docker(): pass

@pytest.mark.vllm
def test_vllm(vllm_python): pass

def test_rows(shared_data): assert (shared_data / "rows").exists()
"""


def run(folder: Path, **variables: str) -> str:
    """What pytest reports on a machine without Docker, vLLM and rows, in short."""
    inner = folder / "checkout" / "tests"
    inner.mkdir(parents=True)
    (inner / "test_needs.py").write_text(TESTS)
    shutil.copy(CHECKOUT / "tests" / "conftest.py", inner)
    shutil.copy(CHECKOUT / "pyproject.toml", folder / "checkout")
    kept = {n: v for n, v in os.environ.items() if not n.startswith("RECODE_EVAL_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests"],
        cwd=folder / "checkout",
        env=kept | {"DOCKER_HOST": "unix:///nonexistent.sock"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_what_is_missing_is_skipped_with_the_reason(tmp_path: Path) -> None:
    report = run(tmp_path)
    assert "3 skipped" in report
    assert "no Docker daemon answers" in report
    assert "RECODE_EVAL_VLLM_PYTHON" in report
    assert "set RECODE_EVAL_SHARED_DATA" in report


@pytest.mark.parametrize("what", ["DOCKER", "VLLM"])
def test_what_is_required_fails(tmp_path: Path, what: str) -> None:
    """A silent skip would make continuous integration green without having tested anything."""
    report = run(tmp_path, **{f"RECODE_EVAL_REQUIRE_{what}": "1"})
    assert "2 skipped, 1 error" in report
    assert f"RECODE_EVAL_REQUIRE_{what}=1, but " in report


def test_an_environment_without_the_engine_is_told_apart(tmp_path: Path) -> None:
    report = run(tmp_path, RECODE_EVAL_VLLM_PYTHON="/bin/false")
    assert "/bin/false cannot import vllm" in report


def test_rows_are_found_beside_the_checkout_or_where_the_variable_says(tmp_path: Path) -> None:
    (tmp_path / "a" / "shared" / "data" / "rows").mkdir(parents=True)
    assert "1 passed, 2 skipped" in run(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "elsewhere" / "rows").mkdir(parents=True)
    named = run(tmp_path / "b", RECODE_EVAL_SHARED_DATA=str(tmp_path / "elsewhere"))
    assert "1 passed, 2 skipped" in named


def test_a_wrong_folder_of_rows_is_a_failure(tmp_path: Path) -> None:
    report = run(tmp_path, RECODE_EVAL_SHARED_DATA=str(tmp_path / "gone"))
    assert "2 skipped, 1 error" in report
    assert "is not a folder" in report
