"""Seed 001, sentence by sentence: the network interface, the chain behind it, and the server. A test quotes what it holds."""

from __future__ import annotations

import signal
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.components.actor_process import COUNTER, ActorProcess, environment, understudy
from tests.components.conftest import run as run
from tests.engines.components import KEEP, actor
from tests.loaded_command import LOADED
from tests.node.test_wasm_talking import POLITE
from understudy.objects import ids

Run = Callable[..., ActorProcess]
LOOP = "(loop $again (br $again)) unreachable"


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActorProcess]:
    """One that all tests of a whole body share; each looks at what changed."""
    process = ActorProcess(tmp_path_factory.mktemp("counter"), COUNTER)
    yield process
    process.stop()


def raw(process: ActorProcess, text: str) -> bytes:
    """The bytes of an object."""
    done = LOADED.run(["show", text, "--raw"], process.folder, environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def height(process: ActorProcess) -> int:
    found: int = process.client.get("/").json()["height"]
    return found


def test_the_network_interface_accepts_post_requests_at_the_root(counter):
    """The network interface will accept POST requests at /."""
    answer = counter.post({"add": 2})
    assert answer.status_code == 200
    assert set(answer.json()) == {"head", "state"}
    assert answer.json()["head"] == counter.client.get("/").json()["head"]


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "image/png"])
def test_a_json_object_is_taken_whatever_its_content_type_says(counter, media_type):
    """The body of the POST request should be a JSON object."""
    assert counter.post({"add": 0}, Content_Type=media_type).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"{'add': 1}", 400),
        (b'{"add": 1} {"add": 1}', 400),
        (b'{"add": 1, "add": 2}', 400),
        (b'{"x": {"add": 1, "\\u0061dd": 2}, "add": 1}', 400),
        (b'{"add": NaN}', 400),
        (b'\xff\xfe{"add": 1}', 400),
        (b'{"a":' * 100_000, 400),
        (b"[1]", 422),
        (b"1", 422),
        (b"null", 422),
        (b'"add"', 422),
    ],
    ids=range(13),
)
def test_what_is_no_json_object_is_refused_and_comes_to_no_chain(counter, body, status):
    before = height(counter)
    answer = counter.post(body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert height(counter) == before


def test_a_body_of_a_hundred_megabytes_is_refused_and_the_actor_answers_others(counter):
    answer = counter.post(b'{"pad": "' + b"x" * 100_000_000 + b'"}')
    assert answer.status_code == 413
    assert counter.post({"add": 0}).status_code == 200


def test_what_is_too_large_for_the_actor_is_413_and_on_the_chain(counter):
    answer = counter.post({"add": 1, "pad": "x" * 3_000_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "MessageTooLarge")
    assert counter.client.get("/").json()["head"] == answer.json()["step"]


def test_the_body_goes_on_the_chain_byte_for_byte(counter):
    """The body should be parsed and added to the hash chain, and then the wasm component should be called with the
    received data."""
    body = ' {"add":1, "\u00fc": [1.50, 1e2] } \n'.encode()
    answer = counter.post(body)
    step = counter.client.get(f"/steps/{answer.json()['head']}").json()
    assert raw(counter, f"{step['data']['consumed'][0]}/content") == body


def test_the_resulting_state_is_in_the_step_that_the_answer_names(counter):
    """The resulting state of the wasm component should be hashed into the hash chain."""
    answer = counter.post({"add": 3}).json()
    assert counter.client.get(f"/steps/{answer['head']}/core/state").json() == answer["state"]


def test_of_forty_callers_at_once_each_gets_the_state_after_its_own_message(counter):
    before = counter.state()["count"]
    with ThreadPoolExecutor(40) as callers:
        answers = [each.json() for each in callers.map(lambda _: counter.post({"add": 1}), range(40))]
    assert {each["state"]["count"] for each in answers} == set(range(before + 1, before + 41))
    on_the_chain = {entry["id"]: entry["data"]["consumed"] for entry in counter.chain()}
    assert all(len(on_the_chain[each["head"]]) == 1 for each in answers)


def test_what_a_contract_refuses_is_422_says_which_and_changes_nothing(counter):
    """The wasm component will also expose two contract functions, to ensure that state and messages are well-formed and
    valid."""
    before = counter.state()
    for body, contract in (({"add": "2"}, "MessageContract"), ({"add": -1_000_000}, "StateContract")):
        answer = counter.post(body)
        assert (answer.status_code, answer.json()["code"]) == (422, contract)
        assert counter.client.get("/").json()["head"] == answer.json()["step"]
    assert counter.state() == before


def test_each_object_points_to_its_parent_and_has_the_id_that_is_its_hash(counter):
    """Each object should point to its parent. Each object will be referenced by the hash of the stringified object."""
    entries = counter.chain()
    assert entries[0]["parent"] is None
    assert [entry["parent"] for entry in entries[1:]] == [entry["id"] for entry in entries[:-1]]
    assert all(set(entry) == {"id", "parent", "data"} for entry in entries)
    assert sha256(raw(counter, entries[-1]["id"])).digest() == ids.parse(entries[-1]["id"])[-32:]


def test_the_first_commit_holds_the_hash_of_the_component(counter):
    """The first commit should contain the hash of the contents of the wasm component."""
    first = counter.chain()[0]
    assert first["data"]["component-hash"] == sha256(COUNTER.read_bytes()).hexdigest()


def test_the_head_is_kept_and_moves_with_each_step(counter):
    """The current HEAD of the chain should be stored in a separate variable."""
    before = counter.client.get("/").json()["head"]
    after = counter.post({"add": 0}).json()["head"]
    assert counter.chain()[-1]["id"] == after
    assert counter.chain()[-1]["parent"] == before


def test_any_other_can_replay_and_verify_the_chain(counter, tmp_path):
    """The goal is to build a chain of computations that can be replayed and verified by any other actor."""
    understudy(counter.folder, "export", "counter", "-o", str(tmp_path / "counter.car"))
    assert "MATCH" in understudy(tmp_path, "verify", "counter.car")


def test_it_is_started_with_a_component_and_an_address_and_the_server_is_there(run: Run):
    """The runtime will be started with a compiled wasm component and a network address. The runtime should then set up
    the webserver at the address given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = run(COUNTER, "--listen", address)
    assert process.said["address"] == f"http://{address}"
    assert process.client.get("/").json()["state"] == {"count": 0}


def test_the_other_routes_of_a_node_are_there_too(counter):
    assert counter.client.get("/healthz").json()["status"] == "ok"
    assert counter.client.get("/actors/counter").json()["id"] == counter.actor["id"]
    assert counter.client.get("/nothing").status_code == 404


def test_who_is_killed_while_others_post_loses_nothing_that_was_acknowledged(run: Run):
    process = run()
    acknowledged: list[str] = []
    enough = threading.Event()

    def post() -> None:
        while True:
            try:
                answer = httpx.post(process.said["address"], content=b'{"add": 1}', timeout=30)
            except httpx.TransportError:
                return
            acknowledged.append(answer.json()["head"])
            if len(acknowledged) >= 30:
                enough.set()

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    process.end(signal.SIGKILL)
    for thread in threads:
        thread.join()
    again = run()
    entries = again.chain()
    assert again.actor["resumed"]
    assert set(acknowledged) <= {entry["id"] for entry in entries}
    assert again.state()["count"] == sum(len(entry["data"]["consumed"]) for entry in entries[1:])


def test_a_store_belongs_to_one_component_and_one_nonce(run: Run, tmp_path: Path):
    first = run(COUNTER, "--nonce", "a")
    first.post({"add": 4})
    first.end()
    other = tmp_path / "other.wasm"
    other.write_bytes(actor(KEEP))
    assert "this store belongs to the actor counter" in understudy(tmp_path, "run", str(other), code=1)
    assert "another nonce" in understudy(tmp_path, "run", str(COUNTER), "--nonce", "b", code=1)
    assert run(COUNTER, "--nonce", "a").state() == {"count": 4}


def test_the_same_component_under_another_name_goes_on_too(run: Run, tmp_path: Path):
    run().end()
    renamed = tmp_path / "renamed.wasm"
    renamed.write_bytes(COUNTER.read_bytes())
    assert run(renamed).actor["resumed"]


def test_a_file_whose_name_no_actor_can_have_is_run_all_the_same(run: Run, tmp_path: Path):
    odd = tmp_path / "a:b .wasm"
    odd.write_bytes(COUNTER.read_bytes())
    process = run(odd)
    assert (process.actor["name"], process.post({"add": 1}).json()["state"]) == ("actor", {"count": 1})


def test_an_update_replaces_the_component_and_the_file_that_it_was_started_with_still_names_the_actor(
    run: Run, tmp_path: Path
):
    process = run()
    process.post({"add": 4})
    patch = {"code/counter.wasm": {"base64": _base64(actor(KEEP))}}
    headers = {"Message-Lane": "update", **process.token}
    updated = process.client.post("/actors/counter/messages", json={"patch": patch}, headers=headers)
    assert updated.status_code == 200, updated.text
    process.end()
    again = run()
    assert again.post({"add": 1}).json()["state"] == {"count": 4}


def test_an_endless_loop_is_a_failed_step_while_others_are_answered(run: Run, tmp_path: Path):
    endless = tmp_path / "endless.wasm"
    endless.write_bytes(actor(LOOP))
    process = run(endless)
    looping = threading.Thread(target=process.post, args=({},))
    looping.start()
    assert process.client.get("/healthz").status_code == 200
    looping.join()
    answer = process.post({})
    assert (answer.status_code, answer.json()["outcome"]) == (500, "failed")
    assert answer.json()["code"] == "OutOfFuel"
    assert answer.json()["step"] == process.client.get("/").json()["head"]


def test_a_state_that_is_no_json_comes_as_base64(run: Run, tmp_path: Path):
    bytes_ = tmp_path / "bytes.wasm"
    bytes_.write_bytes(actor("(call $result (i32.const 1024) (i32.const 2))", data="\\ff\\00"))
    assert run(bytes_).post({}).json()["state"] == {"base64": "/wA="}


def test_a_component_that_can_not_begin_opens_no_port_and_a_mended_one_takes_its_place(run: Run, tmp_path: Path):
    """init to be called on setup and return the initial state"""
    broken = tmp_path / "counter.wasm"
    broken.write_bytes(actor(init="unreachable"))
    said = understudy(tmp_path, "run", str(broken), "--listen", "127.0.0.1:0", code=1)
    assert "the first step of this actor failed" in said
    assert "understudy show" in said
    mended = run(COUNTER)
    assert (mended.actor["name"], mended.state()) == ("counter", {"count": 0})


def test_what_is_no_actor_is_said_in_a_sentence(tmp_path: Path):
    """make sure the init, handle, and contract functions exist in the component"""
    (tmp_path / "empty.wasm").write_bytes(b"\0asm\x0d\0\x01\0")
    said = understudy(tmp_path, "run", "empty.wasm", code=1)
    assert all(name in said for name in ("state-contract", "message-contract", "handle"))
    (tmp_path / "core.wasm").write_bytes(b"\0asm\x01\0\0\0")
    assert "this is a core module" in understudy(tmp_path, "run", "core.wasm", code=1)
    (tmp_path / "text.wasm").write_bytes(b"no component")
    assert "no WebAssembly component" in understudy(tmp_path, "run", "text.wasm", code=1)
    assert "can't be read" in understudy(tmp_path, "run", "gone.wasm", code=2)
    assert "can't be read" in understudy(tmp_path, "run", ".", code=2)


def test_a_port_or_a_store_in_use_and_a_door_without_a_lock_are_said_in_a_sentence(run: Run, tmp_path: Path):
    process = run()
    address = process.said["address"].removeprefix("http://")
    assert "serves this store already" in understudy(tmp_path, "run", str(COUNTER), code=1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = understudy(elsewhere, "run", str(COUNTER), "--listen", address, code=2)
    assert "something listens there already" in said
    assert "UNDERSTUDY_TOKEN" in understudy(elsewhere, "run", str(COUNTER), "--listen", "0.0.0.0:0", code=2)
    locked = ActorProcess(elsewhere, COUNTER, "--listen", "0.0.0.0:0", UNDERSTUDY_TOKEN="open sesame")
    try:
        assert locked.post({"add": 1}).status_code == 401
        assert locked.post({"add": 1}, Authorization="Bearer open sesame").status_code == 200
    finally:
        locked.stop()


def test_the_interface_is_printed_and_written_out_to_build_against(tmp_path: Path):
    """The WIT interface for a wasm component is below"""
    printed = understudy(tmp_path, "wit")
    assert "package ntwk:simple-actor;" in printed
    assert "world first-actor {" in printed
    understudy(tmp_path, "wit", "-o", "wit")
    assert all(file.read_text() in printed for file in (tmp_path / "wit").iterdir())


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def test_a_component_that_answers_its_sender_is_heard_by_whoever_posted(run, tmp_path):
    path = tmp_path / "polite.wasm"
    path.write_bytes(POLITE)
    answer = run(path).post({}).json()
    assert answer["replies"] == [{"type": "reply", "content": answer["state"]}]


def test_a_policy_is_part_of_the_actor_from_its_beginning_and_another_one_is_another_actor(run, tmp_path):
    policy, other, bad = (tmp_path / name for name in ("policy.json", "other.json", "bad.json"))
    policy.write_text('{"batch": 7}')
    other.write_text('{"batch": 8}')
    bad.write_text('{"batches": 7}')
    store = ["--store", f"rocksdb:{tmp_path}/one"]
    first = run(COUNTER, "--policy", str(policy), *store)
    step = first.client.get(f"/steps/{first.actor['head']}/core/policy")
    assert step.json() == {"batch": 7}
    first.end()
    said = understudy(tmp_path, "run", str(COUNTER), "--policy", str(other), *store, code=1)
    assert "another component, another policy or another nonce" in said
    again = run(COUNTER, *store)
    assert again.said["actor"]["resumed"]
    said = understudy(tmp_path, "run", str(COUNTER), "--policy", str(bad), "--store", "memory:", code=1)
    assert "BadPolicy" in said
