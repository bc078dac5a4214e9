"""Loading the public names of a package when they are first used."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def loader(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose names lie in the modules `homes` says.

    `homes` maps a name to a module below the package that has it, or to a package below this one of
    which it is a module. A name that was loaded stays.

    >>> loader("recode_eval", {"Registry": "plugins"})("Registry").__name__
    'Registry'
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = importlib.import_module(f"{package}.{homes[name]}")
        try:
            found = getattr(home, name)
        except AttributeError:
            found = importlib.import_module(f"{home.__name__}.{name}")
        setattr(sys.modules[package], name, found)
        return found

    return load
