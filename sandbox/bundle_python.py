"""Copy the running Python, and every shared library it needs, into a folder of its own.

The copy runs on any Linux of the same processor, whatever C library is installed there, since it
brings the dynamic loader along:

    FOLDER/loader --library-path FOLDER/shared FOLDER/bin/python3 -I -S ...

Standard library only; without what a supervisor never imports (tests, tkinter, pip's wheels).
"""

import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

_LEFT_OUT = (
    "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages",
    "dist-packages", "distutils", "pydoc_data", "config-*", "__pycache__", "*.a",
)  # fmt: skip


def bundle(folder: pathlib.Path) -> None:
    """Make the copy in `folder`, which must not exist."""
    name = "python{}.{}".format(*sys.version_info[:2])
    library = folder / "lib" / name
    shutil.copytree(
        sysconfig.get_path("stdlib"), library, ignore=shutil.ignore_patterns(*_LEFT_OUT)
    )
    modules = pathlib.Path(sysconfig.get_config_var("DESTSHARED"))
    if not (library / modules.name).is_dir():
        shutil.copytree(modules, library / modules.name)
    (folder / "bin").mkdir()
    executable = pathlib.Path(sys.executable).resolve()
    shutil.copy2(executable, folder / "bin" / "python3")
    (folder / "shared").mkdir()
    for path in sorted(_needed([executable, *modules.glob("*.so")])):
        if path.name.startswith("ld-"):
            shutil.copy2(path, folder / "loader")
        shutil.copy2(path, folder / "shared" / path.name)
    assert (folder / "loader").is_file(), "no dynamic loader found"
    compiled = [sys.executable, "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*compiled, str(library)], check=False)
    command = [folder / "loader", "--library-path", folder / "shared", folder / "bin" / "python3"]
    check = "import ctypes, json, socket, sys; assert sys.prefix == sys.argv[1], sys.prefix"
    subprocess.run([*command, "-I", "-S", "-B", "-c", check, str(folder)], check=True)


def _needed(files: "list[pathlib.Path]") -> "set[pathlib.Path]":
    """The shared libraries that these files are linked to, the loader among them."""
    found = set()
    for file in files:
        listed = subprocess.run(
            ["/usr/bin/ldd", str(file)], capture_output=True, text=True, check=False
        )
        for match in re.finditer(r"(/\S+) \(0x", listed.stdout):
            found.add(pathlib.Path(match[1]))
    return found


if __name__ == "__main__":
    bundle(pathlib.Path(sys.argv[1]))
