"""The example of orders: flows over four actors, killed twice on the way; nothing is lost or doubled, and all of it verifies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_orders_survive_the_death_of_their_node_and_the_sums_hold() -> None:
    # `stop` waits for the end of each node, so one that does not end shows itself here, too.
    command = [sys.executable, "-m", "examples.take_orders", "--orders", "24", "--kills", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SIGKILL with") == 2
    assert done.stdout.count("holds") == 7
    assert done.stdout.count("MATCH") == 4
