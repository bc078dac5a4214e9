"""Fixtures of the trainer's tests; those that load torch are marked `slow` where they stand."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def libraries() -> None:
    """Skip where the trainer's libraries are missing."""
    for name in ("torch", "trl", "peft", "datasets"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is missing: pip install 'recode-eval[train]'")
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_model(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model of a few thousand weights."""
    from tiny_training import save_model

    return save_model(tmp_path_factory.mktemp("tiny-model"))
