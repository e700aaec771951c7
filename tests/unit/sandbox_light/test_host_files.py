"""How to reach the hosts: files that ssh reads."""

from __future__ import annotations

from pathlib import Path

from meshctl.sandbox.host_files import SshFiles, known_hosts, ssh_config
from meshctl.sandbox.hosts import nspawn_command, ssh_command
from meshctl.sandbox.names import Layout

LAYOUT = Layout("box", 2, Path("/with blank/box"))
FIRST, SECOND = LAYOUT.hosts(2)


def test_ssh_is_told_user_key_and_whom_to_trust_for_each_host() -> None:
    text = ssh_config(SshFiles(LAYOUT.state), [SECOND, FIRST])
    blocks = text.split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["Host vm1", "Host vm2"]
    assert "    HostName 10.130.0.51\n    User admin\n" in blocks[0]
    assert '    IdentityFile "/with blank/box/ssh/id_ed25519"\n' in blocks[0]
    assert "    StrictHostKeyChecking yes" in blocks[0]


def test_a_hosts_key_is_known_under_its_name_and_its_address() -> None:
    text = known_hosts({SECOND: "ssh-ed25519 BBBB vm2", FIRST: "ssh-ed25519 AAAA vm1\n"})
    assert text == "vm1,10.130.0.51 ssh-ed25519 AAAA\nvm2,10.130.0.52 ssh-ed25519 BBBB\n"


def test_the_status_gives_a_line_that_a_shell_runs() -> None:
    assert ssh_command(LAYOUT, FIRST) == "ssh -F '/with blank/box/ssh_config' vm1"


def test_a_host_boots_in_its_own_network_with_the_rights_iptables_needs() -> None:
    command = nspawn_command(LAYOUT, FIRST)
    assert "--network-namespace-path=/run/netns/box-vm1" in command
    assert "--capability=CAP_NET_ADMIN,CAP_NET_RAW" in command
    assert "--hostname=vm1" in command
