"""Parts that run inside of a test cluster: a model without weights, and replicas that have it.

The processes of the cluster import this module, so it must not be a test module.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.distributed.node import Replica
from recode_eval.errors import UsageError
from recode_eval.models.base import Completion, FinishReason, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.models.base import Request, SamplingParameters
    from recode_eval.models.options import ModelOptions


class EchoModel:
    """Answers with what identifies the sample.

    `spec` is FOLDER:SECONDS, those that a sample takes, or a checkpoint's folder.
    """

    def __init__(self, spec: str) -> None:
        folder, _, seconds = spec.rpartition(":")
        if Path(spec).is_dir():
            folder, seconds = str(Path(spec).parent), "0.01"
        self._folder, self._seconds = Path(folder), float(seconds)
        with (self._folder / "loaded").open("a") as file:
            file.write(f"{spec} {os.getpid()}\n")
        identity = self._folder / "identity"
        self.info = ModelInfo(
            spec, "transformers", {"weights": identity.read_text() if identity.exists() else spec}
        )

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        for request in requests:
            for sample, seed in zip(request.samples, request.seeds, strict=True):
                time.sleep(self._seconds)
                with (self._folder / f"{os.getpid()}").open("a") as file:
                    file.write(f"{request.problem_id} {sample}\n")
                yield Completion(
                    request.problem_id, sample, f"{request.problem_id} {seed}", FinishReason.STOP
                )

    def close(self) -> None:
        pass


class EchoReplica(Replica):
    """A replica of `EchoModel`."""

    def load(self, spec: str, backend: str, options: ModelOptions) -> ModelInfo:
        if spec == "broken":
            raise UsageError("there is no model 'broken'")
        if spec == "crash":
            raise ZeroDivisionError("by zero\nand more")
        self._model = EchoModel(spec)
        return self._model.info
