"""Writes to the bait and to every place of the system that is usually writable to somebody.

Expect: contained
"""

import errno
import os

import bait

PLACES = (
    "/",
    "/etc",
    "/usr",
    "/usr/lib",
    "/usr/local/bin",
    "/bin",
    "/opt",
    "/root",
    "/home",
    "/srv",
    "/mnt",
    "/media",
    "/run",
    "/run/lock",
    "/var",
    "/var/tmp",
    "/var/log",
    "/var/spool/cron",
    "/dev",
    "/dev/mqueue",
    "/sys",
    "/proc",
    "/boot",
    "/lost+found",
    bait.FOLDER,
)


def state(path):
    """What a change of the file would change; a call may say that it succeeded and do nothing."""
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino


for place in PLACES:
    name = os.path.join(place, "recode-attack")
    for make in (
        lambda n: os.close(os.open(n, os.O_CREAT | os.O_WRONLY)),
        os.mkdir,
        os.mkfifo,
        lambda n: os.symlink("/", n),
    ):
        try:
            make(name)
            print("ESCAPED: made", name, flush=True)
            (os.rmdir if make is os.mkdir else os.unlink)(name)
        except OSError:
            pass
for path in [*bait.FILES, bait.SHARED_MEMORY]:
    for change in (
        lambda p: open(p, "a").write("recode-attack\n"),
        lambda p: os.truncate(p, 0),
        os.unlink,
        lambda p: os.chmod(p, 0o777),
        lambda p: os.utime(p, (0, 0)),
    ):
        before = state(path)
        if before == errno.ENOENT:  # in a /dev/shm of its own, whoever writes makes a new file
            continue
        try:
            change(path)
        except OSError:
            continue
        if state(path) != before:
            print("ESCAPED: changed", path, flush=True)
