# Runs inside the sandbox: finds the source of a module, a dotted name or a file of the installed
# library, and prints it as one line of JSON after a mark. Nothing outside of the folders that the
# environment's packages lie in is read. Python 3.7 and later.
def __recode_read__(given, mark):
    import importlib
    import inspect
    import json
    import os
    import sys
    import sysconfig
    import warnings

    warnings.simplefilter("ignore")
    folders = {sysconfig.get_paths()[key] for key in ("purelib", "platlib")}
    folders |= {path for path in sys.path if os.path.basename(path) == "site-packages"}
    folders = sorted(os.path.realpath(folder) for folder in folders if os.path.isdir(folder))
    texts = (".py", ".pyi", ".txt", ".md", ".rst", ".toml", ".cfg", ".ini", ".pyx", ".pxd", ".json")

    def inside(path):
        """The real path and what it is called, if it lies in the library."""
        real = os.path.realpath(path)
        for folder in folders:
            if real.startswith(folder + os.sep) and os.path.isfile(real):
                return real, real[len(folder) + 1 :]
        return None

    def of_file(path):
        real, name = path
        with open(real, encoding="utf-8", errors="replace") as file:
            return {"file": name, "first": 1, "lines": file.read(8 << 20).split("\n")}

    def described(name, thing):
        """What is known of an object that has no source: its signature and docstring."""
        try:
            head = name + str(inspect.signature(thing))
        except (TypeError, ValueError):
            head = name + ": " + type(thing).__name__
        text = inspect.getdoc(thing) or given["docs"].get(name) or "(no docstring)"
        if inspect.ismodule(thing):  # built in, or of the standard library: what is there?
            names = [n for n in dir(thing) if not n.startswith("_")]
            head, text = name, text + "\n\nIt has: " + ", ".join(names[:500])
        return {"file": "", "first": 1, "lines": (head + "\n" + text).split("\n")}

    def of_object(name, thing):
        try:
            inner = inspect.unwrap(thing) if callable(thing) else thing
            if isinstance(inner, property):
                inner = inner.fget
            path = inside(inspect.getsourcefile(inner) or "")
            if path is None:
                return described(name, thing)
            if inspect.ismodule(inner):
                return of_file(path)
            lines, first = inspect.getsourcelines(inner)
        except (TypeError, OSError, ValueError, IndexError):
            return described(name, thing)
        return {
            "file": path[1],
            "first": max(1, first),
            "lines": "".join(lines).rstrip("\n").split("\n"),
        }

    def of_name(name):
        parts = name.split(".")
        reason = "there is no module " + parts[0]
        for count in range(len(parts), 0, -1):
            module = ".".join(parts[:count])
            try:
                thing = importlib.import_module(module)
            except ModuleNotFoundError:
                continue
            except BaseException as error:
                reason = module + " cannot be imported: " + type(error).__name__
                continue
            for part in parts[count:]:
                try:
                    thing = getattr(thing, part)
                except BaseException:
                    names = [n for n in dir(thing) if not n.startswith("_")]
                    return {"error": module + " has no " + part, "names": names[:200]}
            return of_object(name, thing)
        return {"error": reason}

    def found():
        if given["path"]:
            for folder in folders:
                path = os.path.join(folder, *given["name"].split("/"))
                if os.path.isdir(path):
                    path = os.path.join(path, "__init__.py")
                place = inside(path)
                if place is not None and place[1].endswith(texts):
                    return of_file(place)
            return {"error": "the library has no such text file"}
        return of_name(given["name"])

    answer = found()
    lines = answer.pop("lines", None)
    if lines is not None:
        start = answer["first"]
        last = start + len(lines) - 1
        wanted = given["first_line"] or start
        end = given["last_line"] or last
        answer["last"], answer["of"] = min(end, last), last
        answer["text"] = "\n".join(lines[max(0, wanted - start) : max(0, end - start + 1)])[:10000]
        answer["first"] = max(start, wanted)
    text = json.dumps(answer)
    sys.stdout.flush()
    os.write(1, ("\n" + mark + text + "\n").encode("ascii"))
