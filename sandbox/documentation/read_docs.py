"""Runs inside the sandbox, after `harness`: reads signatures and docstrings of named APIs.

SETTINGS is given: `names` (dotted), `most_chars` (of a docstring), `mark`, `silence_s`,
`most_bytes`. A line is `[name, "there", signature, docstring]`, `[name, "absent", "", ""]` for what
the library does not have, or `[name, "unreadable", why, ""]` where it cannot be asked.
"""

import importlib
import inspect
import re
import warnings

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MOST_SIGNATURE = 1500


class AbsentError(Exception):
    """The library has nothing of this name."""


def resolve(name):
    """Return what a dotted name leads to."""
    first, *rest = name.split(".")
    thing = importlib.import_module(first)
    path = first
    for part in rest:
        path += "." + part
        thing = _member(thing, part, path)
    return thing


def _member(thing, part, path):
    if inspect.isclass(thing):
        try:  # What the class holds, not what a descriptor makes of it.
            held = inspect.getattr_static(thing, part)
        except AttributeError:
            held = None
        if isinstance(held, property):
            return held
    try:
        return getattr(thing, part)
    except AttributeError:
        if not inspect.ismodule(thing):
            raise AbsentError from None
    except ModuleNotFoundError:
        raise  # an optional dependency of what would be there
    except ImportError:  # how a module says of an old name that it was removed
        raise AbsentError from None
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name == path:
            raise AbsentError from None
        raise


def signature_of(name, thing):
    last = name.rpartition(".")[2]
    if isinstance(thing, property):
        return last + " (a property)"
    if inspect.ismodule(thing) or not callable(thing):
        return last
    try:
        text = last + str(inspect.signature(thing))
    except BaseException:
        text = _told(last, thing)
    return _ADDRESS.sub("", text)[:_MOST_SIGNATURE]


def _told(last, thing):
    """Return the signature that a docstring begins with, as compiled functions have it."""
    doc = getattr(thing, "__doc__", None)
    for line in (doc or "").strip().splitlines()[:3] if isinstance(doc, str) else ():
        if line.strip().startswith(last + "("):
            return line.strip()
    return last + "(...)"


def docstring_of(thing):
    if isinstance(thing, property) or callable(thing) or inspect.ismodule(thing):
        doc = inspect.getdoc(thing)
        return doc if isinstance(doc, str) else ""
    return ""  # a value has that of its type


def row_of(name):
    try:
        thing = resolve(name)
    except AbsentError:
        return [name, "absent", "", ""]
    return [name, "there", signature_of(name, thing), docstring_of(thing)[: SETTINGS["most_chars"]]]


def work(tell):
    warnings.simplefilter("ignore")
    for name in SETTINGS["names"]:
        try:
            row = row_of(name)
        except BaseException as error:
            row = [name, "unreadable", type(error).__name__, ""]
        tell(row)


def main():
    lines = []
    in_child(work, lines.append, SETTINGS["silence_s"], SETTINGS["most_bytes"])
    hand_over(lines, SETTINGS["mark"].encode())


main()
