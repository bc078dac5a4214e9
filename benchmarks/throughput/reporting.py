"""The table, the ratios and the bars."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from throughput.contenders import DESCRIPTIONS

if TYPE_CHECKING:
    from throughput.racing import Record

OURS = "docker:program"
BARS = (("docker-run", 80.0), ("new-python", 30.0), ("evalplus", 2.5))
"""How many times as many programs per second as a peer."""
CPU_BAR = 1.25
"""At most this many times the floor's CPU time per program."""
_BUSY = 0.1


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


_HEAD = (
    "contender", "programs", "programs/s", "p50 ms", "p95 ms", "CPU ms", "of it client",
    "Docker's daemons ms", "other processes", "ready after s", "wrong",
)  # fmt: skip


def table(records: dict[str, Record]) -> list[str]:
    """One line per contender, the fastest first."""
    rows = [_HEAD, ("---", *["---:"] * (len(_HEAD) - 1))]
    measured = {name: record for name, record in records.items() if record.rounds}
    for name, r in sorted(measured.items(), key=lambda item: -item[1].rate):
        p50, p95 = (1e3 * quantile(r.latencies_s, share) for share in (0.5, 0.95))
        cpu, client, daemon = (r.ms_each(what) for what in ("cpu_s", "client_s", "daemon_s"))
        numbers = (f"{r.rate:.1f}", f"{p50:.1f}", f"{p95:.1f}", f"{cpu:.1f}", f"{client:.1f}",
                   f"{daemon:.1f}", f"{r.others:.0%}", f"{r.start_s:.1f}")  # fmt: skip
        rows.append((name, str(len(r.latencies_s)), *numbers, str(len(r.wrong))))
    return [f"| {' | '.join(row)} |" for row in rows]


def disturbed(records: dict[str, Record]) -> list[str]:
    """Say so if the machine was too busy for the figures in programs per second."""
    names = [name for name, record in records.items() if record.rounds and record.others > _BUSY]
    if not names:
        return []
    return [
        (
            f"Other processes took more than {_BUSY:.0%} of the processors while these ran; their "
            f"programs/s are too low: {', '.join(names)}. CPU times suffer much less."
        )
    ]


def ratios(records: dict[str, Record], ours: str) -> list[str]:
    """How many times as fast as each of the others, over all rounds and per round."""
    if ours not in records or not records[ours].rounds:
        return []
    mine = records[ours]
    lines = []
    for name, record in sorted(records.items()):
        if name == ours or not record.rounds:
            continue
        each = [a.rate / b.rate for a, b in zip(mine.rounds, record.rounds, strict=True)]
        lines.append(
            f"{ours} / {name}: {mine.rate / record.rate:.2f} times the programs/s "
            f"(rounds {min(each):.2f} to {max(each):.2f}, median {statistics.median(each):.2f}), "
            f"{mine.ms_each('cpu_s') / record.ms_each('cpu_s'):.2f} times the CPU time"
        )
    return lines


def bars(records: dict[str, Record], ours: str = OURS) -> list[dict[str, Any]]:
    """The project's own bars; those whose contenders were not measured are left out."""
    found = []
    mine = records.get(ours)
    if mine is None or not mine.rounds:
        return []
    for name, least in BARS:
        record = records.get(name)
        if record is not None and record.rounds:
            value = mine.rate / record.rate
            what = f"programs/s of {ours} / {name}"
            found.append({"what": what, "bar": least, "value": value, "met": value >= least})
    floor = records.get("floor")
    if floor is not None and floor.rounds:
        value = mine.ms_each("cpu_s") / floor.ms_each("cpu_s")
        what = f"CPU time of {ours} / floor"
        found.append({"what": what, "bar": CPU_BAR, "value": value, "met": value <= CPU_BAR})
    return found


def bar_lines(found: list[dict[str, Any]]) -> list[str]:
    """`[met] ...` per bar."""
    return [
        f"[{'met' if bar['met'] else 'NOT MET'}] {bar['what']}: {bar['value']:.2f} "
        f"(bar: {'at most' if 'CPU' in bar['what'] else 'at least'} {bar['bar']:g})"
        for bar in found
    ]


def as_json(records: dict[str, Record], about: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured."""
    result: dict[str, Any] = {"about": about, "bars": bars(records), "contenders": {}}
    for name, record in records.items():
        entry: dict[str, Any] = {"description": DESCRIPTIONS[name]}
        if record.unavailable:
            entry["unavailable"] = record.unavailable
        if record.rounds:
            entry |= {
                "programs": len(record.latencies_s),
                "programs_per_s": record.rate,
                "p50_ms": 1e3 * quantile(record.latencies_s, 0.5),
                "p95_ms": 1e3 * quantile(record.latencies_s, 0.95),
                "cpu_ms": record.ms_each("cpu_s"),
                "client_cpu_ms": record.ms_each("client_s"),
                "daemon_cpu_ms": record.ms_each("daemon_s"),
                "other_processes": record.others,
                "ready_after_s": record.start_s,
                "wrong": record.wrong,
                "rounds": [asdict(one) for one in record.rounds],
            }
        result["contenders"][name] = entry
    return result
