"""A package that attacks the miner: its losses are counted, and nothing of it runs on the host."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from local_wheels import make_wheel, use_links
from test_mining_local import kinds, losses, run

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("griffe")

ATTACKS = {
    "a_writes": "open({marker!r} + '-write', 'w').write('x')",
    "b_connects": "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
    "c_exits": "import sys; sys.exit(0)",
    "d_dies": "import os; os._exit(0)",
    "e_kills": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "f_floods": "print('x' * 50_000_000)",
    "g_prints": (
        "import json, os\n"
        "for fd in range(3, 40):\n"
        "    try:\n"
        '        os.write(fd, b\'["name", "numpy.forged", "numpy.forged", true, ""]\\n\')\n'
        '        os.write(fd, b\'["member", "numpy.a", "b", "numpy.a.b"]\\n\')\n'
        "    except OSError:\n"
        "        pass\n"
    ),
    "h_recurses": "def f(): f()\nf()",
    "i_forks": (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
    ),
    "j_doc": "class Bad:\n    @property\n    def __doc__(self): raise SystemExit\nbad = Bad()",
    "k_repr": "class R:\n    def __repr__(self): raise SystemExit\ndef f(x=R()): pass\nvalue = R()",
    "z_replaces": (
        "import builtins, inspect, json\n"
        "inspect.signature = lambda *a, **k: 1 / 0\n"
        "json.dumps = lambda *a, **k: 'forged'\n"
        "builtins.isinstance = lambda *a: True\n"
        "builtins.sorted = lambda *a, **k: []\n"
    ),
}
HONEST = "def stays(a):\n    return a\n\ndef goes(a):\n    return a\n"


def test_a_hostile_package_loses_its_own_modules_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket
    import threading

    links = tmp_path / "links"
    links.mkdir()
    use_links(links, tmp_path / "cache", monkeypatch)
    marker = str(tmp_path / "marker")
    with socket.create_server(("127.0.0.1", 0)) as server:
        connected: list[object] = []

        def wait() -> None:
            with contextlib.suppress(OSError):
                connected.append(server.accept())

        threading.Thread(target=wait, daemon=True).start()
        port = server.getsockname()[1]
        attacks = {
            f"evillib/{name}.py": code.replace("{marker!r}", repr(marker)).replace(
                "{port}", str(port)
            )
            for name, code in ATTACKS.items()
        }
        # A .pth file is a program: Python runs it at its start, unless it is told not to.
        pth = f"import pathlib; pathlib.Path({marker + '-pth'!r}).touch()\n"
        old = {"evillib/__init__.py": HONEST, "evillib.pth": pth, **attacks}
        new = {**old, "evillib/__init__.py": HONEST.partition("\ndef goes")[0] + "\n"}
        make_wheel(links, "evillib", "1.0", old)
        make_wheel(links, "evillib", "2.0", new)
        mined = run(tmp_path, "evillib")
    assert not list(tmp_path.glob("marker*"))
    assert not connected
    lost = losses(mined, "runtime")
    assert "its import ends the process" in lost
    assert "does not import (SystemExit)" in lost
    assert "does not import (RecursionError)" in lost
    assert kinds(mined)["removed", "evillib.goes"].executed
    text = json.dumps([str(candidate) for candidate in mined.candidates])
    assert "numpy" not in text
    assert all(name.startswith("evillib.") for c in mined.candidates for name in c.names)
