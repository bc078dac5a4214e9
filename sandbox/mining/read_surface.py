"""Runs inside the sandbox, after `harness`: reads the public surface of a library by importing it.

SETTINGS is given: `tops` (modules), `mark`, `silence_s`, `most_bytes`, `seconds`.
"""

import doctest
import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import json
import os
import re
import time
import warnings

_SKIPPED = {
    "test", "tests", "testing_tests", "_tests", "conftest", "__main__", "setup", "_vendor",
    "vendor", "vendored", "_vendored", "extern", "externals", "benchmarks",
}  # fmt: skip
_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: 0,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: 1,
    inspect.Parameter.VAR_POSITIONAL: 2,
    inspect.Parameter.KEYWORD_ONLY: 3,
    inspect.Parameter.VAR_KEYWORD: 4,
}
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
_DEPRECATED = re.compile(
    r"^.*?(\.\. *deprecated|\bdeprecated\b|will be removed in|scheduled for removal).*$",
    re.I | re.M,
)
_MOST_EXAMPLES = 6
_MOST_PIECES = 40
_USUAL = {
    "__name__", "__doc__", "__file__", "__path__", "__all__", "__builtins__", "__cached__",
    "__loader__", "__package__", "__spec__", "__annotations__", "__dir__", "__getattr__",
}  # fmt: skip


def modules_of(tops):
    """Names of the modules on disk, by walking: nothing is imported. Shallow ones first."""
    found = []
    suffixes = tuple(importlib.machinery.all_suffixes())

    def walk(folder, name):
        found.append(name)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            base = entry.name.partition(".")[0]
            if not base.isidentifier() or base in _SKIPPED or base.startswith(("_", "test_")):
                continue
            if entry.is_dir() and os.path.isfile(os.path.join(entry.path, "__init__.py")):
                walk(entry.path, name + "." + base)
            elif entry.name.endswith(suffixes) and not entry.name.endswith(".pyc"):
                found.append(name + "." + base)

    for top in tops:
        try:
            spec = importlib.machinery.PathFinder.find_spec(top)
        except Exception:
            spec = None
        if spec is None:
            continue
        folders = list(spec.submodule_search_locations or ())
        if folders:
            walk(folders[0], top)
        else:
            found.append(top)
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda name: (name.count("."), name))


def default_of(value):
    return text([value], 82)[1:-1] if type(value).__name__ == "str" else text(value, 80)


def text(value, most=200):
    try:
        shown = value if isinstance(value, str) else repr(value)
    except BaseException:
        shown = "<no repr>"
    return _ADDRESS.sub("0x", shown)[:most]


def first_line(thing):
    doc = getattr(thing, "__doc__", None)
    if not isinstance(doc, str):
        return ""
    return next((line.strip() for line in doc.splitlines() if line.strip()), "")[:200]


def deprecation_of(thing):
    marked = getattr(thing, "__deprecated__", None)
    if isinstance(marked, str):
        return marked[:200]
    doc = getattr(thing, "__doc__", None)
    if not isinstance(doc, str) or "eprecat" not in doc:
        return ""
    head = doc[:600]  # further down, it is some parameter that is deprecated
    match = re.search(r"\.\. *deprecated::?.*(\n.*){0,2}", head) or _DEPRECATED.search(head)
    return " ".join(match.group(0).split())[:200] if match else ""


def parameters_of(thing):
    try:
        signature = inspect.signature(thing)
    except BaseException:
        return None, ""
    rows = []
    empty = inspect.Parameter.empty
    for one in list(signature.parameters.values())[:120]:
        default = None if one.default is empty else default_of(one.default)
        annotation = "" if one.annotation is empty else annotation_text(one.annotation)
        rows.append([one.name, _KINDS[one.kind], default, annotation])
    returns = signature.return_annotation
    return rows, "" if returns is empty else annotation_text(returns)


def annotation_text(annotation):
    if isinstance(annotation, type):
        return annotation.__name__[:80]
    return text(annotation, 80)


def body_of(thing):
    """Return a digest of the bytecode, constants and names included."""
    thing = inspect.unwrap(thing) if callable(thing) else thing
    code = getattr(thing, "__code__", None)
    if code is None:
        return ""

    def parts(code):
        for instruction in __import__("dis").get_instructions(code):
            shown = instruction.argval
            yield instruction.opname
            yield "code" if hasattr(shown, "co_code") else repr(shown)
        for constant in code.co_consts:
            if hasattr(constant, "co_code"):
                yield from parts(constant)

    try:
        return hashlib.sha256("\0".join(parts(code)).encode("utf-8", "replace")).hexdigest()[:16]
    except BaseException:
        return ""


