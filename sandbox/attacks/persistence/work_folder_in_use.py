"""A child keeps the work directory busy: open files, locks, a running program, its own folder.

Expect: not passed
"""

import fcntl
import os
import shutil
import time

os.mkdir("recode-attack")
if os.fork() == 0:
    os.chdir("recode-attack")
    handle = os.open("busy", os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        shutil.copyfile("/bin/sleep", "program")
        os.chmod("program", 0o755)
        os.execv("program", ["recode-attack-sleep", "30"])
    except OSError:
        time.sleep(30)
    os._exit(0)
time.sleep(0.1)
