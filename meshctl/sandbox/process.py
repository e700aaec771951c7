"""Processes: run one to its end, or start one that stays and is known before it does anything."""

from __future__ import annotations

import collections
import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meshctl.errors import FailedError
from meshctl.sandbox import cgroups
from meshctl.sandbox.ledger import Ledger, Process

# The child waits for a line before it becomes the program. When this process dies before the journal
# has the child's number, the pipe closes, `read` fails, and the child ends.
_GATE = 'read -r go && exec "$@" </dev/null'


@dataclass(frozen=True, slots=True)
class Inside:
    """Where a process runs; None means where this one does.

    Attributes:
        netns: name of a network namespace.
        mounts_of: number of a process whose mount namespace to join.
        cgroup: control group, from the root of each hierarchy; it must exist.
    """

    netns: str | None = None
    mounts_of: int | None = None
    cgroup: str | None = None

    def wrap(self, argv: Sequence[str]) -> list[str]:
        """`argv` with what enters the namespaces before it.

        `ip netns exec` will not do: it mounts /sys anew, without control groups, and its mount
        namespace holds on to the network namespaces of pods.
        """
        flags = []
        if self.netns is not None:
            flags.append(f"--net=/run/netns/{self.netns}")
        if self.mounts_of is not None:
            flags.append(f"--mount=/proc/{self.mounts_of}/ns/mnt")
        return ["nsenter", *flags, "--", *argv] if flags else list(argv)


HERE = Inside()


def spawn(
    ledger: Ledger,
    name: str,
    argv: Sequence[str],
    *,
    log: Path,
    inside: Inside = HERE,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a process that outlives this one, in a session of its own.

    Its number is in the journal, and it is in its control group, before the program runs.

    Args:
        ledger: the journal.
        name: component and place, such as `c1/etcd`.
        argv: program (absolute, or found on PATH) and arguments.
        log: file its output is added to.
        inside: namespaces and control group.
        env: all of its environment; this process's own when None.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    try:
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _GATE, "sh", *inside.wrap(argv)],
            environment() if env is None else dict(env),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reader, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        process = Process(name, pid, _start_of(pid) or 0, boot_id())
        ledger.record(process)
        if inside.cgroup is not None:
            cgroups.enter(inside.cgroup, pid)
        os.write(writer, b"go\n")
    finally:
        os.close(reader)
        os.close(writer)
    return process


def alive(process: Process) -> bool:
    """Whether that very process still runs; a zombie does not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return process.boot == boot_id() and _start_of(process.pid) == process.start


def kill(process: Process) -> None:
    """End that very process and its children at once; fine if it is gone."""
    if alive(process):
        with contextlib.suppress(ProcessLookupError):
            # It leads a session of its own, so its group holds its children and nobody else.
            os.killpg(process.pid, signal.SIGKILL)


def run(
    argv: Sequence[str],
    *,
    inside: Inside = HERE,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
    seconds: float | None = 120,
) -> str:
    """Run a program to its end and give its standard output.

    Args:
        argv: program and arguments; never secrets, which every user of a machine can read there.
        inside: namespaces to run in.
        env: all of its environment; this process's own when None.
        stdin: text for its standard input.
        cwd: folder to run in.
        seconds: how long it may take; None for as long as it likes.

    Raises:
        FailedError: it is missing, took too long, or ended with another code than 0; its last
            lines are in the details.
    """
    if shutil.which(argv[0]) is None:
        raise FailedError("program-missing", f"{argv[0]!r} is not installed")
    try:
        done = subprocess.run(  # noqa: S603 - argv lists made here, no shell
            _tied(inside.wrap(argv)),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env=None if env is None else dict(env),
            cwd=cwd,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as cause:
        raise FailedError("program-slow", f"{' '.join(argv[:3])!r} took over {seconds:.0f} s") from cause
    if done.returncode != 0:
        raise FailedError(
            "program-failed",
            f"{' '.join(argv[:4])!r} ended with code {done.returncode}",
            details=last_lines(done.stderr or done.stdout),
        )
    return done.stdout


def lines_of(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Iterator[str]:
    """Run a program to its end and give its output, both kinds, line by line as it comes.

    An empty line is given for every second in which the program says nothing.

    Raises:
        FailedError: it ended with another code than 0; its last lines are in the details.
    """
    kept: collections.deque[str] = collections.deque(maxlen=12)
    with subprocess.Popen(  # noqa: S603 - as above
        _tied(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(env),
        cwd=cwd,
    ) as program:
        assert program.stdout is not None
        try:
            for line in _lines(program.stdout.fileno()):
                if line:
                    kept.append(line)
                yield line
        except GeneratorExit:
            program.kill()
            raise
    if program.returncode != 0:
        raise FailedError(
            "program-failed",
            f"{' '.join(argv[:2])!r} ended with code {program.returncode}",
            details=list(kept),
        )


def _lines(descriptor: int) -> Iterator[str]:
    rest = b""
    with selectors.DefaultSelector() as ready:
        ready.register(descriptor, selectors.EVENT_READ)
        while True:
            if not ready.select(timeout=1):
                yield ""
                continue
            chunk = os.read(descriptor, 65536)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line.decode(errors="replace").rstrip()
            if not chunk:
                break
    if rest.strip():
        yield rest.decode(errors="replace").rstrip()


def _tied(argv: Sequence[str]) -> list[str]:
    """`argv` such that the program ends with this process.

    Were this process killed, the program must not go on filling a folder that the next run removes.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--", *argv]


def environment(**more: str) -> dict[str, str]:
    """This process's environment with some variables set besides."""
    return {**os.environ, **more}  # noqa: TID251 - handed to programs


def last_lines(text: str, count: int = 12) -> list[str]:
    """The last lines of `text` that are not blank."""
    return [line for line in text.splitlines() if line.strip()][-count:]


def log_tail(log: Path, count: int = 12) -> list[str]:
    """The last lines of a log; empty when there is none."""
    try:
        return last_lines(log.read_text(errors="replace")[-20_000:], count)
    except FileNotFoundError:
        return []


def pause(seconds: float) -> None:
    """Wait a moment before looking again; the one place where the sandbox sleeps."""
    time.sleep(seconds)  # noqa: TID251 - the one place


def clock() -> float:
    """Seconds on a clock that never goes back, for measuring."""
    return time.monotonic()


def boot_id() -> str:
    """The kernel's name for the time since its boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_of(pid: int) -> int | None:
    """Start in clock ticks since boot; None when there is no such process or it is a zombie.

    Source: proc(5), /proc/pid/stat: field 2 may hold blanks and brackets, field 3 is the state,
    field 22 the start.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])
