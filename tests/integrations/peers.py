"""Run another program's Python with this checkout installed beside it, entry points and all."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKOUT = Path(__file__).parents[2]
SOLVER = """
from inspect_ai.model import ModelOutput
from inspect_ai.solver import solver
@solver
def fixed():
    async def solve(state, generate):
        state.output = ModelOutput.from_content("mockllm/model", "no code")
        return state
    return solve
"""
"""Instead of the mock model's own answer, whose tokens it counts with a downloaded tokenizer."""


def installed(folder: Path) -> dict[str, str]:
    """Return an environment in which the checkout is an installed package of its own name."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    info = folder / "recode_eval-0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: recode-eval\nVersion: 0\n")
    (info / "RECORD").write_text("")
    # As `pip install -e` leaves it (PEP 610): inspect_ai names a task after an installed package.
    editable = {"url": CHECKOUT.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(editable))
    (info / "top_level.txt").write_text("recode_eval\n")
    groups = project.get("entry-points", {})
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in members.items())
        for group, members in groups.items()
    )
    (info / "entry_points.txt").write_text(text)
    # What the wheel puts beside the package (pyproject.toml, force-include).
    (folder / "recode_taskset.py").write_text(
        (CHECKOUT / "recode_eval" / "integrations" / "verifiers_taskset.py").read_text()
    )
    paths = [str(CHECKOUT), str(folder)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def run(
    python: str, words: Sequence[str], folder: Path, *, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment (`inspect`, `python`, ...) in a folder."""
    program = str(Path(python).with_name(words[0]))
    return subprocess.run(
        [program, *words[1:]], cwd=folder, env=installed(folder), capture_output=True, text=True,
        check=False, timeout=timeout,
    )  # fmt: skip
