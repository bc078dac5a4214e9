"""Attacks on the sandbox, and the grader of whether a sandbox withstood them.

An attack is a small file in `sandbox/attacks/<class>/`. It runs as a candidate whose tests it
cannot pass honestly; then an honest program runs on the same worker and must find a clean world.
"""

from __future__ import annotations

from recode_eval.attacks.bait import Bait
from recode_eval.attacks.catalog import Attack, Expect, load_attacks
from recode_eval.attacks.running import ATTACK_LIMITS, AttackOutcome, AttackResult, run_attacks
from recode_eval.attacks.tiers import TierOutcome, attack_tier

__all__ = [
    "ATTACK_LIMITS",
    "Attack",
    "AttackOutcome",
    "AttackResult",
    "Bait",
    "Expect",
    "TierOutcome",
    "attack_tier",
    "load_attacks",
    "run_attacks",
]
