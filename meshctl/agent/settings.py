"""What the operator has set, read whole before anything starts.

`cluster.env` says who this workload is, `proxy.json` how its proxy works; what neither says has a default.

    Settings
    ├── workload   who this host is in the mesh
    ├── proxy      Istio's ProxyConfig, with its defaults
    ├── log        from which level on, and in which form, is logged
    └── identity, ads, dns, capture, envoy, health, server: one for each room, from its own `settings.py`

A room's settings are a frozen dataclass. Its fields are set in proxy.json under their names, in camelCase:
`first_wait` of `ads` is `{"agent": {"ads": {"firstWait": 0.5}}}`. What is not set there comes from variables
of cluster.env, then from the ProxyConfig, then from the dataclass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.ads.settings import AdsSettings
from meshctl.agent.capture.settings import CaptureSettings
from meshctl.agent.dns.settings import DnsSettings
from meshctl.agent.envoy.settings import EnvoySettings
from meshctl.agent.health.settings import HealthSettings, health_settings
from meshctl.agent.host import Host, this_host
from meshctl.agent.identity.settings import IdentitySettings
from meshctl.agent.logs import LEVELS
from meshctl.agent.reading.document import Document, document, known_keys
from meshctl.agent.reading.fields import filled
from meshctl.agent.reading.file import read
from meshctl.agent.reading.problems import Problems
from meshctl.agent.reading.proxyconfig import ProxyConfig, proxy_config
from meshctl.agent.reading.rooms import Said
from meshctl.agent.reading.typed import Typed
from meshctl.agent.reading.variables import Variables, variables
from meshctl.agent.reading.workload import Workload, workload
from meshctl.agent.server.settings import ServerSettings
from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from meshctl.agent.places import Places

FORMS: Final = ("json", "text")
_UNREAD: Final = frozenset(
    (
        "CA_ROOT_CA", "CREDENTIAL_FETCHER_TYPE", "FILE_MOUNTED_CERTS", "GRPC_XDS_BOOTSTRAP",
        "ISTIO_BOOTSTRAP", "ISTIO_BOOTSTRAP_OVERRIDE", "ISTIO_PILOT_PORT", "OUTPUT_CERTS", "PILOT_ADDRESS",
        "PROV_CERT", "PROXY_CONFIG", "WORKLOAD_IDENTITY_SOCKET_FILE", "XDS_AUTH_PROVIDER", "XDS_ROOT_CA",
    )
)  # fmt: skip
"""Variables whose absence from here should not be found out the hard way."""
FIXED: Final = ("namespace", "service_account", "trust_domain", "cluster", "headers")
"""Fields that only cluster.env sets."""


@dataclass(frozen=True)
class LogSettings:
    """The agent's own log.

    Attributes:
        level: from which on is logged; one of `LEVELS`.
        form: one of `FORMS`.
    """

    level: str = "info"
    form: str = "json"

    def __post_init__(self) -> None:
        """Refuse what there is not.

        Raises:
            ConfigError: no such level, no such form.
        """
        for name, value, known in (("level", self.level, LEVELS), ("form", self.form, FORMS)):
            if value not in known:
                raise ConfigError(
                    "bad-setting", f"{name} is {value!r}, and has to be one of {', '.join(known)}"
                )


@dataclass(frozen=True)
class Settings:
    """All that is set; see the module.

    Attributes:
        variables: cluster.env, whole.
        warnings: what is odd in the files, each with its place, for the log.
    """

    variables: Variables
    workload: Workload
    proxy: ProxyConfig
    identity: IdentitySettings
    ads: AdsSettings
    dns: DnsSettings
    capture: CaptureSettings
    envoy: EnvoySettings
    health: HealthSettings
    server: ServerSettings
    log: LogSettings
    warnings: tuple[str, ...] = ()


ROOMS: Final[Mapping[str, tuple[type[Any], Callable[[Said], dict[str, Any]]]]] = {
    "identity": (IdentitySettings, Said.identity),
    "ads": (AdsSettings, Said.ads),
    "dns": (DnsSettings, Said.dns),
    "capture": (CaptureSettings, Said.capture),
    "envoy": (EnvoySettings, Said.envoy),
    "server": (ServerSettings, Said.server),
    "log": (LogSettings, lambda _: {}),
}
"""By name in proxy.json: the dataclass, and what the other sources say of it."""


def load(places: Places, host: Host | None = None) -> Settings:
    """Read both files.

    Args:
        places: where they are; cluster.env has to be there.
        host: in place of the facts of the host that this runs on.

    Raises:
        ConfigError: a file is missing, or something in it is wrong, with file and line.
        ProblemsError: several things are; each has its file and line.
        AccessError: a file may not be read.
    """
    problems = Problems()
    environment = _environment(places, problems)
    whole = _document(places, problems)
    part = whole.part("proxyConfig") if whole and "proxyConfig" in whole.value else None
    proxy = proxy_config(part, environment.get("ISTIO_SERVICE"), problems)
    problems.settle()  # what follows would only repeat it
    for name in sorted(_UNREAD & environment.values.keys()):
        problems.warn(
            "this is a setting of Istio's own agent, which has no meaning here", environment.where(name)
        )
    who = workload(environment, proxy, host or this_host(), problems)
    said = Said(Typed(environment, problems), proxy, who, places)
    made = _rooms(said, _agent(whole, problems), problems)
    health = _health(said, problems)
    problems.settle()
    return Settings(environment, who, proxy, health=health, warnings=tuple(problems.warnings), **made)


def _environment(places: Places, problems: Problems) -> Variables:
    file = str(places.environment)
    text = read(places.environment)
    if text is None:
        raise ConfigError(
            "file-missing",
            "the file is not there, and nothing else says who this workload is",
            where=Where(file),
            hint="have meshctl, or `istioctl experimental workload entry configure`, write it",
        )
    return variables(file, text, problems)


def _document(places: Places, problems: Problems) -> Document | None:
    text = read(places.proxy)
    if text is None:
        return None
    found = document(str(places.proxy), text, problems)
    if found is not None:
        known_keys(found, ("proxyConfig", "agent"), problems)
    return found


def _agent(whole: Document | None, problems: Problems) -> Document | None:
    if whole is None or "agent" not in whole.value:
        return None
    part = whole.part("agent")
    if not isinstance(part.value, dict):
        problems.add("there has to be an object", part.where(), code="wrong-type")
        return None
    known_keys(part, ROOMS, problems)
    return part


def _rooms(said: Said, agent: Document | None, problems: Problems) -> dict[str, Any]:
    """Each room's settings, by its name; one that could not be made is a problem."""
    made = {}
    elsewhere = Where(said.typed.variables.file)
    for name, (room, given) in ROOMS.items():
        part = agent.part(name) if agent and name in agent.value else None
        made[name] = filled(room, part, problems, given=given(said), fixed=FIXED, elsewhere=elsewhere)
    return made


def _health(said: Said, problems: Problems) -> HealthSettings:
    probe = said.proxy.probe
    try:
        if probe is None:
            return health_settings(None, host=said.probe_host())
        return health_settings(probe.value, host=said.probe_host(), where=probe.where)
    except ConfigError as error:
        problems.adopt(error)
        return HealthSettings()
