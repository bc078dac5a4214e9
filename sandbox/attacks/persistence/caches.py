"""Leaves files in the places where libraries keep caches and settings that they load later.

Expect: contained
"""

import os

home = os.path.expanduser("~")
for path in (
    ".cache/recode-attack",
    ".config/matplotlib/matplotlibrc",
    ".pythonrc",
    ".local/lib",
    ".config/pip/pip.conf",
    ".netrc",
    ".pdbrc",
    ".profile",
    ".ipython/profile_default",
):
    try:
        full = os.path.join(home, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as file:
            file.write("recode-attack\n")
    except OSError:
        pass
