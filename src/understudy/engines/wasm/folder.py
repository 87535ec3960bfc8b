"""Where compiled components are kept."""

from __future__ import annotations

import os
from pathlib import Path


def default_folder() -> Path:
    """Where compiled components are kept: below `XDG_CACHE_HOME`, or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "understudy" / "components"
