"""Rights become the fewest plain rules that allow just these."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.model.right import PolicyRule, Right, policy

NAMES = st.sampled_from(["", "a", "b", "v2", "v10"])
RIGHTS = st.lists(
    st.builds(
        Right,
        st.sampled_from(["", "x", "y"]),
        st.sampled_from(["", "apps", "*"]),
        st.sampled_from(["pods", "deployments", "pods/log", "*"]),
        st.sampled_from(["get", "list", "patch", "*"]),
        NAMES,
        st.sampled_from(["one thing", "another"]),
    ),
    max_size=12,
)


def allows(rules: dict[str, tuple[PolicyRule, ...]], right: Right) -> bool:
    """Whether the API server would let who holds these rules do it."""
    return any(
        {right.group, "*"} & {*rule.groups}
        and {right.resource, "*"} & {*rule.resources}
        and {right.verb, "*"} & {*rule.verbs}
        and (not rule.names or right.name in rule.names)
        for namespace in ("", right.namespace)
        for rule in rules.get(namespace, ())
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RIGHTS)
def test_the_rules_allow_all_of_it(rights: list[Right]) -> None:
    rules = dict(policy(rights))
    assert all(allows(rules, right) for right in rights)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RIGHTS)
def test_the_rules_allow_nothing_else(rights: list[Right]) -> None:
    for namespace, rules in policy(rights).items():
        for rule in rules:
            for group in rule.groups:
                for resource in rule.resources:
                    for verb in rule.verbs:
                        for name in rule.names or ("",):
                            given_right = Right(namespace, group, resource, verb, name)
                            assert any(each.covers(given_right) for each in rights)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RIGHTS)
def test_no_rule_is_needless_and_the_order_of_rights_says_nothing(rights: list[Right]) -> None:
    told = policy(rights)
    plain = [Right(each.namespace, each.group, each.resource, each.verb, each.name) for each in rights]
    assert policy(plain) == policy(reversed(plain))
    for namespace, rules in told.items():
        for rule in rules:
            others = {**told, namespace: tuple(each for each in rules if each is not rule)}
            here = Right(namespace, rule.groups[0], rule.resources[0], rule.verbs[0], (*rule.names, "")[0])
            assert not allows(others, here)


def test_what_is_alike_stands_in_one_rule() -> None:
    rights = [
        Right("", "apps", resource, verb, name)
        for resource in ("deployments", "daemonsets")
        for verb in ("patch", "get")
        for name in ("v10", "v2")
    ]
    (rule,) = policy(rights)[""]
    assert rule == PolicyRule(("apps",), ("daemonsets", "deployments"), ("v2", "v10"), ("get", "patch"))
