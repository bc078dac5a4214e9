"""Changes the sandbox's own program, the interpreter or the libraries, for those who come later.

What succeeds is undone at once. Expected is that nothing does.
Expect: contained
"""

import os
import stat
import sys

PATH = [folder for folder in sys.path if folder != os.getcwd()]
folders = {os.path.dirname(os.__file__), sys.prefix, os.path.dirname(sys.executable), *PATH}
for name, module in list(sys.modules.items()):
    path = getattr(module, "__file__", None)
    if path and os.path.basename(path) == "__init__.py":
        folders |= {os.path.dirname(path), os.path.join(os.path.dirname(path), "__pycache__")}
for folder in folders:
    for name in ("recode_attack.py", "sitecustomize.py", "recode-attack.pth"):
        path = os.path.join(folder, name)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.unlink(path)
            print("ESCAPED: made", path, flush=True)
        except OSError:
            pass
for module in ("os", "json", "random", "socket", "tempfile", "encodings"):
    for path in (sys.modules[module].__file__, getattr(sys.modules[module], "__cached__", None)):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
            print("ESCAPED: may write to", path, flush=True)
        except (OSError, TypeError):
            pass
for path in ("/opt/recode-eval", sys.executable, os.path.dirname(os.__file__), *PATH):
    try:
        mode = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode ^ stat.S_ISVTX)
        if os.stat(path).st_mode & 0o7777 != mode:  # the call may say so and do nothing
            os.chmod(path, mode)
            print("ESCAPED: may change the rights of", path, flush=True)
    except OSError:
        pass
    try:
        os.rename(path, path + "-recode-attack")
        os.rename(path + "-recode-attack", path)
        print("ESCAPED: may rename", path, flush=True)
    except OSError:
        pass
