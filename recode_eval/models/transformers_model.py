"""Generation with transformers: batches of rows, padded on the left, each with its own seed.

A row is one sample of one problem. Rows are sorted by length, longest first, so that padding is
small and a batch that does not fit into memory shows at once; it is then halved, and the smaller
size kept. The samples of a problem stay together where they can, because they share one prefill
(`prefix`). `sampling` explains why a row does not depend on its batch.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.models.backend import CHECKPOINT_OPTIONS, Backend
from recode_eval.models.base import Completion, FinishReason, ModelInfo
from recode_eval.models.chat import PromptEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_eval.models.base import Request, SamplingParameters
    from recode_eval.models.options import ModelOptions

_LOG: Final = logging.getLogger(__name__)
_ACCELERATOR_BATCH: Final = 64
_CPU_BATCH: Final = 16
_FULL_ENOUGH: Final = 0.6
"""Share of a batch that must be left when it ends early, so that a problem is not cut in two."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One sample to generate."""

    problem_id: str
    sample: int
    seed: int
    ids: list[int]
    limit: int
    """Most tokens it may get: what was asked for, or what the context leaves."""


class TransformersModel:
    """A checkpoint in this process, on one device or spread over several."""

    def __init__(self, spec: str, options: ModelOptions) -> None:
        """Load the model; takes seconds to minutes.

        Raises `UsageError` for a checkpoint, adapter or device that is not there or does not fit,
        and `InfrastructureError` when the hub is out of reach or the memory too small.
        """
        from recode_eval.models.checkpoint import check_name, resolve_checkpoint

        check_name(spec)
        _require_packages()
        from recode_eval.models.loading import check_token_ids, load_model, load_tokenizer

        checkpoint = resolve_checkpoint(spec, options)
        tokenizer = load_tokenizer(checkpoint, options)
        model, details = load_model(checkpoint, options)
        check_token_ids(model, tokenizer, checkpoint.model.location)
        self._set_up(
            model,
            tokenizer,
            checkpoint.name,
            {**checkpoint.identity, "dtype": details["dtype"]},
            details,
            options,
        )

    @classmethod
    def around(
        cls, model: Any, tokenizer: Any, *, name: str, identity: Mapping[str, Any]
    ) -> TransformersModel:
        """Wrap a model that is in memory already, for example one in training.

        `identity` must say which weights these are, as records are reused by it. The model stays
        the caller's: `close` gives back its generation settings; that it is in evaluation mode
        (no dropout) is the caller's business.
        """
        from recode_eval.models.options import ModelOptions

        wrapped = cls.__new__(cls)
        details = {"device": str(model.device), "dtype": str(model.dtype).split(".")[-1]}
        wrapped._set_up(model, tokenizer, name, identity, details, ModelOptions())
        return wrapped

    def _set_up(
        self,
        model: Any,
        tokenizer: Any,
        name: str,
        identity: Mapping[str, Any],
        details: Mapping[str, Any],
        options: ModelOptions,
    ) -> None:
        import torch
        import transformers

        from recode_eval.models.prefix import PrefixSharing

        self._encoder = PromptEncoder(tokenizer)
        self._model = model
        self._context = _context_length(model.config, options.max_context)
        self._eos = _end_tokens(model, tokenizer)
        # The checkpoint's own sampling defaults (repetition penalty, top-k) must not add to ours.
        self._own_settings = model.generation_config
        model.generation_config = _generation_config()
        on_cpu = model.device.type == "cpu"
        self._batch = options.batch_size or (_CPU_BATCH if on_cpu else _ACCELERATOR_BATCH)
        self._sharing = PrefixSharing(model)
        self._info = ModelInfo(
            name=name,
            backend="transformers",
            identity={**identity, "context": self._context},
            details={
                **details,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "context": self._context,
                "batch_size": self._batch,
                "shared_prefill": self._sharing.obstacle is None,
                "chat_template": self._encoder.has_template,
                "parameters": sum(weight.numel() for weight in model.parameters()),
            },
        )

    @property
    def info(self) -> ModelInfo:
        """Name, back-end, identity."""
        return self._info

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield the samples batch by batch, those with the longest prompts first.

        Raises `InfrastructureError` when one row alone does not fit into memory.
        """
        rows: list[_Row] = []
        for request in requests:
            ids = self._encoder.encode(request.prompt)
            room = parameters.max_tokens if self._context is None else self._context - len(ids)
            if room < 1:
                for sample in request.samples:
                    yield Completion(
                        request.problem_id,
                        sample,
                        "",
                        FinishReason.PROMPT_TOO_LONG,
                        prompt_tokens=len(ids),
                        completion_tokens=0,
                    )
                continue
            limit = min(parameters.max_tokens, room)
            rows.extend(
                _Row(request.problem_id, sample, seed, ids, limit)
                for sample, seed in zip(request.samples, request.seeds, strict=True)
            )
        rows.sort(key=lambda row: len(row.ids), reverse=True)
        while rows:
            done = self._run_or_halve(_next_batch(rows, self._batch), parameters)
            del rows[: len(done)]
            yield from done

    def close(self) -> None:
        """Free the model's memory, unless somebody else holds it."""
        if self._model is not None:
            self._model.generation_config = self._own_settings
        from recode_eval.models.memory import empty_caches

        self._model = None
        self._sharing.close()
        empty_caches()

    def _run_or_halve(
        self, rows: Sequence[_Row], parameters: SamplingParameters
    ) -> list[Completion]:
        """Generate `rows`, or as many of them as fit into memory (at least one)."""
        from recode_eval.models.memory import empty_caches, is_out_of_memory

        while True:
            try:
                return self._run(rows, parameters)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise InfrastructureError(f"generation failed: {error}") from error
            # Outside the except clause: the traceback holds on to the tensors.
            empty_caches()
            if len(rows) == 1:
                raise InfrastructureError(
                    f"out of memory with a single sample of {len(rows[0].ids)} prompt tokens;"
                    " lower --max-tokens or --max-context, or use a device with more memory"
                )
            self._batch = len(rows) // 2
            rows = rows[: self._batch]
            _LOG.warning("out of memory; continuing with batches of %d", self._batch)

    def _run(self, rows: Sequence[_Row], parameters: SamplingParameters) -> list[Completion]:
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        from recode_eval.models.sampling import RowStops, SeededSampler

        started = time.perf_counter()
        width = max(len(row.ids) for row in rows)
        pad = self._eos[0] if self._eos else 0
        padded = [[pad] * (width - len(row.ids)) + row.ids for row in rows]
        mask = [[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows]
        sampler = SeededSampler(
            [row.seed for row in rows], parameters.temperature, parameters.top_p
        )
        stops = RowStops(
            width,
            [row.limit for row in rows],
            parameters.stop,
            lambda row, ids: self._encoder.decode(rows[row].ids, ids),
        )
        with torch.inference_mode():
            ids = torch.tensor(padded, device=self._model.device)
            attention = torch.tensor(mask, device=self._model.device)
            output = self._model.generate(
                ids,
                attention_mask=attention,
                generation_config=_generation_config(
                    do_sample=False,  # the processor has drawn; or greedy
                    max_new_tokens=max(row.limit for row in rows),
                    pad_token_id=pad,
                    eos_token_id=self._eos or None,
                ),
                logits_processor=LogitsProcessorList([sampler]),
                stopping_criteria=StoppingCriteriaList([stops]),
                **self._sharing.start(ids, attention),
            )
        generated = output[:, width:].tolist()
        seconds = (time.perf_counter() - started) / len(rows)
        return [
            self._completion(row, ids, parameters.stop, seconds)
            for row, ids in zip(rows, generated, strict=True)
        ]

    def _completion(
        self, row: _Row, ids: list[int], stop: Sequence[str], seconds: float
    ) -> Completion:
        from recode_eval.models.sampling import first_stop

        ids = ids[: row.limit]
        end = next((at for at, token in enumerate(ids) if token in self._eos), None)
        used = len(ids) if end is None else end + 1
        text = self._encoder.decode(row.ids, ids if end is None else ids[:end])
        reason = FinishReason.LENGTH if end is None else FinishReason.STOP
        cut = first_stop(text, stop)
        if cut is not None:
            used = self._tokens_until_stop(row, ids[:used], stop)
            text, reason = text[:cut], FinishReason.STOP
        return Completion(
            row.problem_id,
            row.sample,
            text,
            reason,
            prompt_tokens=len(row.ids),
            completion_tokens=used,
            seconds=seconds,
        )

    def _tokens_until_stop(self, row: _Row, ids: list[int], stop: Sequence[str]) -> int:
        """How many tokens had been generated when the stop string was complete.

        What follows is padding, which must not count.
        """
        from recode_eval.models.sampling import first_stop

        low, high = 1, len(ids)
        while low < high:
            middle = (low + high) // 2
            if first_stop(self._encoder.decode(row.ids, ids[:middle]), stop) is None:
                low = middle + 1
            else:
                high = middle
        return low


def _next_batch(rows: Sequence[_Row], size: int) -> Sequence[_Row]:
    """The first rows, at most `size`; they end between two problems if that costs little room."""
    if len(rows) <= size:
        return rows
    end = size
    while end and rows[end - 1].ids is rows[end].ids:
        end -= 1
    return rows[: end if end >= size * _FULL_ENOUGH else size]


def _require_packages() -> None:
    from importlib.util import find_spec

    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise UsageError(
                f"the transformers back-end needs {package};"
                " pip install 'recode-eval[transformers]'"
            )


def _generation_config(**settings: Any) -> Any:
    from transformers import GenerationConfig

    untyped: Any = GenerationConfig
    return untyped(**settings)


def _context_length(config: Any, wanted: int | None) -> int | None:
    """The most tokens of prompt and completion together; None without a limit."""
    own = getattr(config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(own, int) or own < 1:
        return wanted
    if wanted is not None and wanted > own:
        raise UsageError(f"max_context {wanted} exceeds the model's {own} tokens")
    return wanted or own


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends a turn: the generation config may name more than the tokenizer."""
    found: list[int] = []
    for value in (
        tokenizer.eos_token_id,
        getattr(model.generation_config, "eos_token_id", None),
        getattr(model.config.get_text_config(), "eos_token_id", None),
    ):
        tokens = value if isinstance(value, list | tuple) else [value]
        found.extend(token for token in tokens if token is not None and token not in found)
    return found


BACKEND: Final = Backend(
    lambda name, options, _: TransformersModel(name, options),
    CHECKPOINT_OPTIONS | {"device", "batch_size"},
    loads_checkpoint=True,
)
