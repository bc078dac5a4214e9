"""What the shared options say, as the library's configurations; `options` declares them."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from recode_eval.commands import options, run_options
from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recode_eval.models.options import ModelOptions
    from recode_eval.run.config import ExecutorOptions, RunConfig, SandboxOptions


def data_sources(items: Sequence[str], tasks: Sequence[str] | None = None) -> dict[str, str]:
    """Return `--data` as a mapping to absolute paths; raises `UsageError`."""
    sources: dict[str, str] = {}
    for item in items:
        task, separator, file = item.partition("=")
        if not separator or not task or not file:
            raise UsageError(
                f"--data {item}: write TASK=FILE, for example --data arena=rows.jsonl."
            )
        if tasks is not None and task not in tasks:
            raise UsageError(f"--data {item}: the task {task} is not among --tasks.")
        if task in sources:
            raise UsageError(f"--data {item}: the task {task} already has a file.")
        try:
            sources[task] = str(options.path(file).absolute())
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"--data {item}: {error}.") from None
    return sources


def run_config(
    arguments: argparse.Namespace, *, model: str, out: Path, tasks: Sequence[str] | None = None
) -> RunConfig:
    """Return the configuration that the options of a run describe; raises `UsageError`."""
    from recode_eval.run.config import RunConfig

    names = arguments.tasks if tasks is None else tasks
    return RunConfig(
        model=model,
        tasks=names,
        backend=arguments.backend,
        model_options=model_options(arguments),
        data=data_sources(arguments.data, names or None),
        include_path=arguments.include_path,
        skip_bad_rows=arguments.skip_bad_rows,
        limit=arguments.limit,
        problems=arguments.problems,
        since=arguments.since,
        until=arguments.until,
        quarantine=getattr(arguments, "quarantine", None),
        cutoff=getattr(arguments, "cutoff", None),
        prompt=arguments.prompt,
        docs=run_options.docs_options(arguments),
        conversation=run_options.conversation_options(arguments),
        budget=run_options.budget_options(arguments),
        n=arguments.n,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        max_tokens=arguments.max_tokens,
        seed=arguments.seed,
        repeats=getattr(arguments, "repeats", 1),
        stop=arguments.stop,
        k=arguments.k,
        isolation=arguments.isolation,
        timeout_s=arguments.timeout,
        memory_mib=arguments.memory,
        sandbox=sandbox_options(arguments),
        executor=executor_options(arguments),
        out=out,
    )


def sandbox_options(arguments: argparse.Namespace) -> SandboxOptions:
    """Return where programs run."""
    from recode_eval.run.config import SandboxOptions

    return SandboxOptions(
        tier=arguments.sandbox,
        allow_unsafe=arguments.i_know_this_is_unsafe,
        workers=arguments.workers,
        base_image=arguments.base_image,
    )


def model_options(arguments: argparse.Namespace) -> ModelOptions:
    """Return the options of the back-ends; raises `UsageError`."""
    from recode_eval.models.options import ModelOptions

    return ModelOptions(
        adapter=arguments.adapter,
        dtype=arguments.dtype,
        device=arguments.device,
        batch_size=arguments.batch_size,
        max_context=arguments.max_context,
        tensor_parallel_size=arguments.tensor_parallel_size,
        data_parallel_size=arguments.data_parallel_size,
        gpu_memory_utilization=arguments.gpu_memory_utilization,
        engine_args=_named_values("--engine-arg", arguments.engine_arg),
        trust_remote_code=arguments.trust_remote_code,
        revision=arguments.revision,
        base_url=arguments.base_url,
        api_key_env=arguments.api_key_env,
        concurrency=arguments.concurrency,
        request_timeout=arguments.request_timeout,
        max_retries=arguments.max_retries,
        server_prefill=arguments.server_prefill,
        request=_named_values("--request", getattr(arguments, "request", ())),
    )


def executor_options(arguments: argparse.Namespace) -> ExecutorOptions:
    """Return whose machines do the work; those of commands without such options are this one."""
    from recode_eval.run.config import ExecutorOptions

    if getattr(arguments, "executor", None) is None:
        return ExecutorOptions()
    if arguments.executor == "local":
        for option in ("--ray-address", "--replicas"):
            if getattr(arguments, option[2:].replace("-", "_")) is not None:
                raise UsageError(f"{option} needs --executor ray.")
    return ExecutorOptions(
        name=arguments.executor,
        ray_address=arguments.ray_address,
        replicas=arguments.replicas,
        replica_cpus=arguments.replica_cpus,
    )


def _no_constant(text: str) -> None:
    # Python reads NaN and Infinity, which JSON has not: they would make the manifest unreadable.
    raise ValueError(text)


def _named_values(option: str, items: Sequence[str]) -> dict[str, Any]:
    """Return `NAME=VALUE`s as a mapping; a value is JSON, or else text."""
    parsed: dict[str, Any] = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator or not name.isidentifier():
            raise UsageError(f"{option} {item}: write NAME=VALUE.")
        try:
            parsed[name] = json.loads(value, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            parsed[name] = value
    return parsed
