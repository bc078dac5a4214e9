"""Which rows of CodeUpdateArena's development half are special, wherever tests run them all."""

from __future__ import annotations

ENDLESS = "[numpy.dot]:[add-output-data_type]:[update-0]:[prog_syn-1]"
"""Three of its tests do not end in two minutes; waiting less for them changes no verdict."""
HEAVY = {
    "[numpy.mean]:[modify-argument-supported_value(s)]:[update-0]:[prog_syn-2]",
    ENDLESS,
    "[torch.bmm]:[add-argument]:[update-0]:[prog_syn-1]",
    "[itertools.product]:[modify-function-name]:[update-0]:[prog_syn-0]",
    "[numpy.zeros]:[modify-function-name]:[update-0]:[prog_syn-0]",
    "[numpy.zeros]:[add-argument-semantics]:[update-0]:[prog_syn-2]",
}
"""Rows whose reference needs more time or memory than the limits: a slower or faster machine, or
another limit of memory, gives other verdicts for the tests that hit a limit in the measurement."""
