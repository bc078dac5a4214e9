"""Changes the sandbox's own program, the interpreter or the libraries, for those who come later.

Expect: contained
"""

import os
import sys

TEXT = b"\nrecode_attack = 1  # recode-attack\n"
folders = {os.path.dirname(os.__file__), sys.prefix, os.path.dirname(sys.executable), *sys.path}
for name, module in list(sys.modules.items()):
    path = getattr(module, "__file__", None)
    if path and os.path.basename(path) == "__init__.py":
        folders |= {os.path.dirname(path), os.path.join(os.path.dirname(path), "__pycache__")}
for folder in folders:
    for name in ("recode_attack.py", "sitecustomize.py", "recode-attack.pth"):
        path = os.path.join(folder, name)
        try:
            handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.write(handle, TEXT)
            print("ESCAPED: wrote", path, flush=True)
        except OSError:
            pass
for module in ("os", "json", "random", "socket", "tempfile", "encodings"):
    for path in (sys.modules[module].__file__, getattr(sys.modules[module], "__cached__", None)):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.write(handle, TEXT)
            print("ESCAPED: changed", path, flush=True)
        except (OSError, TypeError):
            pass
for path in ("/opt/recode-eval", "/opt/recode-eval/supervisor", sys.executable):
    for change in (lambda p: os.chmod(p, 0o777), lambda p: os.rename(p, p + "-recode-attack")):
        try:
            change(path)
            print("ESCAPED: changed", path, flush=True)
        except OSError:
            pass
