"""schemathesis asks a served node whatever its documents allow, and what they forbid."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.conftest import GREETER
from tests.web.served import Served
from understudy.store.port import Backend

HERE = Path(__file__).parent
EXAMPLES = 10  # for each operation; a run of CI has another seed than the one before
# A stream of events has no end to wait for.
ENDLESS = ("--exclude-path-regex", "/events$")
# What an actor fails of is documented, and told from a fault of ours by a check beside this file. That the documents
# allow nothing that the node refuses cannot be: a name may be taken, a range outside of the file.
NOT_CHECKED = "positive_data_acceptance,not_a_server_error"
CONFIG = """
[parameters]
actor = "{actor}"
step = "{step}"
path = "wit"
"""


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        yield served


def test_the_node_keeps_what_its_document_promises(served: Served, tmp_path: Path, seed: int) -> None:
    ada = served.create({"wit": GREETER}, "ada")
    ask_everything(served, "/openapi.json", tmp_path, seed, actor="ada", step=ada["head"])


def test_no_get_changes_a_byte_of_the_store(served: Served, tmp_path: Path, seed: int) -> None:
    ada = served.create({"wit": GREETER}, "ada")
    before = dump(served.node.backend)
    ask_everything(served, "/openapi.json", tmp_path, seed, "--include-method", "GET", actor="ada", step=ada["head"])
    assert dump(served.node.backend) == before


def ask_everything(served: Served, document: str, folder: Path, seed: int, *more: str, actor: str, step: str) -> None:
    """Run schemathesis over a document; the test fails with what it says."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.format(actor=actor, step=step))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", served.address + document]
    options = [
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        str(EXAMPLES),
        "--seed",
        str(seed),
        "--generation-database=none",
    ]
    checks = ["--checks", "all", "--exclude-checks", NOT_CHECKED, "--no-color", "--continue-on-failure"]
    done = subprocess.run(
        [*command, *options, *checks, *ENDLESS, *more],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_checks", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def dump(backend: Backend) -> list[object]:
    """Every byte of a store."""
    blocks = [(bytes(id), backend.get([id])) for id in backend.ids()]
    return [sorted(blocks), list(backend.refs(b"")), list(backend.rows(b""))]
