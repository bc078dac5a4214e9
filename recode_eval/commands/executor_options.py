"""Options of the commands that can work on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from recode_eval.distributed.base import Executor


def add_executor_options(parser: argparse.ArgumentParser) -> None:
    """Add where the work is done."""
    group = parser.add_argument_group("executor")
    group.add_argument(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="this machine, or a Ray cluster (default: local)",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="the cluster's HOST:PORT, or `auto` on one of its machines (default: RAY_ADDRESS, "
        "else a cluster of this machine alone)",
    )
    group.add_argument(
        "--replicas",
        type=options.positive,
        metavar="N",
        help="Ray: copies of a model (default: one per GPU, or per group of GPUs a copy needs)",
    )
    group.add_argument(
        "--replica-cpus",
        type=options.positive,
        default=1,
        metavar="N",
        help="Ray: CPUs that a copy reserves beside its GPUs (default: 1)",
    )


def open_executor(arguments: argparse.Namespace, note: Callable[[str], None]) -> Executor:
    """Return the executor that the command line names; raises `UsageError`."""
    if getattr(arguments, "executor", "local") == "local":
        from recode_eval.distributed.base import LocalExecutor

        named = {"--ray-address": None, "--replicas": None}
        for option, default in named.items():
            if getattr(arguments, option[2:].replace("-", "_"), default) != default:
                raise UsageError(f"{option} needs --executor ray.")
        return LocalExecutor()
    from recode_eval.distributed.ray_executor import RayExecutor

    return RayExecutor(
        arguments.ray_address,
        replicas=arguments.replicas,
        replica_cpus=arguments.replica_cpus,
        notify=note,
    )
