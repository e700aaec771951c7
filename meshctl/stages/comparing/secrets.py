"""What must not be shown: contents of Secrets, keys, and what is called a token or a password."""

from __future__ import annotations

import json
import re
from typing import Any

from meshctl.stages.planning.shapes import SECRET

OTHER_SECRET = "(another secret)"  # noqa: S105 - what is shown in place of one
WITHHELD = "(withheld-by-meshctl)"  # one word, so that what masks it takes it for a value
# The name of a thing that holds a secret itself; `secretName` and `tokenPath` only lead to one.
_NAME = (
    r"(?:token|password|passwd|passphrase|secret|credentials?"
    r"|(?:api|access|private|secret|signing|encryption)[-_.]?key)"
)
_TELLING = re.compile(f"{_NAME}$", re.IGNORECASE)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_FLAG = re.compile(rf"({_NAME}=)[^\s&\"']+", re.IGNORECASE)
_ENTRY = re.compile(
    rf"({_NAME}[\"']?[ \t]*:[ \t]*)(\"[^\"]*\"|'[^']*'|[^\s,{{}}\[\]|>&][^\s,}}]*)", re.IGNORECASE
)


def is_telling(name: str) -> bool:
    """Whether what goes by this name is likely a secret."""
    return bool(_TELLING.search(name))


def masked(name: str, value: Any) -> Any:
    """A value as it may be shown; `name` is the key it stands under."""
    if isinstance(value, dict):
        hidden = is_telling(str(value.get("name", ""))) and "value" in value
        return {
            key: SECRET if hidden and key == "value" else masked(key, below) for key, below in value.items()
        }
    if isinstance(value, list):
        return [masked(name, each) for each in value]
    if not isinstance(value, str) or not value:
        return value
    if is_telling(name) or _KEY.search(value):
        return SECRET
    return _ENTRY.sub(rf"\1{SECRET}", _FLAG.sub(rf"\1{SECRET}", value)).replace(WITHHELD, SECRET)


def masked_pair(name: str, left: Any, right: Any) -> tuple[Any, Any]:
    """Two values that differ, so that it shows that they do."""
    one, other = masked(name, left), masked(name, right)
    if json.dumps(one) == json.dumps(other) and one != left:
        other = OTHER_SECRET
    return one, other


def withheld_pair(left: Any, right: Any) -> tuple[Any, Any]:
    """What stands for two contents of a Secret that differ."""
    other = SECRET if left is None else OTHER_SECRET
    return None if left is None else SECRET, None if right is None else other


def withheld(value: Any) -> Any:
    """Data as it may be kept where everybody reads it: masked by a mark that nobody types."""
    return _marked(masked("", value))


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _marked(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_marked(each) for each in value]
    return value.replace(SECRET, WITHHELD) if isinstance(value, str) else value


def may_be(name: str, seen: Any, wanted: Any) -> bool:
    """Whether a value that was withheld when it was kept may be the one wanted: what shows is the same."""
    if not isinstance(seen, str) or WITHHELD not in seen:
        return False
    return seen == WITHHELD or seen.replace(WITHHELD, SECRET) == masked(name, wanted)
