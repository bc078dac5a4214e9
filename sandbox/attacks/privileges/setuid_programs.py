"""Executes programs that run as root: su, sudo, mount, passwd; makes one of its own.

Expect: contained
"""

import os
import shutil
import stat
import subprocess

for path in ("/bin/su", "/usr/bin/su", "/usr/bin/sudo", "/usr/bin/pkexec", "/usr/bin/newgrp"):
    try:
        command = [path, "-c", "id -u"] if path.endswith("su") else [path, "id", "-u"]
        said = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=1.5)
        if said.stdout.strip() == b"0":
            print("ESCAPED: became root with", path, flush=True)
    except (OSError, subprocess.SubprocessError):
        pass
try:
    shutil.copyfile("/usr/bin/id", "recode-attack-id")
    os.chmod("recode-attack-id", stat.S_ISUID | stat.S_ISGID | 0o755)
    said = subprocess.run(["./recode-attack-id", "-u"], capture_output=True, timeout=1.5).stdout
    if said and int(said) != os.getuid():
        print("ESCAPED: a program ran as another user", said, flush=True)
except (OSError, ValueError, subprocess.SubprocessError):
    pass
