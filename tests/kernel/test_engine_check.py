"""Which engine texts can't be true of a step, whatever its code does."""

from __future__ import annotations

import msgspec
import pytest

from tests.kernel.test_replay import notes
from tests.node.troupe import Troupe, chain
from understudy.kernel.engine_check import engine_fault


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("python/1", None),
        ("python/1;source=none", None),
        (f"python/1;source={'a' * 64}", None),
        (f"python/1;source={'a' * 63}", "has no part source="),
        ("python/1;python=3.11", "has no part python=3.11"),
        ("python/0", "there never was an engine python/0"),
        ("python/2;python=3.11", None),
        ("python/2;optimize=1;python=3.11", None),
        ("python/2;python=3", "has no part python=3"),
        ("python/2;optimize=3", "has no part optimize=3"),
        ("python/2;optimize=3;python=x", "has no part optimize=3"),
        ("python/2;unheard-of=1", None),
        ("python/99;optimize=1", None),
        ("wasm/1", "lacks its part config"),
        ("wasm/1;config=0000000000000000", "names the engine 'python'"),
        ("cobol/1", "names the engine 'python'"),
        ("kernel/1", "says that no code ran"),
        ("kernel/1;x=y", "has no part x=y"),
    ],
)
def test_an_engine_text_is_held_against_the_core_and_its_own_form(troupe: Troupe, text: str, fault: str | None):
    record = chain(troupe, notes(troupe))[-1]
    found = engine_fault(
        troupe.reader, msgspec.structs.replace(record, step=msgspec.structs.replace(record.step, engine=text))
    )
    if fault is None:
        assert found is None
    else:
        assert found is not None and fault in found
