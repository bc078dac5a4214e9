"""Generation with vLLM's offline engine: continuous batching, completions as they finish.

The engine runs in processes of its own (one set per data-parallel copy); this process only feeds
it, so that scoring goes on meanwhile. It is started with the `spawn` method: a script that creates
this model must guard its main code with `if __name__ == "__main__"`.

Every sample is a request with its own seed, so its random numbers are its own. The engine's kernels
add up in another order for another batch, as everywhere; vLLM can be told to avoid even that on
recent GPUs (environment variable `VLLM_BATCH_INVARIANT=1`).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.models.backend import CHECKPOINT_OPTIONS, Backend
from recode_eval.models.base import Completion, FinishReason, ModelInfo
from recode_eval.models.chat import PromptEncoder
from recode_eval.models.streaming import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_eval.models.base import Request, SamplingParameters
    from recode_eval.models.checkpoint import Checkpoint
    from recode_eval.models.options import ModelOptions

_ENVIRONMENT: Final = {
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # its default, stdout, is for results
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROCESSING_METHOD": "spawn",  # fork is not safe beside our threads
}
_LORA_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that the engine accepts for `max_lora_rank`."""
_DEFAULT_SEQUENCES: Final = 256
_SHOWN: Final = 300
"""Characters of the engine's message that go into ours."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One sample to generate."""

    problem_id: str
    sample: int
    seed: int
    ids: list[int]
    limit: int


class VllmModel:
    """A checkpoint in vLLM engines on this machine, with a LoRA adapter where one was given."""

    def __init__(self, spec: str, options: ModelOptions) -> None:
        """Start the engine; takes half a minute to several minutes.

        Raises `UsageError` for a checkpoint, adapter or argument that is not there or that vLLM
        cannot serve, and `InfrastructureError` when the engine does not start.
        """
        vllm = _import_vllm()
        from recode_eval.models.checkpoint import resolve_checkpoint
        from recode_eval.models.loading import load_tokenizer

        checkpoint = resolve_checkpoint(spec, options)
        if checkpoint.model.gguf is not None:
            raise UsageError(
                f"{checkpoint.model.location} is a GGUF file, which the vllm back-end does not "
                "serve; use --backend transformers, or give the model in safetensors"
            )
        arguments = _engine_arguments(checkpoint, options)
        self._encoder = PromptEncoder(load_tokenizer(checkpoint, options, mend=False))
        self._lora = _lora_request(checkpoint)
        self._serial = 0
        self._closed = False
        self._loop = BackgroundLoop("recode-eval-vllm")
        try:
            self._engine = self._loop.run(_start(arguments, self._lora))
        except BaseException:
            self._loop.close()
            raise
        config = self._engine.model_config
        self._context = int(config.max_model_len)
        scheduler = getattr(self._engine.vllm_config, "scheduler_config", None)
        sequences = getattr(scheduler, "max_num_seqs", None) or _DEFAULT_SEQUENCES
        self._in_flight = int(sequences) * options.data_parallel_size
        dtype = str(config.dtype).removeprefix("torch.")
        self._info = ModelInfo(
            name=checkpoint.name,
            backend="vllm",
            identity={
                **checkpoint.identity,
                "dtype": dtype,
                "context": self._context,
                "engine_args": dict(options.engine_args),
            },
            details={
                "vllm": vllm.__version__,
                "dtype": dtype,
                "context": self._context,
                "sequences": self._in_flight,
                "tensor_parallel_size": options.tensor_parallel_size,
                "data_parallel_size": options.data_parallel_size,
                "chat_template": self._encoder.has_template,
            },
        )

    @property
    def info(self) -> ModelInfo:
        """Name, back-end, identity."""
        return self._info

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield the samples in the order in which they finish.

        Raises `InfrastructureError` when the engine dies.
        """
        jobs: list[_Job] = []
        for request in requests:
            ids = self._encoder.encode(request.prompt)
            limit = min(parameters.max_tokens, self._context - len(ids))
            if limit < 1:
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
            jobs.extend(
                _Job(request.problem_id, sample, seed, ids, limit)
                for sample, seed in zip(request.samples, request.seeds, strict=True)
            )
        # Not more than the engine computes at once: the others would only wait inside it.
        yield from self._loop.stream(
            (partial(self._complete, job, parameters) for job in jobs), self._in_flight
        )

    def close(self) -> None:
        """End the engine's processes, which frees the GPU. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            self._loop.run(_shut_down(self._engine))
        finally:
            self._loop.close()

    async def _complete(self, job: _Job, parameters: SamplingParameters) -> Completion:
        started = time.perf_counter()
        self._serial += 1
        results = self._engine.generate(
            {"prompt_token_ids": job.ids},
            _sampling_params(job, parameters),
            request_id=str(self._serial),
            lora_request=self._lora,
        )
        try:
            (result,) = [item async for item in results]  # the final one only
        except Exception as error:  # the engine's errors have no common base class
            raise InfrastructureError(
                f"the vLLM engine failed ({type(error).__name__}: {_short(error)}); its log names "
                "the cause. The same command continues the run"
            ) from error
        output = result.outputs[0]
        stopped = output.finish_reason == "stop"
        return Completion(
            job.problem_id,
            job.sample,
            output.text,
            FinishReason.STOP if stopped else FinishReason.LENGTH,
            prompt_tokens=len(job.ids),
            completion_tokens=len(output.token_ids),
            seconds=time.perf_counter() - started,
        )


