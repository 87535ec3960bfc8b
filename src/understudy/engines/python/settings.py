"""The settings of the running interpreter that can change results: parts of an engine text.

The law: an absent part says nothing. Older steps have none of these.
"""

from __future__ import annotations

import sys
from typing import Final

from understudy.engines.room import IS_KEPT, ROOM

# Code of a core is compiled with its asserts, always; code behind `external:` and libraries are not, under `python -O`.
_OPTIMIZE: Final = {"optimize": str(sys.flags.optimize)} if sys.flags.optimize else {}
_VERSION: Final = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}

_ROOM: Final = {"room": str(ROOM)} if IS_KEPT else {}

SETTINGS: Final = "".join(f";{key}={value}" for key, value in sorted({**_OPTIMIZE, **_VERSION, **_ROOM}.items()))
