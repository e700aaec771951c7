"""Which API server, and with whose credentials: kubeconfig files and service accounts."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshctl.adapters.kube_errors import Caller
from meshctl.errors import AccessError, ConfigError, Where, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True)
class Access:
    """A loaded configuration of the `kubernetes` package, and the names that messages need."""

    configuration: Any
    caller: Caller


def load_access(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """Load credentials the way kubectl does.

    Args:
        kubeconfig: a file, or several joined as in KUBECONFIG; None: KUBECONFIG, then
            `~/.kube/config`, then the service account of the pod this runs in.
        context: a context in it; None: the current one.

    Raises:
        ConfigError: the file is missing or not a kubeconfig, or has no such context.
        AccessError: the credential plugin of the context failed.
    """
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

    files = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"  # noqa: TID251 - as kubectl does
    configuration = Configuration()
    paths = [Path(name).expanduser() for name in files.split(os.pathsep) if name]
    if not any(path.exists() for path in paths):
        if kubeconfig is None and context is None and _ACCOUNT.exists():
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # as below
            return Access(configuration, Caller(configuration.host, "in-cluster", "service account"))
        raise ConfigError(
            "kubeconfig-missing",
            f"there is no kubeconfig file {files!r}",
            hint="name one with `--kubeconfig`, or make a cluster with `meshctl sandbox up`",
        )
    contents = [_read(path) for path in paths if path.exists()]
    chosen = _choose(files, contents, context)
    with _told() as complaints:
        try:
            load_kube_config(  # type: ignore[no-untyped-call]  # the package has no types
                config_file=files, context=chosen["name"], client_configuration=configuration
            )
        except (ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                "kubeconfig-invalid",
                f"context {chosen['name']!r} cannot be used: {error}",
                where=Where(files),
                hint="mend the entry, or name another context with `--context`",
            ) from error
    caller = _caller(configuration, chosen, contents)
    if complaints:
        raise AccessError(
            "credential-plugin-failed",
            f"the credential plugin of {caller} gave no credentials",
            hint="run the plugin by hand; it may want you to log in",
            details=tuple(complaints),
        )
    return Access(configuration, caller)


def _choose(files: str, contents: list[Mapping[str, Any]], context: str | None) -> Mapping[str, Any]:
    """The context asked for, or the current one, as `{name, user, cluster}`."""
    contexts: dict[str, Mapping[str, Any]] = {}
    current = ""
    for content in contents:
        for entry in content.get("contexts") or ():
            contexts.setdefault(str(entry.get("name", "")), entry.get("context") or {})
        current = current or str(content.get("current-context") or "")
    name = context or current
    if name in contexts:
        return {"name": name, **contexts[name]}
    where = Where(files)
    have = f"there are {listed(sorted(contexts))}" if contexts else "there is none"
    if not name:
        raise ConfigError(
            "context-not-set",
            "the kubeconfig has no current context",
            where=where,
            hint=f"name one with `--context`; {have}",
        )
    near = nearest(name, contexts)
    raise ConfigError(
        "context-unknown",
        f"unknown context {name!r}" + (f"; did you mean {near!r}?" if near else ""),
        where=where,
        hint=f"name a context of this file: {have}",
    )


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both safe
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            "kubeconfig-invalid",
            f"the kubeconfig is not YAML: {getattr(error, 'problem', None) or 'it cannot be parsed'}",
            where=Where(str(path), mark.line + 1 if mark else None),
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "kubeconfig-unreadable", f"the kubeconfig cannot be read: {error}", where=Where(str(path))
        ) from error
    if not isinstance(content, dict) or not _is_list_of_maps(content.get("contexts") or []):
        raise ConfigError(
            "kubeconfig-invalid", "this is not a kubeconfig: it has no contexts", where=Where(str(path))
        )
    return content


def _is_list_of_maps(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _caller(configuration: Any, chosen: Mapping[str, Any], contents: list[Mapping[str, Any]]) -> Caller:
    user = str(chosen.get("user", ""))
    users = [each for content in contents for each in content.get("users") or () if each.get("name") == user]
    entry = (users[0].get("user") or {}) if users else {}
    return Caller(configuration.host, str(chosen["name"]), user, lambda: _remedy(entry, configuration))


def _remedy(entry: Mapping[str, Any], configuration: Any) -> str:
    """What to do when the server refuses these credentials."""
    if command := (entry.get("exec") or {}).get("command"):
        return f"log in again with the tool behind `{command}`, or name another context with `--context`"
    if configuration.cert_file:
        from meshctl import pki

        _, ends = pki.validity(Path(configuration.cert_file).read_bytes())
        return f"the client certificate is valid until {ends:%Y-%m-%d %H:%M} UTC; renew it if that is past"
    if "token" in entry or "tokenFile" in entry:
        return "the token may have expired; put a new one into the kubeconfig"
    return ""


class _Complaints(logging.Handler):
    """Keeps what the package logs instead of raising."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _told() -> Iterator[list[str]]:
    # The package logs a failing credential plugin to the root logger and goes on without credentials.
    handler = _Complaints()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler.lines
    finally:
        root.removeHandler(handler)
