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
EXAMPLES = HERE.parents[1] / "examples"
MOST = 6  # examples for each operation; a run of CI has another seed than the one before
# A stream of events has no end to wait for, and neither has the answer of an actor that was paused.
ENDLESS = ("--exclude-path-regex", "/(events|pause)$")
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
    head = served.create({"wit": GREETER}, "ada")["head"]
    ask_everything(served, "/openapi.json", tmp_path, seed, actor="ada", step=head)


@pytest.mark.parametrize("example", ["guestbook/guestbook", "ledger/bank"])
def test_an_example_keeps_what_its_document_promises(served: Served, tmp_path: Path, seed: int, example: str) -> None:
    head = served.create(core_of(example), "example")["head"]
    ask_everything(served, "/actors/example/openapi.json", tmp_path, seed, actor="example", step=head)


def ask_everything(served: Served, document: str, folder: Path, seed: int, *, actor: str, step: str) -> None:
    """Ask with every method there is; a GET changes not one byte of the store."""
    before = dump(served.node.backend)
    run_schemathesis(served, document, folder, seed, "--include-method", "GET", actor=actor, step=step)
    assert dump(served.node.backend) == before
    run_schemathesis(served, document, folder, seed, "--exclude-method", "GET", actor=actor, step=step)
    assert dump(served.node.backend) != before  # or what was asked above would say nothing


def core_of(example: str) -> dict[str, str]:
    """The files of an example's actor."""
    root = EXAMPLES / example
    files = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files}


def run_schemathesis(served: Served, document: str, folder: Path, seed: int, *more: str, actor: str, step: str) -> None:
    """Run schemathesis over a document; the test fails with what it says."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.format(actor=actor, step=step))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", served.address + document]
    options = [
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        str(MOST),
        "--seed",
        str(seed),
        "--generation-database=none",
    ]
    shown = ["--header", f"Authorization: Bearer {served.token}"]
    checks = ["--checks", "all", "--exclude-checks", NOT_CHECKED, "--no-color", "--continue-on-failure"]
    done = subprocess.run(
        [*command, *options, *shown, *checks, *ENDLESS, *more],
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
