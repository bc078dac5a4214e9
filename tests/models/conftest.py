"""Checkpoints and requests that the tests of the models share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recode_eval.models import Message, Prompt, Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PREFILL = "Let me solve this step by step.\n<think>"
QUESTIONS = (
    "Write add(a, b).",
    "Write a Stack class with push, and say why the old one was removed in version two.",
    "import numpy as np; make a 3 by 4 array of zeros. " * 4,
    "print hello",
    "The function now takes another argument; use it. " * 2,
    "x",
)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Llama with random weights and a chat template."""
    torch = pytest.importorskip("torch", reason="needs pip install 'recode-eval[transformers]'")
    torch.set_num_threads(1)  # a model this small only loses by more
    pytest.importorskip("transformers", reason="needs pip install 'recode-eval[transformers]'")
    import tiny_model

    return tiny_model.build_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def adapters(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of `tiny`: `lora`, `dora`, and `untrained`."""
    pytest.importorskip("peft", reason="needs pip install 'recode-eval[transformers]'")
    import tiny_model

    folder = tmp_path_factory.mktemp("adapters")
    return {
        "lora": tiny_model.build_adapter(folder / "lora", tiny),
        "dora": tiny_model.build_adapter(folder / "dora", tiny, dora=True),
        "untrained": tiny_model.build_adapter(folder / "untrained", tiny, zero=True),
    }


def request_maker(
    questions: Any = QUESTIONS, samples: Any = (0, 1), prefill: str = PREFILL
) -> list[Request]:
    """A request per question, each sample with a seed of its own."""
    return [
        Request(
            f"p{number}",
            Prompt((Message("system", "You write code."), Message("user", text)), prefill),
            tuple(samples),
            tuple(1000 * number + sample for sample in samples),
        )
        for number, text in enumerate(questions)
    ]


@pytest.fixture(scope="session")
def make_requests() -> Callable[..., list[Request]]:
    """The function `request_maker`."""
    return request_maker
