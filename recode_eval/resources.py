"""Where the files that are not Python packages lie: task definitions, sandbox, leaderboard.

In a checkout they are top-level folders, so that people find and edit them; a wheel carries copies
inside the package. Nothing else in the package may know the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from recode_eval.errors import InfrastructureError

Resource = Literal["tasks", "sandbox", "leaderboard"]

_PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: Resource) -> Path:
    """The absolute path of a resource folder.

    Raises:
        InfrastructureError: the folder is neither beside nor inside the package, that is, the
            installation is incomplete.
    """
    inside_wheel = _PACKAGE / "_resources" / name
    if inside_wheel.is_dir():
        return inside_wheel
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    raise InfrastructureError(
        f"the folder {name!r} of recode-eval is missing ({inside_wheel}); install the package "
        "again: pip install --force-reinstall recode-eval"
    )
