"""What this machine can do: the findings of `recode-eval doctor`, each with its fix.

Looks only; nothing is installed, built or downloaded, and every look outside has a time limit.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from recode_eval import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

_HUB = "https://huggingface.co"
_HUB_TIMEOUT_S = 5.0
_MIN_FREE_GIB = 5.0
_PARSERS = ("tree-sitter", "tree-sitter-javascript", "tree-sitter-rust", "tree-sitter-typescript")


class Level(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    OPTIONAL = "optional"
    """Missing, and only needed for some uses."""
    PROBLEM = "problem"
    """Missing, and needed for every evaluation."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `fix` says what to do, where there is something to do."""

    name: str
    level: Level
    found: str
    fix: str = ""


def diagnose() -> Iterator[Check]:
    """Yield the findings, quick ones first."""
    yield _python()
    yield _disk()
    yield _gpu()
    yield from _packages()
    yield from _sandboxes()
    yield from _runtimes()
    yield _hub()


def _python() -> Check:
    found = f"Python {platform.python_version()}, recode-eval {__version__}, {platform.platform()}"
    if sys.platform != "linux":
        return Check("system", Level.PROBLEM, found, "The sandbox needs Linux.")
    cpus = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Check("system", Level.OK, f"{found}, {cpus} CPUs, {memory:.0f} GiB memory")


def _disk() -> Check:
    free = shutil.disk_usage(".").free / 2**30
    found = f"{free:.1f} GiB free in this folder"
    if free < _MIN_FREE_GIB:
        fix = "Free some space, or store runs elsewhere with --out."
        return Check("disk", Level.OPTIONAL, found, fix)
    return Check("disk", Level.OK, found)


def _gpu() -> Check:
    tool = shutil.which("nvidia-smi")
    fix = "Models run on the CPU (small ones), or on a server given with --base-url."
    if tool is None:
        return Check("GPU", Level.OPTIONAL, "none found (no nvidia-smi)", fix)
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        result = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("GPU", Level.OPTIONAL, f"nvidia-smi does not answer ({error})", fix)
    if result.returncode != 0 or not result.stdout.strip():
        cause = (result.stdout + result.stderr).strip().splitlines() or ["no output"]
        return Check("GPU", Level.OPTIONAL, f"nvidia-smi fails: {cause[0]}", fix)
    return Check("GPU", Level.OK, "; ".join(result.stdout.strip().splitlines()))


def _packages() -> Iterator[Check]:
    for name, extra, use in (
        ("transformers", "transformers", "models from a checkpoint"),
        ("torch", "transformers", "models from a checkpoint"),
        ("peft", "transformers", "LoRA and DoRA adapters"),
        ("vllm", "vllm", "fast generation on a GPU"),
        ("openai", "openai", "models behind a server"),
        ("datasets", "hub", "data from the hub"),
    ):
        version = _version(name)
        if version is None:
            fix = f"For {use}: pip install 'recode-eval[{extra}]'"
            yield Check(f"package {name}", Level.OPTIONAL, "not installed", fix)
        else:
            yield Check(f"package {name}", Level.OK, version)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _sandboxes() -> Iterator[Check]:
    from recode_eval.sandbox import probe

    reports = probe()
    any_available = any(report.available for report in reports)
    for report in reports:
        if report.available:
            yield Check(f"sandbox {report.tier}", Level.OK, "; ".join(report.guarantees))
        else:
            level = Level.OPTIONAL if any_available else Level.PROBLEM
            yield Check(f"sandbox {report.tier}", level, report.reason, report.fix)


def _runtimes() -> Iterator[Check]:
    """Yield what runs the programs of each language; nothing is fetched."""
    pythons = _pythons()
    use = "For rows that name another Python: sandbox/debian-python SUITE, or let uv fetch it."
    yield Check("runtime Python", Level.OK, ", ".join(pythons), use if len(pythons) < 2 else "")
    yield _parsers()
    yield _node()
    yield _rust()


def _pythons() -> list[str]:
    from recode_eval.sandbox.interpreters import can_be_had, find_interpreter
    from recode_eval.sandbox.requirements import PYTHONS

    return [find_interpreter(one).version for one in PYTHONS if can_be_had(one, fetch=False)]


def _parsers() -> Check:
    lacking = [name for name in _PARSERS if _version(name) is None]
    if lacking:
        fix = "For answers in JavaScript and Rust: pip install 'recode-eval[languages]'"
        return Check("runtime parsers", Level.OPTIONAL, f"no {', '.join(lacking)}", fix)
    return Check("runtime parsers", Level.OK, f"tree-sitter {_version('tree-sitter')}")


def _node() -> Check:
    from recode_eval.errors import RecodeError
    from recode_eval.sandbox.node import NODE_VARIABLE, PINNED, find_node

    try:
        found = find_node()
    except RecodeError as error:
        return Check("runtime Node", Level.OPTIONAL, str(error), f"Unset {NODE_VARIABLE}.")
    if found is None:
        fix = f"Nothing to do: Node {PINNED.version} is fetched when a program first needs it."
        return Check("runtime Node", Level.OPTIONAL, "not fetched yet", fix)
    return Check("runtime Node", Level.OK, f"Node {found.version}")


def _rust() -> Check:
    from recode_eval.errors import RecodeError
    from recode_eval.languages.rust.runtime import FIX, find_rustc, rustc_version

    fix = f"For answers in Rust: {FIX}"
    try:
        version = rustc_version(find_rustc()[0])
    except RecodeError as error:
        return Check("runtime Rust", Level.OPTIONAL, str(error).partition(":")[0], fix)
    if shutil.which("cc") is None:
        return Check("runtime Rust", Level.OPTIONAL, f"{version}, but no linker (cc)", fix)
    return Check("runtime Rust", Level.OK, version)


def _hub() -> Check:
    import http.client
    import urllib.error
    import urllib.request

    address = os.environ.get("HF_ENDPOINT", _HUB)
    fix = "Give data as files (--data arena=FILE.jsonl) and models as folders."
    if os.environ.get("HF_HUB_OFFLINE", "") not in {"", "0"}:
        return Check("hub", Level.OPTIONAL, "HF_HUB_OFFLINE is set: only its cache is used", fix)
    if not address.startswith(("http://", "https://")):
        return Check("hub", Level.OPTIONAL, f"HF_ENDPOINT is {address!r}, not an address", fix)
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_HUB_TIMEOUT_S):  # noqa: S310
            return Check("hub", Level.OK, f"{address} answers")
    except urllib.error.HTTPError:
        return Check("hub", Level.OK, f"{address} answers")
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        return Check("hub", Level.OPTIONAL, f"{address} cannot be reached ({cause})", fix)
