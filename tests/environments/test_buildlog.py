"""What a failed build tells, and what it must not leave behind."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import (
    BuildLog,
    StepError,
    cache_dir,
    last_line,
    locked,
    stale_temporary_dirs,
    temporary_dir,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def fail_with(output: str) -> str:
    """The error of a build whose only step prints `output` and fails."""
    script = f"import sys; print({output!r}); sys.exit(3)"
    with pytest.raises(SandboxBuildError) as caught, BuildLog("the thing", "thing") as log:
        log.run([sys.executable, "-c", script])
    assert output in log.path.read_text(encoding="utf-8")
    assert str(log.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pips_error_is_the_cause_even_if_a_notice_follows_it() -> None:
    message = fail_with(
        "Looking in indexes: https://pypi.org/simple\n"
        "ERROR: Could not find a version that satisfies the requirement numpy==1.26.4\n"
        "ERROR: No matching distribution found for numpy==1.26.4\n"
        "[notice] A new release of pip is available\n"
        "WARNING: something else"
    )
    assert "could not build the thing: ERROR: No matching distribution found for numpy" in message
    assert "PIP_FIND_LINKS" in message


@pytest.mark.parametrize(
    ("output", "fix"),
    [
        ("ERROR: No matching distribution found for torch==2.13.0+cpu", "download.pytorch.org"),
        ("OSError: [Errno 28] No space left on device", "free space"),
        ("SSLError(SSLCertVerificationError(1, 'certificate verify failed'))", "PIP_CERT"),
        ("Failed to establish a new connection: Name resolution failed", "HTTPS_PROXY"),
        ("/usr/bin/python3: No module named pip", "python3-venv"),
    ],
)
def test_known_causes_come_with_their_fix(output: str, fix: str) -> None:
    assert fix in fail_with(output)


def test_a_silent_failure_tells_the_exit_status() -> None:
    assert "exit 3" in fail_with("")


def test_a_program_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(SandboxBuildError, match="no-such-program: No such file"),
        BuildLog("the thing", "thing") as log,
    ):
        log.run(["no-such-program"])


def test_output_that_is_no_text_does_not_break_the_log() -> None:
    script = r"import sys; sys.stdout.buffer.write(b'\xff\x00\xed\xa0\x80'); sys.exit(1)"
    with pytest.raises(SandboxBuildError), BuildLog("the thing", "thing") as log:
        log.run([sys.executable, "-c", script])


def test_a_step_reads_no_input() -> None:
    """A pip that asks for a password would hang the run for ever."""
    with BuildLog("the thing", "thing") as log:
        assert (
            log.run([sys.executable, "-c", "import sys; print(repr(sys.stdin.read()))"]) == "''\n"
        )


def test_old_logs_are_removed() -> None:
    for number in range(30):
        with BuildLog("the thing", f"thing{number}"):
            pass
    assert len(list(cache_dir("logs").iterdir())) <= 21


def test_last_line_of_nothing_is_empty() -> None:
    assert last_line("\n \n") == ""


def test_a_relative_cache_variable_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The XDG specification says so; a relative one would litter the working directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir("x") == tmp_path / ".cache" / "recode-eval" / "x"


def test_a_cache_folder_that_cannot_be_made_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SandboxBuildError, match="set XDG_CACHE_HOME"):
        cache_dir("x")


def test_the_temporary_folder_is_gone_after_a_failure(tmp_path: Path) -> None:
    def build() -> None:
        with temporary_dir(tmp_path) as folder:
            (folder / "half").write_text("built")
            raise StepError("no", "")

    with pytest.raises(StepError):
        build()
    assert list(tmp_path.iterdir()) == []


def test_only_old_leftovers_count_as_stale(tmp_path: Path) -> None:
    with temporary_dir(tmp_path) as old, temporary_dir(tmp_path):
        os.utime(old, (time.time() - 7200,) * 2)
        assert stale_temporary_dirs(tmp_path, 3600) == [old]


def _hold_lock(path: Path, name: str) -> None:
    said: list[str] = []
    with locked(name, said.append):
        started = time.monotonic()
        time.sleep(0.3)
        (path / f"{os.getpid()}").write_text(f"{started} {time.monotonic()}")


def test_two_processes_never_hold_the_lock_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_hold_lock, args=(tmp_path, "same")) for _ in range(3)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    spans = sorted(
        tuple(map(float, path.read_text().split()))
        for path in tmp_path.iterdir()
        if path.name.isdigit()
    )
    assert len(spans) == 3
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))
