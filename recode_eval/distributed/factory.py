"""From options to an executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.distributed.base import Executor
    from recode_eval.run.config import ExecutorOptions


def open_executor(options: ExecutorOptions, log: Callable[[str], None]) -> Executor:
    """Return the executor that the options name.

    Raises `UsageError` where Ray is not installed, `InfrastructureError` where a cluster cannot be
    reached.
    """
    if options.name == "local":
        from recode_eval.distributed.base import LocalExecutor

        return LocalExecutor()
    from recode_eval.distributed.ray_executor import RayExecutor

    return RayExecutor(
        options.ray_address,
        replicas=options.replicas,
        replica_cpus=options.replica_cpus,
        log=log,
    )
