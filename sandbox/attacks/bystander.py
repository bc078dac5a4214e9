"""An honest program that runs beside the attacks, on another worker, and must not notice them."""

import os
import threading
import time


def watch():
    """Keep a file for a while, then use a thread and a process; raise if anything is odd."""
    secret = os.urandom(16).hex()
    environment = dict(os.environ)
    with open("own", "w") as file:
        file.write(secret)
    for _ in range(10):
        time.sleep(0.02)
        names = os.listdir(".")
        assert names == ["own"], f"foreign files: {names}"
        with open("own") as file:
            assert file.read() == secret, "the file was changed"
    assert dict(os.environ) == environment, "the environment was changed"
    thread = threading.Thread(target=time.sleep, args=(0.001,))
    thread.start()
    thread.join()
    child = os.fork()
    if child == 0:
        os._exit(7)
    assert os.waitpid(child, 0)[1] == 7 << 8, "a child did not end as told"
