"""Programs per second, latency and CPU time of the sandbox and of what others use instead.

All contenders run the same programs in one invocation, in turn and in rounds; their verdicts are
compared with what must come out. The slow ones (seconds per program) run a sample with the same
shares of libraries. Ratios of one run mean something; figures of two runs on a busy machine do not.

    python benchmarks/sandbox_throughput.py [--contenders docker:program,evalplus,floor]
        [--programs 300] [--slow-programs 30] [--workers 2] [--rounds 10] [--seed 1]
        [--dev-rows FILE | --empty] [--json FILE] [--list]

Exit status 1: one of this project's sandboxes gave a wrong verdict, or none could be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughput import measuring, mix, racing, reporting
from throughput.contenders import DESCRIPTIONS, Machinery, UnavailableError, available

if TYPE_CHECKING:
    from collections.abc import Sequence

    from throughput.contenders import Contender
    from throughput.mix import Job

_SLOWEST_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    if arguments.list:
        print("\n".join(f"{name:20} {text}" for name, text in DESCRIPTIONS.items()))
        return 0
    machinery = Machinery(arguments.environment)
    everything = available(machinery)
    names = arguments.contenders or list(everything)
    unknown = [name for name in names if name not in everything]
    if unknown:
        raise SystemExit(f"unknown contenders: {', '.join(unknown)}; see --list")
    about = measuring.machine() | {
        "workers": arguments.workers,
        "rounds": arguments.rounds,
        "seed": arguments.seed,
    }
    contenders = {name: everything[name] for name in names}
    records = {name: racing.Record() for name in names}
    try:
        _open(contenders, records, arguments)
        jobs = _jobs(arguments, contenders)
        about |= {"programs": len(jobs), "mix": mix.shares(jobs)}
        _race(contenders, records, jobs, arguments, machinery)
    finally:
        for contender in everything.values():
            contender.close()
    racing.grade(records, jobs)
    about["load_after"] = round(os.getloadavg()[0], 2)
    _print(records, about, jobs)
    if arguments.json:
        text = json.dumps(reporting.as_json(records, about), indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    ours = [record for name, record in records.items() if ":" in name and record.rounds]
    return 1 if not any(r.rounds for r in records.values()) or any(r.wrong for r in ours) else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contenders", type=lambda text: text.split(","), help="see --list")
    parser.add_argument("--list", action="store_true", help="name the contenders and end")
    parser.add_argument("--programs", type=int, default=300)
    parser.add_argument("--slow-programs", type=int, default=30, help="for the slow contenders")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--tries", type=int, default=2, help="run a round again while other processes disturb it"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--environment", default="arena", help="the sandbox's libraries")
    parser.add_argument(
        "--kinds", type=lambda text: text.split(","), default=mix.KINDS, help=", ".join(mix.KINDS)
    )
    parser.add_argument("--empty", action="store_true", help="programs that do nothing")
    parser.add_argument("--dev-rows", type=Path, help="programs from a JSONL file of arena rows")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    arguments = parser.parse_args(argv)
    if (
        min(
            arguments.programs,
            arguments.slow_programs,
            arguments.workers,
            arguments.rounds,
            arguments.tries,
        )
        < 1
    ):
        parser.error("numbers must be at least 1")
    if unknown := set(arguments.kinds) - set(mix.KINDS):
        parser.error(f"unknown kinds: {', '.join(sorted(unknown))}")
    return arguments


def _open(
    contenders: dict[str, Contender],
    records: dict[str, racing.Record],
    arguments: argparse.Namespace,
) -> None:
    """Start and warm up; drop what cannot run here, saying why."""
    for name in list(contenders):
        began = time.perf_counter()
        try:
            contenders[name].open(arguments.workers)
            racing.warm_up(contenders[name], arguments.workers, arguments.kinds)
        except UnavailableError as problem:
            print(f"left out: {name}: {problem}", file=sys.stderr)
            records[name].unavailable = str(problem)
            del contenders[name]
            continue
        records[name].start_s = time.perf_counter() - began
        print(f"ready: {name} after {records[name].start_s:.1f} s", file=sys.stderr)


def _jobs(arguments: argparse.Namespace, contenders: dict[str, Contender]) -> list[Job]:
    if arguments.empty:
        return mix.make_empty(arguments.programs, arguments.seed, kinds=arguments.kinds)
    if arguments.dev_rows is None:
        return mix.make_mix(arguments.programs, arguments.seed, kinds=arguments.kinds)
    jobs = mix.from_rows(arguments.dev_rows, arguments.programs, arguments.seed)
    # A row that computes for seconds measures itself, not who runs it.
    kept = []
    for job in jobs:
        began = time.perf_counter()
        next(iter(contenders.values())).run(0, job.program)
        if time.perf_counter() - began < _SLOWEST_S:
            kept.append(job)
    print(f"{len(jobs) - len(kept)} rows left out: they take {_SLOWEST_S:g} s", file=sys.stderr)
    return kept


def _race(
    contenders: dict[str, Contender],
    records: dict[str, racing.Record],
    jobs: list[Job],
    arguments: argparse.Namespace,
    machinery: Machinery,
) -> None:
    parts = mix.in_rounds(jobs, arguments.rounds)
    few = max(1, arguments.slow_programs // arguments.rounds)
    for number, order in enumerate(
        racing.orders(list(contenders), arguments.rounds, arguments.seed)
    ):
        for name in order:
            contender = contenders[name]
            part = mix.sample(parts[number], few, number) if contender.slow else parts[number]
            client = machinery.client if contender.containers() else None
            racing.race(records[name], contender, part, arguments.workers, client, arguments.tries)
        print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)


def _print(records: dict[str, racing.Record], about: dict[str, Any], jobs: list[Job]) -> None:
    print(f"{about['date']}, {about['cpu']}, {about['usable_cpus']} CPUs, "
          f"{about['memory_gib']} GiB, Linux {about['kernel']}, load {about['load_before']} before "
          f"and {about['load_after']} after")  # fmt: skip
    failing = sum(not all(job.expected or (True,)) for job in jobs)
    print(f"{len(jobs)} programs ({about['mix']}; {failing} must fail), {about['workers']} workers,"
          f" {about['rounds']} rounds")  # fmt: skip
    print("\n".join(["", *reporting.table(records), ""]))
    print("\n".join(reporting.disturbed(records)))
    for name, record in records.items():
        if record.wrong:
            print(f"WRONG VERDICTS by {name}: {len(record.wrong)}: {', '.join(record.wrong[:8])}")
        if record.unavailable:
            print(f"not measured: {name}: {record.unavailable}")
    for name in records:
        if name == reporting.OURS or reporting.OURS not in records:
            print("\n".join(reporting.ratios(records, name)))
            break
    print("\n".join(["", *reporting.bar_lines(reporting.bars(records))]))


if __name__ == "__main__":
    sys.exit(main())
