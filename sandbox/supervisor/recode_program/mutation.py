"""Objects that a call changes: seeing it in one process, and making it so in the other."""

from __future__ import annotations

import operator
from typing import Any

from recode_program import crossing
from recode_program.crossing import Encoder


class Snapshot:
    """What a mutable object held before a call, so that a change can be seen."""

    def __init__(self, value: Any) -> None:
        self._held = self._parts(value)

    def differs(self, value: Any) -> bool:
        """Whether it holds something else by now."""
        now, held = self._parts(value), self._held
        if type(now) is not list or type(held) is not list:
            return bool(now != held)
        return len(now) != len(held) or not all(map(operator.is_, now, held))

    @staticmethod
    def _parts(value: Any) -> Any:
        if isinstance(value, dict):
            return [*value.keys(), *value.values()]
        if type(value) is list or hasattr(value, "maxlen"):
            return list(value)
        if type(value) in {set, bytearray}:
            return type(value)(value)
        encoder = Encoder(lambda *_: None, {})
        try:
            return (crossing._dumps(encoder.encode(value)), *encoder.blobs)
        except Exception:  # noqa: BLE001 - parts that do not cross: seen as unchanged
            return None


def overwrite(own: Any, new: Any) -> None:
    """Make an object of the tests hold what the candidate made of its copy."""
    if type(own) is not type(new):
        raise ValueError("another type of object")
    if isinstance(own, (list, bytearray)):
        own[:] = new
    elif isinstance(own, (dict, set)):
        own.clear()
        own.update(new)
    elif hasattr(own, "extend"):
        own.clear()
        own.extend(new)
    elif hasattr(own, "_mgr"):
        object.__setattr__(own, "_mgr", new._mgr)
    elif hasattr(own, "requires_grad"):
        own.data = new.data
    elif hasattr(own, "dtype"):
        own[...] = new
    elif hasattr(own, "__dict__"):
        own.__dict__.clear()
        own.__dict__.update(vars(new))
