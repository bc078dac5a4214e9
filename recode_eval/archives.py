"""What Python's readers of compressed files raise for one that is torn, altered or encrypted."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from typing import Final

DAMAGE: Final = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, OSError, EOFError,
    NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
"""`RuntimeError`: a member is encrypted. `ValueError`: a place in the file that cannot be."""