def examples_of(doc):
    """Return the examples of a docstring, split where there is prose between them."""
    try:
        found = doctest.DocTestParser().get_examples(doc)
    except ValueError:
        return None
    pieces = [example.source for example in found][:_MOST_PIECES]
    return [pieces] if pieces else []


class Reader:
    """Writes the rows of one module after another."""

    def __init__(self, tell, tops):
        self.tell, self.tops = tell, tops
        self.seen, self.keep = {}, []  # id -> home, and the things, so that no id is used again
        self.told = set()

    def own(self, module):
        return isinstance(module, str) and module.partition(".")[0] in self.tops

    def module(self, name):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                module = importlib.import_module(name)
            except BaseException as error:
                reason = type(error).__name__
                self.tell(["lost", "does not import (%s)" % reason])
                self.tell(["why", name, text(str(error), 200)])
                return
        package = hasattr(module, "__path__")
        self.tell(["module", name, package, self.deprecation(caught, module)])
        listed = getattr(module, "__all__", None)
        exported = (
            {n for n in listed if isinstance(n, str)}
            if isinstance(listed, (list, tuple))
            else set()
        )
        try:
            names = set(dir(module)) | exported
        except BaseException:
            names = set(vars(module)) | exported
        for attribute in sorted(n for n in names if isinstance(n, str)):
            told = attribute in exported or not attribute.startswith("_")
            if name in self.tops and attribute.startswith("__") and attribute not in _USUAL:
                told = isinstance(vars(module).get(attribute), (str, tuple))
            if attribute.isidentifier() and told:
                try:
                    self.attribute(module, name, attribute, attribute in exported)
                except Exception as error:
                    self.tell(["lost", "a name that cannot be read (%s)" % type(error).__name__])

    def deprecation(self, caught, module=None):
        for warning in caught:
            if issubclass(
                warning.category, (DeprecationWarning, FutureWarning, PendingDeprecationWarning)
            ):
                if (
                    module is None
                    or str(warning.filename) == str(getattr(module, "__file__", ""))
                    or (getattr(module, "__name__", "?") in str(warning.message))
                ):
                    return text(str(warning.message), 280)
        return ""

    def attribute(self, module, name, attribute, exported):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                value = getattr(module, attribute)
            except AttributeError:
                return
            except BaseException as error:
                self.tell(["lost", "a name that raises (%s)" % type(error).__name__])
                return
        warned = self.deprecation(caught)
        path = name + "." + attribute
        if inspect.ismodule(value):
            if (exported and self.own(value.__name__)) or value.__name__ == path:
                self.tell(["name", path, value.__name__, exported, warned])
                self.tell(
                    ["item", value.__name__, "module", None, "", first_line(value), "", "", ""]
                )
            return
        of = getattr(value, "__module__", None)
        qualified = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
        defines = inspect.isclass(value) or inspect.isroutine(value)
        defines = defines or (callable(value) and isinstance(qualified, str) and self.own(of))
        if defines and isinstance(qualified, str) and isinstance(of, str):
            if not self.own(of) and not exported:
                return
            home = of + "." + qualified
            if (
                "<" in home
                or not self.own(of)
                or (id(value) not in self.seen and home in self.seen.values())
            ):
                home = path
            home = self.seen.setdefault(id(value), home)
            self.keep.append(value)
        else:
            home = path
        self.tell(["name", path, home, exported, warned])
        if home not in self.told:
            self.told.add(home)
            if inspect.isclass(value):
                self.a_class(value, home)
                self.accessors(value, path, exported)
            else:
                self.item(value, home, "function" if callable(value) else "attribute")

    def item(self, value, home, kind):
        parameters, returns = parameters_of(value) if callable(value) else (None, "")
        if kind == "attribute":
            shown = (
                value
                if isinstance(value, (int, float, str, bool, bytes, type(None)))
                else type(value).__name__
            )
            self.tell(["item", home, kind, parameters, returns, "", "", text(shown, 120), ""])
            return
        self.tell(
            [
                "item",
                home,
                kind,
                parameters,
                returns,
                first_line(value),
                deprecation_of(value),
                "",
                body_of(value),
            ]
        )
        self.examples(value, home)

    def examples(self, value, home):
        doc = getattr(value, "__doc__", None)
        if not isinstance(doc, str) or ">>>" not in doc or len(doc) > 60000:
            return
        found = examples_of(inspect.cleandoc(doc))
        if found is None:
            self.tell(["lost", "a docstring example that does not parse"])
            return
        for pieces in found[:_MOST_EXAMPLES]:
            self.tell(["example", home, pieces])

    def a_class(self, cls, home):
        parameters = parameters_of(cls)[0]
        bases = ", ".join(base.__qualname__ for base in cls.__mro__[1:] if base is not object)
        body = body_of(vars(cls).get("__init__")) if "__init__" in vars(cls) else ""
        self.tell(
            [
                "item",
                home,
                "class",
                parameters,
                "",
                first_line(cls),
                deprecation_of(cls),
                bases[:280],
                body,
            ]
        )
        self.examples(cls, home)
        for name in sorted(n for n in dir(cls) if isinstance(n, str)):
            if name.startswith("_") and name not in ("__call__",):
                continue
            if not name.isidentifier():
                continue
            owner = next((base for base in cls.__mro__ if name in vars(base)), None)
            if owner is None or not self.own(getattr(owner, "__module__", "")):
                continue
            self.member(cls, owner, name, home)

    def accessors(self, cls, path, exported):
        """Read classes that a class hands out by a descriptor, as `Series.str` does."""
        for name in sorted(n for n in dir(cls) if isinstance(n, str) and not n.startswith("_")):
            owner = next((base for base in cls.__mro__ if name in vars(base)), cls)
            raw = vars(owner).get(name)
            # Not `isroutine`, which takes a descriptor of any kind for one.
            if inspect.isfunction(raw) or isinstance(
                raw, (type, property, classmethod, staticmethod)
            ):
                continue
            try:
                value = getattr(cls, name)
            except BaseException:
                continue
            if inspect.isclass(value) and self.own(value.__module__):
                home = value.__module__ + "." + value.__qualname__
                self.tell(["name", path + "." + name, home, exported, ""])
                if home not in self.told:
                    self.told.add(home)
                    self.a_class(value, home)

    def member(self, cls, owner, name, class_home):
        raw = vars(owner)[name]
        where = class_home if owner is cls else owner.__module__ + "." + owner.__qualname__
        home = where + "." + name
        if "<" in home:
            home = class_home + "." + name
        self.tell(["member", class_home, name, home])
        if home in self.told:
            return
        self.told.add(home)
        function = raw.__func__ if isinstance(raw, (classmethod, staticmethod)) else raw
        if isinstance(raw, property):
            self.tell(
                [
                    "item",
                    home,
                    "property",
                    None,
                    "",
                    first_line(raw),
                    deprecation_of(raw),
                    "",
                    body_of(raw.fget) if raw.fget else "",
                ]
            )
            if raw.fget:
                self.examples(raw, home)
        elif inspect.isroutine(function) or (
            callable(function) and hasattr(function, "__wrapped__")
        ):
            parameters, returns = parameters_of(function)
            if parameters and not isinstance(raw, staticmethod) and parameters[0][1] in (0, 1):
                parameters = parameters[1:]  # self or cls
            self.tell(
                [
                    "item",
                    home,
                    "method",
                    parameters,
                    returns,
                    first_line(function),
                    deprecation_of(function),
                    "",
                    body_of(function),
                ]
            )
            self.examples(function, home)
        else:
            kind = (
                "property"
                if inspect.isdatadescriptor(raw) or hasattr(raw, "__get__")
                else "attribute"
            )
            self.tell(
                [
                    "item",
                    home,
                    kind,
                    None,
                    "",
                    first_line(raw) if kind == "property" else "",
                    "",
                    "",
                    "",
                ]
            )


