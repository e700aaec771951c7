"""Rules go in and out whole, again and again, whatever breaks in between."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from meshctl.agent.capture import applied
from meshctl.agent.capture.applied import Journal
from meshctl.agent.capture.control import Capture
from meshctl.agent.capture.settings import CaptureSettings
from meshctl.agent.capture.tools import Tools
from meshctl.errors import AccessError, ConfigError, ConflictError, FailedError, UnsupportedError
from tests.unit.agent.capture.fake_host import FakeHost, FakeKernel, FakeTimer, FakeTools, Killed

SETTINGS = CaptureSettings(user="1337", dns=True, dual_stack=True, drop_invalid=True)
OTHER = replace(SETTINGS, inbound_ports=("80",), drop_invalid=False)


@pytest.fixture
def host() -> FakeHost:
    """A host with a firewall of its own."""
    found = FakeHost()
    found.tables[4, "nat"] = {"PREROUTING": ["-i eth9 -j DNAT"], "POSTROUTING": ["-j MASQUERADE"]}
    return found


@pytest.fixture
def capture(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Capture:
    written = applied._write

    def write(path: Path, content: object) -> None:
        host.step()
        written(path, content)  # type: ignore[arg-type]

    monkeypatch.setattr(applied, "_write", write)
    monkeypatch.setattr("os.fsync", lambda _: None)  # the tests write thousands of files
    return Capture(Journal(tmp_path / "capture"), FakeTools(host), FakeKernel(host), FakeTimer(host), {})


def test_what_was_there_before_is_there_after(host: FakeHost, capture: Capture, tmp_path: Path) -> None:
    before = host.everything()
    for _ in range(3):
        assert capture.apply(SETTINGS).changed
        assert host.everything() != before
        assert capture.remove().changed
        assert host.everything() == before
    assert [each.name for each in (tmp_path / "capture").iterdir()] == ["lock"]


def test_a_second_apply_and_a_second_removal_have_nothing_to_do(host: FakeHost, capture: Capture) -> None:
    capture.apply(SETTINGS)
    there = host.everything()
    assert not capture.apply(SETTINGS).changed
    assert host.everything() == there
    assert capture.check(SETTINGS) == ()
    capture.remove()
    assert not capture.remove().changed


def test_other_settings_take_the_place_of_the_first(host: FakeHost, capture: Capture) -> None:
    before = host.everything()
    capture.apply(SETTINGS)
    capture.apply(OTHER)
    fresh = FakeHost()
    assert (4, "mangle") not in {key for key, chains in host.tables.items() if any(chains.values())}
    assert len(host.tables[4, "nat"]["OUTPUT"]) == 1
    assert capture.check(OTHER) == ()
    capture.remove()
    assert host.everything() == before
    assert fresh.tables == {}


def test_rules_of_others_that_come_meanwhile_stay(host: FakeHost, capture: Capture) -> None:
    capture.apply(SETTINGS)
    host.tables[4, "nat"]["OUTPUT"].insert(0, "-d 10.9.0.0/16 -j DOCKER")
    host.tables[4, "raw"]["PREROUTING"] = ["-j NOTRACK"]
    capture.remove()
    assert host.tables[4, "nat"]["OUTPUT"] == ["-d 10.9.0.0/16 -j DOCKER"]
    assert host.tables[4, "raw"] == {"PREROUTING": ["-j NOTRACK"]}


def test_an_address_that_was_there_is_not_taken_away(host: FakeHost, capture: Capture) -> None:
    host.loopback.add("::6")
    capture.apply(SETTINGS)
    capture.remove()
    assert "::6" in host.loopback


def test_without_capture_all_of_it_goes(host: FakeHost, capture: Capture) -> None:
    before = host.everything()
    capture.apply(SETTINGS)
    assert capture.apply(replace(SETTINGS, mode="none", user="nobody-here")).applied is None
    assert host.everything() == before
    assert capture.check(replace(SETTINGS, mode="none")) == ()


@pytest.mark.parametrize("then", ["remove", "apply", "apply other"])
@pytest.mark.parametrize("first", [None, OTHER])
def test_a_crash_at_any_step_is_cleaned_by_what_comes_next(
    host: FakeHost, capture: Capture, first: CaptureSettings | None, then: str
) -> None:
    before, step = host.everything(), 0
    while True:
        if first:
            capture.apply(first)
        host.kill_at = host.steps + step
        try:
            capture.apply(SETTINGS)
        except Killed:
            killed = True
        else:
            killed = False
        host.kill_at = None
        if then != "remove":
            settings = SETTINGS if then == "apply" else OTHER
            capture.apply(settings)
            assert capture.check(settings) == (), step
        capture.remove()
        assert host.everything() == before, step
        if not killed:
            break
        step += 1
    assert step > 8


def test_a_crash_at_any_step_of_a_removal_is_cleaned_by_the_next(host: FakeHost, capture: Capture) -> None:
    before, step, killed = host.everything(), 0, True
    while killed:
        capture.apply(SETTINGS)
        host.kill_at = host.steps + step
        try:
            capture.remove()
        except Killed:
            pass
        else:
            killed = False
        host.kill_at = None
        capture.remove()
        assert host.everything() == before, step
        step += 1
    assert step > 6


def test_what_fails_half_way_is_undone(host: FakeHost, capture: Capture) -> None:
    before = host.everything()
    host.lacks = {(4, "nat")}
    with pytest.raises(FailedError):
        capture.apply(SETTINGS)
    assert host.everything() == before


def test_what_fails_half_way_leaves_the_rules_of_before(host: FakeHost, capture: Capture) -> None:
    capture.apply(OTHER)
    there = host.everything()
    host.lacks = {(6, "nat")}
    with pytest.raises(FailedError):
        capture.apply(replace(SETTINGS, ipv6="on"))
    host.lacks = set()
    rules = {key: chains for key, chains in host.tables.items() if any(chains.values())}
    assert (rules, host.loopback) == there
    assert capture.check(OTHER) == ()


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        ({(4, "raw")}, "questions to DNS are captured without tracking them apart"),
        ({(4, "mangle")}, "packets that fit no connection are not dropped"),
        ({(6, "nat")}, "IPv6 is not captured"),
        ({(6, "nat"), (6, "raw"), (6, "mangle")}, "IPv6 is not captured"),
    ],
)
def test_a_host_that_lacks_a_table_says_what_that_means(
    host: FakeHost, capture: Capture, lacks: set[tuple[int, str]], told: str
) -> None:
    before = host.everything()
    host.lacks = lacks
    outcome = capture.apply(SETTINGS)
    assert outcome.applied
    assert any(note.startswith(told) and "no such table" in note for note in outcome.applied.notes)
    if (6, "nat") in lacks:
        assert not [table for table in outcome.applied.tables if table.family == 6]
        assert "::6" not in host.loopback
    assert capture.check(SETTINGS) == outcome.applied.notes
    capture.remove()
    assert host.everything() == before


def test_a_host_without_ip6tables_says_so_once(tmp_path: Path) -> None:
    host = FakeHost(programs=("iptables-nft",))
    capture = Capture(Journal(tmp_path / "c"), FakeTools(host), FakeKernel(host), FakeTimer(host), {})
    outcome = capture.apply(SETTINGS)
    assert outcome.applied
    assert [note for note in outcome.applied.notes if "IPv6" in note] == list(outcome.applied.notes)
    assert len(outcome.applied.notes) == 1
    with pytest.raises(UnsupportedError):
        capture.apply(replace(SETTINGS, ipv6="on"))


def test_a_host_without_any_tool_is_told_what_to_install(tmp_path: Path) -> None:
    host = FakeHost(programs=())
    capture = Capture(Journal(tmp_path / "c"), FakeTools(host), FakeKernel(host), FakeTimer(host), {})
    with pytest.raises(UnsupportedError) as told:
        capture.apply(SETTINGS)
    assert told.value.hint.startswith("install iptables or nftables")


def test_rules_that_somebody_changed_are_found_and_mended(host: FakeHost, capture: Capture) -> None:
    capture.apply(SETTINGS)
    host.tables[4, "nat"]["MESHCTL_OUTPUT"].pop()
    assert capture.check(SETTINGS) == ("the table nat of IPv4 is not as it was put there",)
    assert capture.apply(SETTINGS).changed
    assert capture.check(SETTINGS) == ()


def test_left_overs_without_a_memory_are_found_and_removed(
    host: FakeHost, capture: Capture, tmp_path: Path
) -> None:
    capture.apply(SETTINGS)
    (tmp_path / "capture" / "applied.json").unlink()
    assert capture.remove().changed
    assert "MESHCTL" not in str(host.tables)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 1}',
        '{"version": 9}',
        '"x"',
        "\ufeff{}",
        '{"version": 1, "flavour": "x", "digest": "", "tables": [], "before": [], "loopback": [], '
        '"origin": "boot-1", "complete": true, "notes": []}',
        '{"version": 1, "number": "1", "digest": "", "until": null, "origin": "boot-1", "previous": null}',
    ],
)
def test_a_damaged_memory_is_no_obstacle(
    host: FakeHost, capture: Capture, tmp_path: Path, damage: str
) -> None:
    capture.apply(SETTINGS)
    for name in ("applied.json", "pending.json", "refused.json"):
        (tmp_path / "capture" / name).write_text(damage)
    capture.remove()
    assert "MESHCTL" not in str(host.tables)


def test_rules_of_another_boot_are_not_believed_to_be_there(host: FakeHost, capture: Capture) -> None:
    capture.apply(SETTINGS)
    host.tables, host.loopback, host.boot = {}, {"127.0.0.1", "::1"}, "boot-2"
    assert capture.apply(SETTINGS).changed
    capture.remove()
    assert host.tables == {}


def test_a_program_that_outlives_the_one_who_began_it_is_waited_for(tmp_path: Path) -> None:
    journal, tools = Journal(tmp_path), Tools()
    with journal.locked() as lock:
        tools.held.append(lock)
        tools.run(["/bin/sh", "-c", "exec sleep 1 >/dev/null 2>&1 &"])
    with pytest.raises(BlockingIOError):
        fcntl.flock(os.open(tmp_path / "lock", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    with journal.locked():
        pass


def test_what_one_who_died_was_writing_is_gone_too(capture: Capture, tmp_path: Path) -> None:
    capture.apply(SETTINGS)
    (tmp_path / "capture" / "applied.part").write_text("{")
    capture.remove()
    assert [each.name for each in (tmp_path / "capture").iterdir()] == ["lock"]


def test_only_root_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capture: Capture) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError

    monkeypatch.setattr("os.open", refused)
    with pytest.raises(AccessError):
        capture.remove()


def test_the_memory_is_for_root_alone(capture: Capture, tmp_path: Path) -> None:
    capture.apply(SETTINGS)
    assert (tmp_path / "capture").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "capture" / "applied.json").stat().st_mode & 0o777 == 0o600


class TestConfirmation:
    """A change that nobody confirms is taken back."""

    def fire(self, host: FakeHost, capture: Capture) -> None:
        host.time += 30
        for number in list(host.timers):
            capture.expire(number)

    def test_unconfirmed_rules_go(self, host: FakeHost, capture: Capture) -> None:
        before = host.everything()
        assert capture.apply(SETTINGS, 30).waits == 30
        self.fire(host, capture)
        assert host.everything() == before

    def test_unconfirmed_rules_give_way_to_those_of_before(self, host: FakeHost, capture: Capture) -> None:
        capture.apply(OTHER)
        capture.apply(SETTINGS, 30)
        self.fire(host, capture)
        assert capture.check(OTHER) == ("the last change was taken back, as nobody confirmed it",)

    def test_confirmed_rules_stay(self, host: FakeHost, capture: Capture) -> None:
        capture.apply(SETTINGS, 30)
        assert capture.confirm().changed
        assert host.timers == {}
        host.time += 1000
        assert capture.check(SETTINGS) == ()
        assert not capture.confirm().changed

    def test_a_timer_that_fires_after_the_confirmation_does_nothing(
        self, host: FakeHost, capture: Capture
    ) -> None:
        capture.apply(SETTINGS, 30)
        (number,) = host.timers
        capture.confirm()
        capture.expire(number)
        assert capture.check(SETTINGS) == ()

    def test_a_confirmation_that_comes_too_late_is_told_so(self, host: FakeHost, capture: Capture) -> None:
        capture.apply(SETTINGS, 30)
        self.fire(host, capture)
        with pytest.raises(FailedError, match="taken back"):
            capture.confirm()

    def test_the_service_that_starts_meanwhile_changes_nothing(
        self, host: FakeHost, capture: Capture
    ) -> None:
        before = host.everything()
        capture.apply(SETTINGS, 30)
        assert capture.apply(SETTINGS).waits == 30
        with pytest.raises(ConflictError):
            capture.apply(OTHER)
        with pytest.raises(ConflictError):
            capture.apply(SETTINGS, 60)
        self.fire(host, capture)
        assert host.everything() == before

    def test_a_service_that_restarts_does_not_bring_back_what_was_taken_back(
        self, host: FakeHost, capture: Capture
    ) -> None:
        capture.apply(SETTINGS, 30)
        capture.remove()
        capture.apply(SETTINGS)
        self.fire(host, capture)
        with pytest.raises(FailedError, match="nobody confirmed"):
            capture.apply(SETTINGS)
        capture.apply(SETTINGS, 30)
        capture.confirm()
        capture.remove()
        assert capture.apply(SETTINGS).changed

    def test_what_was_there_before_may_come_back_after_a_change_was_taken_back(
        self, host: FakeHost, capture: Capture
    ) -> None:
        capture.apply(OTHER)
        capture.apply(SETTINGS, 30)
        self.fire(host, capture)
        capture.remove()
        assert capture.apply(OTHER).changed

    @pytest.mark.parametrize("reboot", [False, True])
    def test_a_timer_that_was_lost_is_made_good_by_the_next_command(
        self, host: FakeHost, capture: Capture, reboot: bool
    ) -> None:
        before = host.everything()
        capture.apply(SETTINGS, 30)
        host.timers.clear()
        host.time += 60
        if reboot:
            host.boot, host.tables, host.loopback = "boot-2", dict(before[0]), set(before[1])
        with pytest.raises(FailedError, match="nobody confirmed"):
            capture.apply(SETTINGS)
        assert host.everything() == before

    def test_a_crash_at_any_step_is_taken_back(self, host: FakeHost, capture: Capture) -> None:
        before, step, killed = host.everything(), 0, True
        while killed:
            host.kill_at = host.steps + step
            try:
                capture.apply(SETTINGS, 30)
            except Killed:
                pass
            else:
                killed = False
            host.kill_at = None
            self.fire(host, capture)
            capture.remove()
            host.timers.clear()
            host.time += 60
            assert host.everything() == before, step
            step += 1
        assert step > 8

    def test_a_change_that_fails_waits_for_nobody(self, host: FakeHost, capture: Capture) -> None:
        before = host.everything()
        host.lacks = {(4, "nat")}
        with pytest.raises(FailedError, match="iptables-restore"):
            capture.apply(SETTINGS, 30)
        assert (host.everything(), host.timers) == (before, {})
        host.lacks = set()
        assert capture.apply(SETTINGS).waits is None

    def test_a_crash_at_any_step_of_taking_back_is_made_good(self, host: FakeHost, capture: Capture) -> None:
        before, step, killed = host.everything(), 0, True
        while killed:
            capture.apply(SETTINGS, 30)
            host.kill_at = host.steps + step
            try:
                self.fire(host, capture)
            except Killed:
                pass
            else:
                killed = False
            host.kill_at = None
            host.time += 60
            capture.remove()
            assert host.everything() == before, step
            step += 1


def test_settings_that_are_wrong_change_nothing(host: FakeHost, capture: Capture) -> None:
    before = host.everything()
    with pytest.raises(ConfigError, match="no name of a user"):
        capture.apply(replace(SETTINGS, user="no such user"))
    assert host.everything() == before