def _sampling_params(job: _Job, parameters: SamplingParameters) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    greedy = parameters.temperature == 0
    return SamplingParams(
        n=1,
        temperature=parameters.temperature,
        top_p=1.0 if greedy else parameters.top_p,
        max_tokens=job.limit,
        stop=list(parameters.stop) or None,
        seed=None if greedy else job.seed,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _engine_arguments(checkpoint: Checkpoint, options: ModelOptions) -> Any:
    """What the engine is started with; the user's own arguments may add, but not contradict."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    ours: dict[str, Any] = {
        "model": str(checkpoint.model.path),
        "tokenizer": str(checkpoint.tokenizer_path),
        "dtype": options.dtype,
        "trust_remote_code": options.trust_remote_code,
        "tensor_parallel_size": options.tensor_parallel_size,
        "data_parallel_size": options.data_parallel_size,
        **_lora_arguments(checkpoint),
    }
    if options.max_context is not None:
        ours["max_model_len"] = options.max_context
    if options.gpu_memory_utilization is not None:
        ours["gpu_memory_utilization"] = options.gpu_memory_utilization
    theirs: Mapping[str, Any] = options.engine_args
    twice = sorted(set(ours) & set(theirs))
    if twice:
        raise UsageError(f"--engine-arg {twice[0]}: this argument has its own option; use that")
    unknown = sorted(set(theirs) - {item.name for item in fields(AsyncEngineArgs)})
    if unknown:
        raise UsageError(f"this version of vLLM has no engine argument {unknown[0]!r}")
    quiet = {} if "disable_log_stats" in theirs else {"disable_log_stats": True}
    try:
        return AsyncEngineArgs(**ours, **quiet, **theirs)
    except (TypeError, ValueError) as error:
        raise UsageError(f"vLLM refuses its arguments: {_short(error)}") from error


def _lora_arguments(checkpoint: Checkpoint) -> dict[str, Any]:
    config = checkpoint.adapter_config
    if config is None:
        return {}
    if config.use_dora:
        raise UsageError(
            "vLLM cannot serve DoRA adapters; use --backend transformers, or merge the adapter into"
            " its base (PEFT's merge_and_unload, then save_pretrained) and evaluate the result"
        )
    if config.kind != "LORA" or config.rank < 1:
        raise UsageError(
            f"vLLM cannot serve adapters of the kind {config.kind or 'unknown'};"
            " use --backend transformers"
        )
    rank = next((rank for rank in _LORA_RANKS if rank >= config.rank), None)
    if rank is None:
        raise UsageError(
            f"vLLM serves LoRA up to rank {_LORA_RANKS[-1]}, and this adapter has rank"
            f" {config.rank}; use --backend transformers"
        )
    return {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1}


def _lora_request(checkpoint: Checkpoint) -> Any:
    if checkpoint.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(checkpoint.adapter.name, 1, str(checkpoint.adapter.path))


async def _start(arguments: Any, lora: Any) -> Any:
    """Start the engine and load the adapter, so that its faults show before the first sample."""
    from vllm.v1.engine.async_llm import AsyncLLM

    try:
        engine = AsyncLLM.from_engine_args(arguments)
    except (ValueError, TypeError, OSError) as error:
        raise UsageError(f"vLLM cannot serve this model: {_short(error)}") from error
    except Exception as error:  # whatever its processes died of
        raise InfrastructureError(
            f"the vLLM engine did not start ({_short(error)}); its log above names the cause. If "
            "memory is short, lower --max-context or --gpu-memory-utilization, or raise "
            "--tensor-parallel-size"
        ) from error
    if lora is not None:
        try:
            await engine.add_lora(lora)
        except Exception as error:  # unexpected modules, shapes, damaged files
            await _shut_down(engine)
            raise UsageError(f"vLLM cannot load the adapter: {_short(error)}") from error
    return engine


async def _shut_down(engine: Any) -> None:
    engine.shutdown()


def _import_vllm() -> Any:
    for name, value in _ENVIRONMENT.items():  # vLLM reads its settings from there only
        os.environ.setdefault(name, value)
    try:
        import vllm
    except ImportError as error:
        raise UsageError(
            f"the vllm back-end needs the package vllm ({_short(error)});"
            " pip install 'recode-eval[vllm]'"
        ) from error
    return vllm


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


BACKEND: Final = Backend(
    lambda name, options, _: VllmModel(name, options),
    CHECKPOINT_OPTIONS
    | {"tensor_parallel_size", "data_parallel_size", "gpu_memory_utilization", "engine_args"},
    loads_checkpoint=True,
)
