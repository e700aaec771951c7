"""Objects of Istio's kinds, most of them broken at one place, drawn from a seed.

What is drawn need not be right or wrong: API servers judge it. So nothing here repeats what a definition
means; definitions only say where values go and of which sort they are.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

TEXTS = (
    *("a", "", " ", "*", "a b", "a\n", "reviews.default.svc.cluster.local", "UPPER_case", "-a", "ä"),
    *(
        "a" * 300,
        "a" * 3000,
        "0" * 64,
        "aXN0aW8=",
        "2006-01-02T15:04:05Z",
        "10.0.0.0/8",
        "10.0.0.1",
        "80",
        "0",
    ),
    *("5s", "1h30m", "1.5h", "0s", "1us", "1ms", "5", "-5s", "1d", "99999999h"),
    *("unix://", "unix:///a", "unix://@a", "unix://a", "unix:///a/"),
    *(
        "http://a",
        "https://a/b?c",
        "ftp://a",
        "oci://a/b:v1",
        "http://",
        "http://a b",
        "://a",
        "/a",
        "mailto:a",
    ),
    *("http://[::1", "http://a:b", "http://%zz"),
    *("HTTP", "TCP", "STRICT", "ALLOW", "DNS"),
)
NUMBERS: tuple[Any, ...] = (
    0,
    1,
    -1,
    80,
    100,
    101,
    65535,
    65536,
    2**31 - 1,
    2**32 - 1,
    2**32,
    2**53,
    0.5,
    99.5,
    100.5,
)
FOREIGN: tuple[Any, ...] = (
    "text",
    "5",
    5,
    -1,
    1.5,
    True,
    None,
    [],
    {},
    [None],
    [1],
    ["a"],
    {"a": 1},
    {"a": "b"},
    [{}],
)
KEYS = ("80", "443", "a", "app", "0", "65536", "http", "a*", "", "x" * 70, "-a", "a-1")
LENGTHS = (2, 3, 17, 65, 130, 260, 520)


def specs(schema: dict[str, Any], count: int, seed: str) -> Iterator[Any]:
    """Values for a schema: every third as it was drawn, the others changed at one to three places."""
    dice = random.Random(seed)
    for number in range(count):
        value = drawn(schema, dice, depth=0)
        for _ in range(dice.randint(1, 3) if number % 3 else 0):
            value = changed(value, dice)
        yield value


def objects(head: dict[str, Any], schema: dict[str, Any], count: int, seed: str) -> Iterator[dict[str, Any]]:
    """Objects of a kind with the drawn specs; some have strange metadata, some strange fields beside it."""
    dice = random.Random(f"{seed} heads")
    for number, spec in enumerate(specs(schema, count, seed)):
        found = {**head, "metadata": {"name": f"case-{number}"}, "spec": spec}
        if number % 7 == 0:
            found["metadata"] = drawn_metadata(number, dice)
        if number % 11 == 0:
            found = dice.choice(
                (changed(found, dice), {**head, "metadata": found["metadata"]}, {**found, "more": 1})
            )
            found = {**found, **head}
        yield found


def drawn_metadata(number: int, dice: random.Random) -> dict[str, Any]:
    labels = {f"{dice.choice(('', 'a.io/', 'A.io/', '/'))}{dice.choice(KEYS)}": dice.choice(TEXTS)}
    notes = {dice.choice((*KEYS, "A/b", "a/b/c")): dice.choice(("", "x", "{}", 1))}
    name = dice.choice(
        (f"case-{number}", f"a.{number}", f"-{number}", f"A{number}", f"a..{number}", "a" * 254)
    )
    found = {
        "name": name,
        dice.choice(("labels", "annotations", "label")): dice.choice((labels, notes, None, [])),
    }
    return dice.choice(
        (found, found, {"name": name}, {"generateName": name}, {"generateName": f"{name}-"}, {})
    )


def drawn(schema: dict[str, Any], dice: random.Random, depth: int) -> Any:
    """A value of the schema's sort, with few fields at the depth."""
    if schema.get("x-kubernetes-int-or-string"):
        return dice.choice([1, "1"])
    match schema.get("type"):
        case "object":
            return drawn_map(schema, dice, depth)
        case "array":
            fewest = max(schema.get("minItems", 0), 1 if dice.random() < 0.8 else 0)
            items = [
                drawn(schema["items"], dice, depth + 1)
                for _ in range(dice.choice([fewest, fewest, fewest + 1]))
            ]
            return items
        case "string":
            return drawn_text(schema, dice)
        case "boolean":
            return dice.random() < 0.5
        case "integer" | "number":
            return dice.choice([1, 80, 100]) if dice.random() < 0.9 else dice.choice(NUMBERS)
    return {}


