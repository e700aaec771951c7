"""Finding the schema of an object of the user's."""

from __future__ import annotations

import pytest

from meshctl.crds import schema_of
from meshctl.crds.schema import Object
from meshctl.errors import ConfigError


def test_an_object_has_spec_and_status() -> None:
    found = schema_of("VirtualService", "networking.istio.io/v1beta1", "1.32")
    assert list(found.fields) == ["spec", "status"]
    spec = found.fields["spec"]
    assert isinstance(spec, Object)
    assert "http" in spec.fields


def test_an_older_minor_lacks_newer_fields() -> None:
    def fields(minor: str) -> set[str]:
        spec = schema_of("Gateway", "networking.istio.io/v1", minor).fields["spec"]
        servers = spec.fields["servers"].items  # type: ignore[union-attr]
        return set(servers.fields["tls"].fields)  # type: ignore[union-attr]

    assert fields("1.31") - fields("1.30") == {"insecureSkipVerify"}


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as refused:
        schema_of("VirtualServce", "networking.istio.io/v1", "1.32")
    assert (refused.value.code, refused.value.hint) == ("unknown-kind", "did you mean 'VirtualService'?")


def test_a_version_that_the_kind_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(ConfigError) as refused:
        schema_of("ProxyConfig", "networking.istio.io/v1", "1.32")
    assert refused.value.code == "unknown-api-version"
    assert refused.value.hint == "use one of networking.istio.io/v1beta1"
