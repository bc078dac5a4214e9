"""Reads files of the evaluator's machine: bait, passwords, keys, the evaluator's own folders.

Expect: contained
"""

import os

import bait

for path in [*bait.FILES, bait.SHARED_MEMORY]:
    try:
        with open(path) as file:
            print("ESCAPED: read", path, repr(file.read(20)), flush=True)
    except OSError:
        pass
SECRET = (
    "/etc/shadow",
    "/etc/gshadow",
    "/root/.ssh/id_rsa",
    "/root/.bash_history",
    "/etc/sudoers",
    "/etc/machine-id",
    "/var/lib/docker/engine-id",
    "/run/secrets",
    "/var/log/syslog",
)
for path in SECRET:
    try:
        with open(path, "rb") as file:
            if file.read(1):
                print("ESCAPED: read", path, flush=True)
    except OSError:
        pass
for folder in ("/root", "/home", os.path.dirname(bait.FOLDER), "/var/lib/docker"):
    try:
        names = os.listdir(folder)
        if names:
            if any(bait.FOLDER.startswith(f"{folder}/{n}") or n.startswith(".ssh") for n in names):
                print("ESCAPED: listed", folder, names[:5], flush=True)
    except OSError:
        pass
