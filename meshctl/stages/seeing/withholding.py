"""An object without what must not be kept: contents of Secrets, keys, and what is called a token."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from meshctl.model.objects import Object
from meshctl.stages.comparing import secrets

_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CERTIFICATE, _PRIVATE = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY"


def withheld(obj: Object) -> Object:
    """The object as everybody may read it: of a Secret, its metadata and the certificates in it."""
    content = dict(obj.content)
    meta = dict(content.get("metadata") or {})
    if obj.ref.kind == "Secret" and obj.ref.group == "":
        for key in ("data", "stringData"):
            if key in content:
                content[key] = {name: _public(value) for name, value in (content[key] or {}).items()}
        if _APPLIED in obj.annotations:
            meta["annotations"] = {k: v for k, v in obj.annotations.items() if k != _APPLIED}
        return Object({**content, "metadata": meta})
    return Object(secrets.withheld(content))


def _public(value: Any) -> str:
    """Certificates are public; everything else of a Secret is not."""
    try:
        text = base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return secrets.WITHHELD
    return str(value) if text.startswith(_CERTIFICATE) and _PRIVATE not in text else secrets.WITHHELD
