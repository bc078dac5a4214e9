"""Signatures and docstrings as installed releases have them, read inside the sandbox.

Docstrings are other people's texts: they are not part of this project, so they are read where the
release is installed and kept in the cache alone.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from recode_eval.files import replace_file
from recode_eval.sandbox.buildlog import cache_dir
from recode_eval.sandbox.inside import MOST_BYTES, LostError, run_inside
from recode_eval.sandbox.locks import NoSuchReleaseError
from recode_eval.sandbox.requirements import get_environment
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from recode_eval.sandbox.base import Sandbox

VERSION: Final = 2
"""Of the program and of what is kept: raise it with every change of either."""
MOST_CHARS: Final = 2500
"""Of a docstring; a longer one is cut, and says so."""
_MOST_SIGNATURE: Final = 2000
_SECONDS: Final = 120.0
_AT_ONCE: Final = 2
"""Releases read at the same time; the sandbox has a pool for each."""
_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_CUT = f"[The text goes on; shown are its first {MOST_CHARS:,} characters.]"


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """What a release says of one of its APIs."""

    signature: str | None
    """None: the release does not have it, or could not be asked."""
    docstring: str = ""
    """Cut, with a sentence that says so; empty where there is none."""
    why: str = ""
    """Why it could not be asked; empty if it could."""

    @property
    def absent(self) -> bool:
        """Whether the release was asked and does not have it."""
        return self.signature is None and not self.why


Key = tuple[str | None, str]
"""An environment (None: the one that the sandbox was opened with) and a dotted name."""


def read_docs(
    wanted: Iterable[Key],
    own: str,
    open_sandbox: Callable[[], Sandbox],
    log: Callable[[str], None] = lambda _: None,
) -> dict[Key, ApiFacts]:
    """Ask each release about its APIs; `own` is the name of the sandbox's own environment.

    What is in the cache is not asked again. A release that no index has gives facts with a `why`.

    Raises:
        SandboxError: the machine's fault, or the index cannot be reached: trying again may help.
    """
    names: dict[str | None, set[str]] = {}
    for environment, path in wanted:
        names.setdefault(environment, set()).add(path)
    if not names:
        return {}
    sandbox = open_sandbox()
    log(f"Reading signatures and docstrings of {len(names)} releases.")
    found: dict[Key, ApiFacts] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reading = partial(_of_release, sandbox, own)
        for (environment, paths), facts in zip(
            names.items(), pool.map(reading, *zip(*names.items(), strict=True)), strict=True
        ):
            found |= {(environment, path): facts[path] for path in paths}
    return found


def _of_release(
    sandbox: Sandbox, own: str, environment: str | None, paths: Collection[str]
) -> dict[str, ApiFacts]:
    asked = sorted(paths)
    kept = _cache_file(sandbox, environment or own, asked)
    try:
        return _facts(kept.read_text(encoding="utf-8").splitlines(), asked, strict=True)
    except (OSError, ValueError):
        pass  # never asked, or damaged
    settings = {
        "names": asked,
        "most_chars": MOST_CHARS + 1,
        "silence_s": _SECONDS / 2,
        "most_bytes": MOST_BYTES,
    }
    try:
        lines = run_inside(
            sandbox, environment or "", "documentation/read_docs", settings, _SECONDS
        )
    except NoSuchReleaseError as error:
        return dict.fromkeys(asked, ApiFacts(None, why=one_line(error, 200)))
    except LostError as error:
        return dict.fromkeys(asked, ApiFacts(None, why=f"the release says nothing: {error}"))
    facts = _facts(lines, asked)
    if not any(fact.why for fact in facts.values()):
        replace_file(kept, "\n".join(lines))
    return facts


def _cache_file(sandbox: Sandbox, environment: str, asked: list[str]) -> Path:
    pins = get_environment(environment)
    python = sandbox.info.python if pins.python is None else str(pins.python)
    content = json.dumps([VERSION, environment, pins.key, python, MOST_CHARS, asked])
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return cache_dir("docs") / f"{environment}-{digest}.jsonl"


def _facts(
    lines: Iterable[str], asked: Collection[str], *, strict: bool = False
) -> dict[str, ApiFacts]:
    """Read what a program handed over: hostile lines are passed over, or a `ValueError`."""
    found: dict[str, ApiFacts] = {}
    for line in lines:
        fact = _fact(line, asked)
        if fact is not None:
            found.setdefault(*fact)
    if strict and len(found) < len(asked):
        raise ValueError("some are missing")
    lost = ApiFacts(None, why="the release says nothing of it")
    return {name: found.get(name, lost) for name in asked}


def _fact(line: str, asked: Collection[str]) -> tuple[str, ApiFacts] | None:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match row:
        case [str(name), "there", str(signature), str(docstring)] if name in asked:
            shown = one_line(signature, _MOST_SIGNATURE)
            return name, ApiFacts(shown, shortened(docstring))
        case [str(name), "absent", "", ""] if name in asked:
            return name, ApiFacts(None)
        case [str(name), "unreadable", str(why), ""] if name in asked:
            return name, ApiFacts(None, why=f"it cannot be imported ({one_line(why, 60)})")
    return None


def shortened(docstring: str) -> str:
    """Return a docstring as it is shown: without control characters, and not longer than may be."""
    clean = docstring.translate(_CONTROL).encode("utf-8", "replace").decode()
    if len(clean) <= MOST_CHARS:
        return clean.strip()
    return f"{clean[:MOST_CHARS].rstrip()}\n{_CUT}"
