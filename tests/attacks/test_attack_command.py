"""`recode-eval sandbox test`: exit codes, the table and JSON; the attacking itself is replaced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recode_eval import cli
from recode_eval.attacks import Attack, AttackOutcome, AttackResult, Expect, TierOutcome
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence


def result(
    name: str, outcome: AttackOutcome = AttackOutcome.CONTAINED, told: str = ""
) -> AttackResult:
    return AttackResult(Attack(name, Expect.NOT_PASSED, "A test.", ""), outcome, told, 0.1)


GOOD = TierOutcome("docker", (result("forge/a"), result("ipc/b")), seconds=2.0)
BAD = TierOutcome(
    "landlock",
    (result("forge/a", AttackOutcome.FORGED, "passed all"), result("ipc/b")),
    seconds=3.0,
)
LEFT = TierOutcome("landlock", (result("forge/a"),), left=("process 7 (sleep)",))
MISSING = TierOutcome("bubblewrap", unavailable="bwrap is not installed")


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> dict[str, TierOutcome]:
    known = {"docker": GOOD, "bubblewrap": MISSING, "landlock": BAD}

    def attack_tier(tier: str, attacks: Sequence[Attack], **options: object) -> TierOutcome:
        assert attacks
        return known[tier]

    monkeypatch.setattr("recode_eval.attacks.attack_tier", attack_tier)
    return known


def test_failures_are_listed_and_make_the_exit_code(
    outcomes: dict[str, TierOutcome], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["sandbox", "test"]) == ExitCode.CHECK_FAILED
    shown = capsys.readouterr().out
    assert "landlock: forge/a: forged: passed all" in shown
    assert "bubblewrap: not tested: bwrap is not installed" in shown
    row = next(line for line in shown.splitlines() if "forge" in line and "landlock" not in line)
    assert "1/1" in row
    assert "0/1" in row


def test_all_contained_is_success(
    outcomes: dict[str, TierOutcome], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["sandbox", "test", "--sandbox", "docker"]) == ExitCode.OK
    assert "2/2" in capsys.readouterr().out


def test_leftovers_fail(
    outcomes: dict[str, TierOutcome], capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes["landlock"] = LEFT
    assert cli.run(["sandbox", "test", "--sandbox", "landlock"]) == ExitCode.CHECK_FAILED
    assert "left over: process 7 (sleep)" in capsys.readouterr().out


def test_nothing_to_test_is_not_success(
    outcomes: dict[str, TierOutcome], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["sandbox", "test", "--sandbox", "bubblewrap"]) == ExitCode.UNAVAILABLE
    assert "bwrap is not installed" in capsys.readouterr().out


def test_json(outcomes: dict[str, TierOutcome], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["sandbox", "test", "--json"]) == ExitCode.CHECK_FAILED
    shown = json.loads(capsys.readouterr().out)
    assert shown["passed"] is False
    assert [tier["available"] for tier in shown["tiers"]] == [True, False, True]
    assert shown["tiers"][2]["attacks"][0]["outcome"] == "forged"


def test_tier_none_cannot_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["sandbox", "test", "--sandbox", "none"]) == ExitCode.USAGE
    assert "invalid choice: 'none'" in capsys.readouterr().err


def test_unknown_attacks_are_an_error(
    outcomes: dict[str, TierOutcome], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["sandbox", "test", "--attacks", "nonsense"]) == ExitCode.USAGE
    assert "no attack matches 'nonsense'" in capsys.readouterr().err


def test_the_attacks_are_listed_and_none_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["sandbox", "test", "--list", "--language", "rust", "--attacks", "forge"]
    assert cli.run(chosen) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("forge/redefined_assert_eq (Rust, must be flagged)") for line in lines
    )
    assert cli.run([*chosen, "--json"]) == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)
    assert [attack["name"] for attack in shown] == [line.split(" ")[0] for line in lines]
    assert {attack["language"] for attack in shown} == {"rust"}


def test_a_language_that_cannot_run_is_told(
    outcomes: dict[str, TierOutcome], capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes["docker"] = TierOutcome(
        "docker", (result("forge/a"),), untested={"rust": "No Rust compiler: install Rust."}
    )
    assert cli.run(["sandbox", "test", "--sandbox", "docker"]) == ExitCode.OK
    assert "docker: rust: not tested: No Rust compiler" in capsys.readouterr().out
    assert cli.run(["sandbox", "test", "--sandbox", "docker", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["tiers"][0]["untested"] == {
        "rust": "No Rust compiler: install Rust."
    }
