"""The `docker` commands that build and remove images while other tests do the same.

The classic builder reads a cached step several times while it builds. A removal in between takes
the step along, and the build fails.
"""

import re
import tempfile
from pathlib import Path

LOCKED = ("flock", str(Path(tempfile.gettempdir()) / "recode-eval-test-images.lock"), "docker")
"""Before `build` and `rmi`: one at a time."""
BUILD = (*LOCKED, "build", "--quiet", "--network", "none")
_LOST = re.compile("unknown parent image|no such image|failed to get digest", re.IGNORECASE)


def lost_a_step(error: str) -> bool:
    """True if a build failed because the code under test pruned a cached step.

    Nothing here can lock that out; the next build makes the step again.
    """
    return bool(_LOST.search(error))