def drawn_text(schema: dict[str, Any], dice: random.Random) -> str:
    if "enum" in schema:
        return str(dice.choice(schema["enum"]))
    rules = " ".join(rule["rule"] for rule in schema.get("x-kubernetes-validations", ()))
    likely = "5s" if "duration(" in rules else "https://a.example/b" if "url(" in rules else "a"
    if "size() == 0" in rules:
        likely = ""
    return likely if dice.random() < 0.9 else dice.choice(TEXTS)


def drawn_map(schema: dict[str, Any], dice: random.Random, depth: int) -> dict[str, Any]:
    below = schema.get("additionalProperties")
    if isinstance(below, dict):
        likely = dice.sample(KEYS[:4], dice.randint(max(schema.get("minProperties", 0), 1), 2))
        return {key: drawn(below, dice, depth + 1) for key in likely}
    fields = schema.get("properties", {})
    chance = 0.75 if depth == 0 else 0.45 if depth < 3 else 0.25 if depth < 5 else 0.08
    exclusive = [branch["required"] for branch in branches(schema) if "required" in branch]
    apart = {name for names in exclusive for name in names}
    names = [
        name
        for name in fields
        if name in schema.get("required", ()) or (name not in apart and dice.random() < chance)
    ]
    if apart and dice.random() < 0.9:
        names += dice.choice(exclusive)
    return {name: drawn(fields[name], dice, depth + 1) for name in dict.fromkeys(names) if name in fields}


def branches(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *schema.get("oneOf", ()),
        *(branch for each in schema.get("allOf", ()) for branch in each.get("oneOf", ())),
    ]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything within a value, and of the value itself."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from places(each, (*path, key))


def changed(value: Any, dice: random.Random) -> Any:
    """A copy with one place changed."""
    value = copy.deepcopy(value)
    path = dice.choice(list(places(value)))
    if not path:
        return {**value, "noSuchField": 1} if isinstance(value, dict) and dice.random() < 0.5 else value
    parent = value
    for step in path[:-1]:
        parent = parent[step]
    put(parent, path[-1], dice)
    return value


def put(parent: Any, key: Any, dice: random.Random) -> None:
    """Change what stands at a key: its sort, its value, its length, its neighbours."""
    here = parent[key]
    chance = dice.random()
    if chance < 0.2:
        parent[key] = copy.deepcopy(dice.choice(FOREIGN))
    elif chance < 0.3:
        del parent[key]
    elif isinstance(here, str):
        parent[key] = dice.choice(TEXTS)
    elif isinstance(here, bool):
        parent[key] = dice.choice(("true", 1, None))
    elif isinstance(here, int | float):
        parent[key] = dice.choice((*NUMBERS, 2**63, 1e20, -(2**40)))
    elif isinstance(here, list) and here:
        parent[key] = [copy.deepcopy(here[0]) for _ in range(dice.choice(LENGTHS))]
    elif isinstance(here, dict) and here:
        name = dice.choice(list(here))
        if chance < 0.6:
            here[dice.choice((*KEYS, f"{name}s", str(name).upper()))] = copy.deepcopy(here[name])
        else:
            here[name] = copy.deepcopy(dice.choice(FOREIGN))
    else:
        parent[key] = copy.deepcopy(dice.choice(FOREIGN))
