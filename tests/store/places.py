"""Where the suites of all backends keep their stores."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from understudy.store.postgres.kind import PostgresKind
from understudy.testing.place import Place
from understudy.testing.postgres_server import PostgresPlace


def place_of(request: pytest.FixtureRequest, folder: Path, patch: pytest.MonkeyPatch) -> Place:
    """A place for stores of the kind that a fixture has as its parameter."""
    if not isinstance(request.param, PostgresKind):
        return Place(request.param, folder)
    patch.setenv("XDG_STATE_HOME", str(folder))
    name = f"suite_{sha256(str(folder).encode()).hexdigest()[:16]}"
    return PostgresPlace(request.param, folder, request.getfixturevalue("postgres"), name)
