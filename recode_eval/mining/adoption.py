"""Giving mined releases their lasting names: pairs find their locks by library and version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recode_eval.errors import StorageError
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import cache_dir, temporary_dir
from recode_eval.sandbox.requirements import get_environment, has_environment, release_name

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.mining.pipeline import Mined

_FIRST_LINE = re.compile(r"#[^\n]*\n")


def adopt_locks(mined: Mined) -> tuple[Path, Path]:
    """Return the locks of the old and the new release under their own names.

    A lock that is known already (a bundled one, an earlier one) is left as it is. Otherwise the
    one that was mined with is copied into the cache.

    Raises:
        SandboxBuildError: a release has no wheels that fit together, so no program can run with it.
        StorageError: the cache cannot be written to.
    """
    first = mined.candidates[0]
    versions = first.old_version, first.new_version
    old, new = (
        _adopted(first.library, version, environment)
        for version, environment in zip(versions, mined.environments, strict=True)
    )
    return old, new


def _adopted(library: str, version: str, environment: str) -> Path:
    name = release_name(library, version)
    if has_environment(name):
        return get_environment(name).requirements
    if not environment:
        raise SandboxBuildError(
            f"{library} {version} has no wheels that fit together here, so no program runs with "
            "it; give companions with --with, such as --with 'numpy<2'."
        )
    pins = get_environment(environment).requirements.read_text(encoding="utf-8")
    heading = f"# {library} {version} and what it needs: complete, installed with --no-deps.\n"
    path = cache_dir("envs") / f"{name}.txt"
    try:
        with temporary_dir(path.parent) as scratch:
            draft = scratch / path.name
            draft.write_text(_FIRST_LINE.sub(lambda _: heading, pins, count=1), encoding="utf-8")
            draft.replace(path)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}") from error
    return path
