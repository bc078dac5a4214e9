"""Every attack against every tier that works on this machine: contained, or the test fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import NEW_PYTHON, OLD_PYTHON, OTHER_PYTHONS

from recode_eval.attacks import TierOutcome, attack_tier, load_attacks
from recode_eval.sandbox import Limits, Program, Status, Test, landlock, open_sandbox
from recode_eval.sandbox.base import SandboxBuildError, SandboxUnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def on(tier: str, *marks: pytest.MarkDecorator) -> object:
    if tier == "docker":
        marks = (*marks, pytest.mark.docker)
    return pytest.param(tier, marks=marks)


TIERS = [on("docker"), on("bubblewrap"), on("landlock")]
ONE_TIER = [
    on("docker", pytest.mark.exhaustive),
    on("bubblewrap", pytest.mark.exhaustive),
    on("landlock"),
]
"""For what takes long: one tier by default."""
LIMITS = Limits(cpu_s=3.0, wall_s=10.0, memory_bytes=512 << 20)

HOSTILE_SOURCES = {
    "lone surrogate": "x = '\ud800'\n",
    "surrogate in a comment": "# \udfff\n",
    "NUL": "x = 1\0\n",
    "byte order mark": "\ufeffx = (\n",
    "encoding": "# -*- coding: recode-attack -*-\nx = (\n",
    "nested too deep": "x = " + "(" * 100_000,
    "nested names": "x" + ".x" * 100_000,
    "a long line": "x = [" + "1," * 1_000_000 + "\n",
    "line ends": "if 1:\r\n  x\x0c\r = (\u2028\n",
    "escape codes": "\x1b[2J\x1b]0;title\x07",
    "JSON": '{"verdicts": [["passed", "", 0.0]], "setup_error": null}\n',
    "ends a string": '"""\n\'\'\'\n"""',
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "isolation", ["program", pytest.param("test", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("tier", TIERS)
def test_every_attack_is_contained(tier: str, isolation: str) -> None:
    attacks = load_attacks(languages=["python"])
    outcome = attack_tier(tier, attacks, isolation=isolation)
    if outcome.unavailable:
        pytest.skip(f"{tier}: {outcome.unavailable}")
    check(outcome)
    assert len(outcome.results) == len(attacks) >= 100


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tier", ONE_TIER)
def test_every_attack_on_an_old_python_is_contained(tier: str) -> None:
    """The environment decides which Python runs programs; an old one must hold as well."""
    attacks = load_attacks(languages=["python"])
    outcome = attack_tier(tier, attacks, environment=OLD_PYTHON)
    if outcome.unavailable:
        assert os.environ.get("RECODE_EVAL_REQUIRE_OLD_PYTHON") != "1", outcome.unavailable
        pytest.skip(f"{tier}: {outcome.unavailable}")
    check(outcome)
    assert len(outcome.results) == len(attacks) >= 100


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("environment", [NEW_PYTHON, *OTHER_PYTHONS])
def test_every_attack_on_other_pythons_is_contained(environment: str) -> None:
    """On 3.7 and 3.8 even the honest programs between the attacks were no valid syntax."""
    attacks = load_attacks()
    outcome = attack_tier("landlock", attacks, environment=environment)
    if outcome.unavailable:
        pytest.skip(f"landlock: {outcome.unavailable}")
    check(outcome)
    assert len(outcome.results) == len(attacks) >= 100


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tier", ONE_TIER)
def test_no_attack_passes_unflagged_beside_tests_of_their_own_process(tier: str) -> None:
    """What no test in the answer's process can prevent, one in another process does."""
    kinds = [] if tier != "landlock" else ["forge", "text", "ipc"]
    attacks = load_attacks(kinds, languages=["python"])
    outcome = attack_tier(tier, attacks, isolation="split")
    if outcome.unavailable:
        pytest.skip(f"{tier}: {outcome.unavailable}")
    check(outcome)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("tier", "kinds"),
    [
        pytest.param("docker", [], marks=[pytest.mark.docker, pytest.mark.exhaustive]),
        pytest.param("bubblewrap", [], marks=pytest.mark.exhaustive),
        pytest.param("landlock", [], marks=pytest.mark.exhaustive),
        pytest.param("landlock", ["forge", "files", "ipc", "privileges"]),
    ],
)
def test_every_attack_in_javascript_is_contained(tier: str, kinds: list[str]) -> None:
    attacks = load_attacks(kinds, languages=["javascript", "typescript"])
    outcome = attack_tier(tier, attacks)
    if outcome.unavailable:
        pytest.skip(f"{tier}: {outcome.unavailable}")
    check(outcome)
    assert len(outcome.results) == len(attacks)


@pytest.mark.slow
@pytest.mark.rust
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tier", ONE_TIER)
def test_every_attack_in_rust_is_contained(tier: str) -> None:
    attacks = load_attacks(languages=["rust"])
    outcome = attack_tier(tier, attacks)
    if outcome.unavailable:
        pytest.skip(f"{tier}: {outcome.unavailable}")
    check(outcome)
    assert len(outcome.results) == len(attacks)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("isolation", ["program", "split"])
@pytest.mark.parametrize("tier", ONE_TIER)
def test_attacks_written_by_others_are_contained(
    shared_data: Path, tier: str, isolation: str
) -> None:
    """Written against the sandbox as it was, by people who looked for what it lacked."""
    outcome = attack_tier(tier, load_attacks(folder=shared_data / "attacks"), isolation=isolation)
    if outcome.unavailable:
        pytest.skip(f"{tier}: {outcome.unavailable}")
    check(outcome)


def check(outcome: TierOutcome) -> None:
    told = [f"{r.attack.name}: {r.outcome}: {r.explanation}" for r in outcome.failures]
    assert not told, "\n".join(told)
    assert not outcome.left


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_attacks_on_a_shared_disk_are_contained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing may be mounted, deleted files were not counted: 2 GiB were written unhindered.

    The program on the neighbouring worker uses the same disk and must not be blamed.
    """
    monkeypatch.setattr(landlock, "PRIVATE_DISK", False)
    outcome = attack_tier("landlock", load_attacks(["*/disk_*", "*/inodes", "*/deep*"]))
    if outcome.unavailable:
        pytest.skip(outcome.unavailable)
    assert len(outcome.results) >= 7
    check(outcome)


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
def test_sources_that_are_no_programs_fail_and_break_nothing(tier: str) -> None:
    """Text that JSON, UTF-8 or the parser chokes on must fail the candidate, not the sandbox."""
    honest = Program("", "def one():\n    return 1\n", (Test("one", "assert one() == 1"),))
    try:
        sandbox = open_sandbox(tier, workers=1)
    except (SandboxUnavailableError, SandboxBuildError) as error:
        pytest.skip(f"{tier}: {error}")
    with sandbox:
        for name, source in HOSTILE_SOURCES.items():
            candidate = f"{source}\nraise ValueError('reached the end')\n"
            program = Program("", candidate, honest.tests)
            execution = sandbox.submit(program, LIMITS).result(120)
            assert execution.setup_error is None, name
            assert [v.status for v in execution.verdicts] != [Status.PASSED], name
            assert sandbox.submit(honest, LIMITS).result(120).passed, f"after: {name}"
        for name, source in HOSTILE_SOURCES.items():
            program = Program(f"{source}\nraise ValueError\n", honest.candidate, honest.tests)
            execution = sandbox.submit(program, LIMITS).result(120)
            assert execution.setup_error, f"set-up: {name}"
            assert execution.verdicts == ()
            program = Program("", honest.candidate, (Test("t", f"{source}\nraise ValueError\n"),))
            execution = sandbox.submit(program, LIMITS).result(120)
            assert [v.status for v in execution.verdicts] != [Status.PASSED], f"test: {name}"


@pytest.mark.slow
@pytest.mark.parametrize("bomb", ["fork_bomb", "fork_bomb_doubling", "thread_bomb"])
@pytest.mark.parametrize("tier", TIERS)
def test_bombs_are_contained_within_the_default_number_of_processes(tier: str, bomb: str) -> None:
    """Right programs start forty threads; what lets them must still stop a bomb."""
    (attack,) = load_attacks([f"resources/{bomb}"])
    limits = Limits(cpu_s=3.0, wall_s=5.0)
    honest = Program("", "x = 1", (Test("t", "assert x == 1"),))
    try:
        sandbox = open_sandbox(tier, workers=1)
    except (SandboxUnavailableError, SandboxBuildError) as error:
        pytest.skip(f"{tier}: {error}")
    with sandbox:
        found = sandbox.submit(Program("", attack.code, honest.tests), limits).result(120)
        assert not found.passed
        assert "ESCAPED" not in found.output
        assert sandbox.submit(honest, limits).result(120).passed