def main():
    tops = SETTINGS["tops"]
    mark = SETTINGS["mark"].encode("ascii")
    lines, size, current = [], [0], [None]
    waiting = modules_of(tops)
    ends = time.monotonic() + SETTINGS["seconds"]
    begun = set()

    def read_line(line):
        if line.startswith(b'["begin", '):
            try:
                current[0] = json.loads(line)[1]
                begun.add(current[0])
            except Exception:
                pass
            return
        size[0] += len(line)
        if size[0] <= SETTINGS["most_bytes"]:
            lines.append(line)

    restarts = 0
    while waiting:

        def work(tell, names=tuple(waiting)):
            reader = Reader(tell, set(tops))
            for name in names:
                tell(["begin", name])
                reader.module(name)

        current[0] = None
        why = in_child(work, read_line, SETTINGS["silence_s"], SETTINGS["most_bytes"])
        waiting = [name for name in waiting if name not in begun]
        if why:
            lines.append(json.dumps(["lost", "its import ends the process (%s)" % why]).encode())
            lines.append(json.dumps(["why", str(current[0]), why]).encode())
            restarts += 1
            if current[0] is None or restarts > 20 or time.monotonic() > ends:
                lines.extend(b'["lost", "not reached"]' for _ in waiting)
                break
    hand_over(lines, mark)


main()
