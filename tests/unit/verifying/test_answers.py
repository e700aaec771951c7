"""What a client is told is read as a person would."""

from __future__ import annotations

import json

import pytest

from meshctl.model.verification import Call
from meshctl.stages.verifying.answers import answered, door_fault, endpoints, identities
from meshctl.stages.verifying.envoys import CLIENT_HEADER, FLAGS_HEADER, SERVER_HEADER

CALLER, CALLED = "spiffe://cluster.local/ns/n/sa/client", "spiffe://cluster.local/ns/n/sa/server"
XFCC = f'By={CALLED};Hash=0a1b;Subject="";URI={CALLER}'
CALL = Call("west", "east", CALLER, CALLED)


def test_an_answer_tells_who_called_whom() -> None:
    got = answered(CALL, 200, {SERVER_HEADER: "east", CLIENT_HEADER: XFCC}, "")
    assert got.is_well
    assert (got.caller, got.called, got.answered_by, got.fault) == (CALLER, CALLED, "east", "")


def test_an_answer_of_another_server_or_without_mtls_is_not_well() -> None:
    other = answered(CALL, 200, {SERVER_HEADER: "north", CLIENT_HEADER: XFCC}, "")
    plain = answered(CALL, 200, {SERVER_HEADER: "east"}, "")
    assert (other.is_well, other.answered_by) == (False, "north")
    assert (plain.is_well, plain.caller) == (False, "")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ("", "")),
        (XFCC, (CALLED, CALLER)),
        (f"By=spiffe://a;URI=spiffe://b,{XFCC}", (CALLED, CALLER)),
        (f'By={CALLED};Subject="CN=a,O=\\"b;c\\"";URI={CALLER}', (CALLED, CALLER)),
        (f"By={CALLED};Hash=1", (CALLED, "")),
        ("nonsense", ("", "")),
    ],
)
def test_the_last_hop_of_a_header_counts(header: str, expected: tuple[str, str]) -> None:
    assert identities(header) == expected


RESET = "upstream connect error or disconnect/reset before headers. reset reason: "


@pytest.mark.parametrize(
    ("status", "body", "path", "words"),
    [
        (
            503,
            RESET + "remote connection failure, transport failure reason: TLS_error:|268435581:SSL "
            "routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end",
            ("10.0.0.9:15443",),
            "its certificate at 10.0.0.9:15443 is not trusted",
        ),
        (503, "TLS_error:SSLV3_ALERT_CERTIFICATE_UNKNOWN", (), "does not trust the caller's certificate"),
        (503, RESET + "TLS_error: WRONG_VERSION_NUMBER", (), "no TLS with it"),
        (503, "no healthy upstream", (), "knows no endpoint of it"),
        (503, "no healthy upstream", ("10.0.0.9:15443",), "no endpoint of it answers at 10.0.0.9:15443"),
        (503, RESET + "connection timeout", ("10.0.0.9:15443",), "no answer in time at 10.0.0.9:15443"),
        (
            503,
            RESET + "connection refused",
            ("1.2.3.4:15443",),
            "no connection at 1.2.3.4:15443: connection refused",
        ),
        (504, "upstream request timeout", (), "no answer in time"),
        (403, "RBAC: access denied", (), "it is denied: RBAC: access denied; see AuthorizationPolicies"),
        (404, "", (), "HTTP 404"),
        (502, "x" * 500, (), "HTTP 502: xxx"),
    ],
)
def test_a_call_without_an_answer_names_its_cause_in_one_line(
    status: int, body: str, path: tuple[str, ...], words: str
) -> None:
    fault = answered(CALL, status, {FLAGS_HEADER: "-"}, body, path).fault
    assert words in fault
    assert "\n" not in fault
    assert len(fault) < 300


def test_a_name_that_is_not_resolved_is_told_as_such() -> None:
    fault = answered(CALL, 503, {FLAGS_HEADER: "UH"}, "no healthy upstream").fault
    assert "its name is not resolved" in fault


@pytest.mark.parametrize(
    ("status", "flags", "body", "fault"),
    [
        (200, "-", "", ""),
        (400, "-", "", ""),
        (503, "UC", RESET + "connection termination", ""),
        (502, "UPE", RESET + "protocol error", ""),
        (503, "UF", RESET + "remote connection failure", "it refuses connections"),
        (503, "UF", RESET + "connection timeout", "no answer"),
        (503, "UF,URX", RESET + "connection timeout", "no answer"),
        (503, "UH", "no healthy upstream", "its name is not resolved"),
    ],
)
def test_a_gateway_is_reached_when_a_connection_to_it_opens(
    status: int, flags: str, body: str, fault: str
) -> None:
    assert door_fault(status, {FLAGS_HEADER: flags}, body) == fault


def test_endpoints_of_a_service_are_told_and_those_of_others_are_not() -> None:
    def cluster(name: str, *places: tuple[str, int]) -> dict[str, object]:
        hosts = [{"address": {"socket_address": {"address": a, "port_value": p}}} for a, p in places]
        return {"name": name, "host_statuses": hosts}

    told = {
        "cluster_statuses": [
            cluster(
                "outbound|8000||server-east.ns.svc.cluster.local", ("10.0.0.9", 15443), ("10.0.0.8", 15443)
            ),
            cluster("outbound|8000||server-east-2.ns.svc.cluster.local", ("10.0.0.7", 1)),
            cluster("outbound|80||server-east.ns.svc.cluster.local", ("10.0.0.6", 1)),
            {"name": "xds-grpc"},
        ]
    }
    assert endpoints(json.dumps(told), "server-east.ns") == ("10.0.0.8:15443", "10.0.0.9:15443")
    for odd in ("", "[]", "nonsense", '{"cluster_statuses": [1]}'):
        assert endpoints(odd, "server-east.ns") == ()
