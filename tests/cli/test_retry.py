"""`understudy retry`, with a node and without."""

from __future__ import annotations

from tests.cli.conftest import Shell

BAD = """
from understudy import Wit
wit = Wit()

@wit.message("add")
def add(number: int, state: dict) -> int:
    state["sum"] = state.get("sum", 0) + number
    return 1 // (number - number)
"""
GOOD = BAD.replace("1 // (number - number)", "state['sum']")


def test_a_failed_step_is_retried_with_a_node_and_without(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": BAD})
    project.run("push")
    for number in ("1", "2"):
        project.run("send", "greeter", number, "--type", "add", code=1)
    assert "ZeroDivisionError" in project.run("retry", "greeter@1", code=1)
    assert "went well" in project.run("retry", "greeter@0", code=1)
    assert "nonsense" in project.run("retry", "nonsense", code=1)
    project.run("retry", code=2)
    project.write({"greeter/code/greeter.py": GOOD})
    # An order is no patch: what was pushed before is still known.
    assert "updated" in project.run("push")
    said = project.run("retry", "greeter@1")
    assert said.startswith("1\n") and "retried: ok" in said
    project.serve()
    assert project.json("retry", "greeter@2")["outcome"] == "ok"
    assert "AlreadyRetried" in project.run("retry", "greeter@1", code=1)
    assert "unchanged" in project.run("push")
    assert '{"sum":3}' in project.run("show", "greeter/core/state")
    assert "retry (update) from" in (log := project.run("log", "greeter", "-n", "1"))
    assert project.json("log", "greeter", "-n", "1")["steps"][0]["consumed"][0]["retries"] in log
    project.end()
    assert "1 of 1 match" in project.run("verify", "--all")
