"""A script of these tests in two processes of torch's launcher, on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def finish(state: Any, output: Path, found: Any) -> None:
    """End such a script: its first process writes `found.json`.

    Then all leave the group, as the command line does: a process that ends in a group can abort.
    """
    if state.is_main_process:
        (output / "found.json").write_text(json.dumps(found))
    state.wait_for_everyone()
    state.destroy_process_group()


def in_two_processes(script: str, model: Path, folder: Path) -> Any:
    """Run it with the model and a folder, and return what it wrote to `found.json` there.

    It imports this checkout, whatever is installed.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (HERE, *HERE.parents[:2]))),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "ACCELERATE_USE_CPU": "true",
    }
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--master_addr", "127.0.0.1", "--master_port", "0", "--rdzv_backend", "c10d",
        "--rdzv_endpoint", "127.0.0.1:0",
        str(HERE / script), str(model), str(folder),
    ]  # fmt: skip
    process = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())
