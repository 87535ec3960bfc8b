"""timers: what waits, in the order of time, and what is no timer; and push, which does not send one."""

from __future__ import annotations

import json

import httpx

from tests.cli.conftest import GREETER, Shell

LATER = """
@wit.message("later")
def later(seconds: float, ctx) -> str:
    return ctx.after(seconds, "greet", {"name": "Ada"})
"""
MORNING = '{"cron":"30 9 * * MON-FRI","zone":"Europe/Berlin","type":"greet","content":{"name":"all"}}'
WRONG = '{"every":"2 months","type":"greet"}'


def test_timers_are_listed_in_the_order_in_which_they_are_due(project: Shell) -> None:
    project.run("push")
    assert "No timer waits." in project.run("timers")
    project.write({"greeter/code/greeter.py": GREETER + LATER, "greeter/timers/morning": MORNING})
    project.run("push")
    project.run("send", "greeter", "60", "--type", "later")
    listed = project.run("timers")
    assert [line.split()[1] for line in listed.splitlines()[1:]] == ["2-0", "morning"]
    assert "cron 30 9 * * MON-FRI, Europe/Berlin" in listed
    found = project.json("timers", "greeter")["timers"]
    assert [(one["name"], one["state"], one["error"]) for one in found] == [
        ("2-0", "waiting", None),
        ("morning", "waiting", None),
    ]
    assert found[1]["timer"] == json.loads(MORNING)
    assert found[0]["due"] < found[1]["due"]
    # What was set by the actor is its own: a push does not take it away.
    assert "unchanged" in project.run("push")
    project.run("timers", "nobody", code=1)


def test_push_does_not_send_what_is_no_timer(project: Shell) -> None:
    project.run("push")
    project.write({"greeter/timers/wrong": WRONG, "greeter/timers/morning": MORNING})
    refused = project.run("push", code=1)
    assert "/timers/wrong is no timer: 'every' is '2 months'" in refused
    assert "morning is no timer" not in refused
    assert "No timer waits." in project.run("timers")
    forced = project.json("push", "--force")["actors"][0]
    assert "/timers/wrong is no timer" in forced["warning"]
    assert [one["name"] for one in project.json("timers")["timers"]] == ["morning", "wrong"]
    assert "greeter: /timers/wrong never rings: 'every' is '2 months'" in project.run("timers")
    assert "greeter: /timers/wrong never rings" in project.run("pending")
    assert [one["name"] for one in project.json("pending")["timers"]] == ["wrong"]
    # What was there before is not asked about again.
    project.write({"greeter/code/greeter.py": GREETER + LATER})
    project.run("push")
    project.write({"greeter/timers/wrong": MORNING})
    project.run("push")
    assert {one["state"] for one in project.json("timers")["timers"]} == {"waiting"}


def test_an_actor_is_not_made_with_what_is_no_timer(project: Shell) -> None:
    project.write({"greeter/timers": WRONG})
    assert "/timers is a blob" in project.run("push", code=1)
    (project.folder / "greeter/timers").unlink()
    project.write({"greeter/timers/wrong": WRONG})
    assert "/timers/wrong is no timer" in project.run("push", code=1)
    (project.folder / "greeter/timers/wrong").unlink()
    project.run("push")
    address = project.serve()["address"]
    core = {"wit": "def wit(ctx): pass", "timers/wrong": WRONG}
    token = (project.folder / ".understudy/token").read_text()
    headers = {"Authorization": f"Bearer {token.strip()}"}
    made = httpx.post(f"{address}/actors", json={"core": core}, headers=headers, trust_env=False)
    assert made.status_code == 422
    assert "/timers/wrong is no timer" in made.json()["detail"]


def test_timers_of_a_history_out_of_a_file_sleep_until_its_actor_is_resumed(project: Shell) -> None:
    project.write(
        {"greeter/timers/morning": MORNING, "greeter/timers/past": '{"at":"2026-01-01T00:00Z","type":"fail"}'}
    )
    project.run("push")
    project.run("export", "greeter", "-o", "greeter.car")
    other = ("--store", "rocksdb:other")
    said = project.run("import", "greeter.car", *other)
    actor = project.json("actors", *other)["actors"][0]["id"]
    assert f"sleep until its next step here, or: understudy resume {actor}" in said
    [listed] = [one for one in project.json("timers", actor, *other)["timers"] if one["name"] == "morning"]
    assert listed["state"] == "asleep"
    assert "asleep: the actor came out of a file" in project.run("timers", actor, *other)
    assert project.json("timers", *other)["timers"] == []
    project.run("resume", actor, *other)
    assert project.json("timers", actor, *other)["timers"][0]["state"] == "waiting"
