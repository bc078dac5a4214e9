"""The stages' store: a folder with each stage's result, its counts, and what it was made from."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from recode_eval.errors import StorageError
from recode_eval.resources import resource_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recode_eval.mining.memory import PeakMemory

TABLE = "stages.json"


class StageCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one stage took in, gave out and lost."""

    name: str
    taken: int
    given: int
    lost: dict[str, int]
    """Reason -> how many."""
    seconds: float
    memory_bytes: int
    """The peak of this process and its children, sandbox workers included, during the stage."""
    key: str
    """A digest of everything the result was made from."""
    reused: bool = False
    """Whether the result was stored already; its seconds and memory are those of its making."""


class Made(msgspec.Struct, frozen=True):
    """A stage's result: its counts and its bytes."""

    taken: int
    given: int
    lost: Mapping[str, int]
    content: bytes


class Stages:
    """Runs the stages in order; a stored result with the same key is taken as it is."""

    def __init__(self, folder: Path, tell: Callable[[str], None], memory: PeakMemory) -> None:
        self._folder, self._tell, self._memory = folder, tell, memory
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"Cannot make {folder}: {error.strerror or error}") from error
        self._stored = {stage.name: stage for stage in read_stages(folder)}
        self.counts: list[StageCount] = []
        self._key = code_key()

    def run(self, name: str, inputs: bytes, make: Callable[[], Made]) -> bytes:
        """Return a stage's result; `inputs` are what it depends on besides the stages before.

        Raises:
            StorageError: the folder cannot be written to.
        """
        self._key = hashlib.sha256(f"{self._key} {name} ".encode() + inputs).hexdigest()
        file = self._folder / f"{name}.jsonl"
        known = self._stored.get(name)
        if known is not None and known.key == self._key and file.is_file():
            content = file.read_bytes()
            self.counts.append(msgspec.structs.replace(known, reused=True))
            self._tell(f"{name}: {known.given} (stored)")
        else:
            began = time.monotonic()
            self._memory.restart()
            made = make()
            content = made.content
            seconds = round(time.monotonic() - began, 2)
            peak = self._memory.restart()
            lost = {reason: n for reason, n in made.lost.items() if n}
            self._write(file, content)
            self.counts.append(
                StageCount(name, made.taken, made.given, lost, seconds, peak, self._key)
            )
            self._write(self._folder / TABLE, msgspec.json.encode(self._all()))
            self._tell(f"{name}: {made.taken} in, {made.given} out, {sum(lost.values())} lost")
        self._key = hashlib.sha256(self._key.encode() + content).hexdigest()
        return content

    def _all(self) -> list[StageCount]:
        """Return the stages run so far, and those stored for later ones."""
        names = {stage.name for stage in self.counts}
        return [*self.counts, *(s for s in self._stored.values() if s.name not in names)]

    def _write(self, file: Path, content: bytes) -> None:
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            draft.write_bytes(content)
            draft.replace(file)  # never half a result under the final name
        except OSError as error:
            raise StorageError(f"Cannot write {file}: {error.strerror or error}") from error


def read_stages(folder: Path) -> list[StageCount]:
    """Read the table of a folder; one that cannot be read counts as none."""
    try:
        return msgspec.json.decode((folder / TABLE).read_bytes(), type=list[StageCount])
    except (OSError, msgspec.MsgspecError):
        return []


def code_key() -> str:
    """A digest of the miner's own code: another miner, another result."""
    digest = hashlib.sha256()
    files = [
        *Path(__file__).parent.glob("*.py"),
        *(resource_dir("sandbox") / "mining").glob("*.py"),
    ]
    for file in sorted(files):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
