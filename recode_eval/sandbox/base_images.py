"""Which base image an environment's image is built on: by the Python or the compiler it needs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.sandbox.requirements import RELEASE_PYTHON

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_BASE_IMAGE = "python:3.11-slim-bookworm"
LOCAL_REPOSITORY = "recode-eval-base"
"""What `sandbox/base-image` makes where no registry can be reached."""
BASE_IMAGE_VARIABLE = "RECODE_EVAL_BASE_IMAGE"
"""Names the base image; with `_PYTHON3_9` at its end, that of environments for Python 3.9, with
`_RUST` that of programs in Rust."""
_SUITES = {(3, 9): "bullseye", (3, 11): "bookworm", (3, 13): "trixie", (3, 14): "forky"}
"""The release of Debian that has a Python."""
_PACKAGES = {"rust": "rustc-web gcc libc6-dev"}
"""What a compiler takes in Debian."""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What a base image must have."""

    python: tuple[int, int] | None = None
    """The Python (major, minor); None: any that the supervisor runs on."""
    toolchain: str = ""
    """The language whose compiler it must have; empty: none."""

    def name(self, argument: str | None = None, *, has_local: bool = False) -> str:
        """The image to build on.

        The argument, else the environment variable, else the one that `sandbox/base-image` makes if
        it was made here (`has_local`), else the official image of a registry. There is none with a
        compiler and Python.
        """
        named = argument or os.environ.get(self.variable)
        return named or (self.local if has_local or self.toolchain else self._official)

    @property
    def variable(self) -> str:
        """The environment variable that names it.

        >>> BaseImage((3, 9)).variable, BaseImage(toolchain="rust").variable
        ('RECODE_EVAL_BASE_IMAGE_PYTHON3_9', 'RECODE_EVAL_BASE_IMAGE_RUST')
        """
        if self.toolchain:
            return f"{BASE_IMAGE_VARIABLE}_{self.toolchain.upper()}"
        if self.python is None or self.python == RELEASE_PYTHON:
            return BASE_IMAGE_VARIABLE
        return f"{BASE_IMAGE_VARIABLE}_PYTHON{self.python[0]}_{self.python[1]}"

    @property
    def local(self) -> str:
        """What `sandbox/base-image` calls it.

        >>> BaseImage((3, 9)).local, BaseImage(toolchain="rust").local
        ('recode-eval-base:bullseye', 'recode-eval-base:rust')
        """
        suite = _SUITES.get(self.python or RELEASE_PYTHON, _SUITES[RELEASE_PYTHON])
        return f"{LOCAL_REPOSITORY}:{self.toolchain or suite}"

    @property
    def _official(self) -> str:
        if self.python is None or self.python == RELEASE_PYTHON:
            return DEFAULT_BASE_IMAGE
        suite = _SUITES.get(self.python)
        return f"python:{self.python[0]}.{self.python[1]}-slim{f'-{suite}' if suite else ''}"

    def script(self, folder: Path) -> str:
        """The command that makes it without a registry, from the folder `sandbox`."""
        command = f"sh {folder / 'base-image'}"
        if self.toolchain:
            return f"DEBIAN_PACKAGES='{_PACKAGES[self.toolchain]}' {command} {self.local}"
        suite = _SUITES.get(self.python or RELEASE_PYTHON)
        if suite and self.python not in {None, RELEASE_PYTHON}:
            return f"DEBIAN_SUITE={suite} {command} {self.local}"
        return command
