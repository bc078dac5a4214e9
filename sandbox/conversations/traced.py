# Runs inside the sandbox, in the place of an answer: runs a source, and prints the traceback of its
# failure to standard error, after a mark. Frames of this file and of the tests' frame are left out;
# names of library files are told from the library on. Python 3.7 and later.
def __recode_traced__(source, file, shown, name):
    import os

    # Spelt so that the harness does not take this for a program that wants its own file: to write
    # one costs more than all the rest.
    cache = __import__("line-cache".replace("-", "")).cache
    space = globals()
    own = __recode_traced__.__code__.co_filename

    def short(filename):
        import sys
        import sysconfig

        folders = {*sysconfig.get_paths().values(), *sys.path, os.path.dirname(own)}
        for folder in sorted(filter(None, folders), key=len, reverse=True):
            if filename.startswith(folder + os.sep):
                return filename[len(folder) + 1 :]
        return os.path.basename(filename)

    def clean(told, seen):
        while told is not None and id(told) not in seen:
            seen.add(id(told))
            kept = []
            for frame in told.stack:
                ours = frame.filename in {own, "<test>"} or (frame.filename == file and not shown)
                if not ours:
                    frame.line  # noqa: B018 - looks it up, under the name that the file has
                    frame.filename = short(frame.filename)
                    kept.append(frame)
            told.stack[:] = kept
            for inner in getattr(told, "exceptions", None) or ():
                clean(inner, seen)
            clean(told.__cause__, seen)
            told = told.__context__

    def tell(error):
        import traceback

        told = traceback.TracebackException(type(error), error, error.__traceback__)
        clean(told, set())
        text = "".join(told.format())[-20000:]
        import sys

        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:
                pass
        os.write(2, ("\n" + __recode_mark__ + "\n" + text).encode("utf-8", "backslashreplace"))

    if shown:
        lines = source.splitlines(True)
        cache[file] = (len(source), None, lines, file)
        try:  # a program that wants its file has this one there
            path = os.path.join(os.path.dirname(own), file)
            if path != file and os.path.exists(path):
                with open(path, "w", encoding="utf-8") as out:
                    out.write(source)
        except BaseException:
            pass
    before = space["__name__"]
    space["__name__"] = name
    try:
        exec(compile(source, file, "exec", 0, True), space)
    except BaseException as error:
        if isinstance(error, SystemExit) and name == "__main__" and error.code in (None, 0):
            return
        try:
            tell(error)
        except BaseException:
            pass
        raise
    finally:
        space["__name__"] = before
