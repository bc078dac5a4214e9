"""What programs must not read though it lies in a folder that they need: this package, mostly.

Programs need the standard library. Its folder usually also holds `site-packages`, and a user may
have installed recode-eval there: hidden tests and reference solutions. So the tiers that show
folders of this machine leave such folders out, and this package wherever it lies.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE_FOLDERS = (
    "lib*/py*/site-packages",
    "lib*/py*/dist-packages",
    "local/lib*/py*/site-packages",
    "local/lib*/py*/dist-packages",
    "envs",  # of a Python from conda: its other environments, and the packages in its cache
    "pkgs",
)
"""Where a Python installation keeps what is not its standard library, as patterns below it."""
_PACKAGE = Path(__file__).resolve().parents[1]


def own_folders() -> list[Path]:
    """The folder of recode-eval, and the one it lies in: `site-packages`, or a checkout."""
    return [_PACKAGE, _PACKAGE.parent]


def hidden_below(shown: Iterable[Path], needed: Iterable[Path]) -> list[Path]:
    """The folders to hide below those that are `shown`, those above others first.

    A folder that is itself `needed`, such as an environment's, stays visible.
    """
    roots = {folder.resolve() for folder in shown}
    kept = {folder.resolve() for folder in needed}
    found = {own for own in own_folders() if any(own.is_relative_to(root) for root in roots)}
    for root in roots:
        for pattern in PACKAGE_FOLDERS:
            found.update(path.resolve() for path in root.glob(pattern) if path.is_dir())
    return sorted(found - kept)
