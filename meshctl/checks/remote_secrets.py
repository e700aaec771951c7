"""Tokens by which istiods read other clusters last for a while yet."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.link import CONFIG_SECRET, MULTICLUSTER, life_of, tokens_in
from meshctl.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.link import Life
    from meshctl.model.objects import Object

VALID = Rule(
    code="remote-secrets-valid",
    level=Level.ERROR,
    summary="The tokens by which istiods read other clusters are valid.",
    hint="`meshctl cluster link` renews them; `meshctl remote-secret create` makes one without a mesh.yaml",
)
LASTING = Rule(
    code="remote-secrets-lasting",
    level=Level.WARNING,
    summary="More than a third of the life of these tokens is left.",
    hint="`meshctl cluster link` or `meshctl install` renews what is due, `meshctl remote-secret rotate` all",
)


@check(rules=(VALID, LASTING), after=("kube-reachable",), moment=Moment.AFTER)
def remote_secrets(site: Site) -> Iterator[Finding]:
    """Read when the token in each remote secret ends, whoever made it."""
    if site.now is None:
        return
    found = site.cluster.list("v1", "Secret", namespace=site.namespace, labels=f"{MULTICLUSTER}=true")
    config = site.cluster.get(Ref("v1", "Secret", site.namespace, CONFIG_SECRET))
    secrets = {each.ref: each for each in (*found, *([config] if config else ()))}
    for ref, secret in sorted(secrets.items()):
        for key, life in _lives(secret):
            if life.ends is None:
                continue
            told = f"the token for {key!r}"
            when = f"{life.ends:%Y-%m-%d %H:%M} UTC"
            if life.ends <= site.now:
                yield VALID.at(str(ref), f"{told} ended at {when}")
            elif life.is_due(site.now):
                left = f"{life.left(site.now):.0%} of its life is left"
                yield LASTING.at(str(ref), f"{told} ends at {when}, {left}")


def _lives(secret: Object) -> Iterator[tuple[str, Life]]:
    """The life of each token in a remote secret, with the key under which it stands."""
    for key, data in sorted(secret.at("data", {}).items()):
        try:
            text = base64.b64decode(data, validate=True).decode()
        except (binascii.Error, ValueError):
            continue  # istiod cannot read it either, and says so in its log
        yield from ((key, life) for token in tokens_in(text) if (life := life_of(token)))
