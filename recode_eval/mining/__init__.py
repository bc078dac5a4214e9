"""Mining: from two releases of a library to proven candidates for migration pairs.

Data flow down: `releases` fetch, `static` and `inspection` read both surfaces, `differences` finds
changes, `screening` drops what no user meets, `notes` and `provenance` add what the changelog says,
`probing` and `examples` drop what still runs alike, and `candidates` is the record that comes out.
`pipeline` puts the stages in order, `stages` stores them, and `report` shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.lazy import loader

if TYPE_CHECKING:
    from recode_eval.mining.candidates import Candidate, read_candidates
    from recode_eval.mining.pipeline import MineConfig, Mined, mine

__all__ = ["Candidate", "MineConfig", "Mined", "mine", "read_candidates"]

__getattr__ = loader(
    __name__,
    {
        "Candidate": "candidates",
        "read_candidates": "candidates",
        "MineConfig": "pipeline",
        "Mined": "pipeline",
        "mine": "pipeline",
    },
)
