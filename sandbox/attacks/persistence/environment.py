"""Changes the environment, the folder, the mask, the limits and the priority of its process.

Expect: contained
"""

import ctypes
import os
import resource

libc = ctypes.CDLL(None)
os.environ["RECODE_ATTACK"] = "1"
os.environ["PYTHONSTARTUP"] = os.environ["LD_PRELOAD"] = "/tmp/recode-attack"
libc.setenv(b"RECODE_ATTACK_C", b"1", 1)
libc.clearenv()
os.chdir("/")
os.umask(0o777)
os.nice(5)
resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
