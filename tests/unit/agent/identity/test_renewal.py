"""When certificates are renewed."""

from __future__ import annotations

import collections
import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.agent.identity import renewal
from meshctl.agent.identity.settings import KEYS, IdentitySettings
from meshctl.errors import ConfigError

WHO = {
    "authorities": ("istiod:15012",),
    "trust_domain": "cluster.local",
    "namespace": "vms",
    "service_account": "shop",
    "cluster": "Kubernetes",
}
SETTINGS = IdentitySettings(**WHO)  # type: ignore[arg-type]
DAY = 86400.0

lives = st.floats(10.0, 90 * DAY)
chances = st.floats(0.0, 1.0, exclude_max=True)
ratios = st.floats(0.1, 0.9).flatmap(lambda ratio: st.tuples(st.just(ratio), st.floats(0.0, ratio / 2)))


@settings(max_examples=100, deadline=None)
@given(lives, chances, ratios)
def test_a_new_certificate_is_renewed_at_its_ratio_or_earlier_by_the_jitter_and_never_later(
    life: float, chance: float, ratio: tuple[float, float]
) -> None:
    settings = IdentitySettings(**WHO, ratio=ratio[0], jitter=ratio[1])  # type: ignore[arg-type]
    wait = renewal.wait(settings, (0.0, life), 0.0, chance)
    assert (ratio[0] - ratio[1]) * life - 1e-6 <= wait <= ratio[0] * life + 1e-6


@settings(max_examples=100, deadline=None)
@given(lives, chances, st.floats(0.0, 1.0, exclude_max=True))
def test_whenever_a_host_comes_back_its_renewal_is_due_before_the_certificate_ends(
    life: float, chance: float, part: float
) -> None:
    now = part * life
    wait = renewal.wait(SETTINGS, (0.0, life), now, chance)
    assert wait >= 0.0
    assert now + wait <= life


@settings(max_examples=100, deadline=None)
@given(lives, st.floats(1.0, 1e9))
def test_a_clock_that_is_set_back_delays_no_renewal_beyond_its_ratio(life: float, back: float) -> None:
    assert renewal.wait(SETTINGS, (0.0, life), -back, 0.0) == pytest.approx(life * SETTINGS.ratio)


def test_a_short_life_that_was_dated_back_counts_from_when_it_came() -> None:
    assert renewal.life(-120.0, 60.0, 0.0) == (0.0, 60.0)


@pytest.mark.parametrize("since", [-1e9, -121.0, 60.0, 1e9])
def test_a_moment_of_arrival_when_it_was_not_valid_does_not_count(since: float) -> None:
    assert renewal.life(-120.0, 60.0, since) == (-120.0, 60.0)


@pytest.mark.parametrize("seed", range(20))
def test_200_agents_that_started_together_renew_evenly_over_the_jitter(seed: int) -> None:
    chance = random.Random(seed).random
    life = DAY
    moments = sorted(renewal.wait(SETTINGS, (0.0, life), 0.0, chance()) for _ in range(200))
    first, last = life * (SETTINGS.ratio - SETTINGS.jitter), life * SETTINGS.ratio
    assert first <= moments[0] <= moments[-1] <= last
    tenth = (last - first) / 10
    bins = [sum(first + n * tenth <= each < first + (n + 1) * tenth for each in moments) for n in range(10)]
    assert max(bins) <= 40  # twice the mean; by chance once in 10^5
    assert min(bins) >= 5


@pytest.mark.parametrize("seed", range(20))
def test_200_agents_whose_certificates_are_overdue_at_once_do_not_ask_at_once(seed: int) -> None:
    chance = random.Random(seed).random
    waits = [renewal.wait(SETTINGS, (0.0, DAY), DAY * 0.75, chance()) for _ in range(200)]
    in_first_tenth = sum(wait < DAY * 0.25 * SETTINGS.jitter / 10 for wait in waits)
    assert in_first_tenth <= 40


def _asked(seed: int, life: float, away: tuple[float, float], until: float) -> list[tuple[float, bool]]:
    """When 200 agents that start together ask, and whether they are answered; none may come to its end."""
    chance = random.Random(seed).random
    ends = dict.fromkeys(range(200), life)
    failures = dict.fromkeys(range(200), 0)
    queue = [(renewal.wait(SETTINGS, (0.0, life), 0.0, chance()), agent) for agent in range(200)]
    heapq.heapify(queue)
    asked: list[tuple[float, bool]] = []
    while queue[0][0] < until:
        now, agent = heapq.heappop(queue)
        answered = not away[0] <= now < away[1]
        assert now < ends[agent]
        asked.append((now, answered))
        failures[agent] = 0 if answered else failures[agent] + 1
        if answered:
            ends[agent] = now + life
            wait = renewal.wait(SETTINGS, (now, now + life), now, chance())
        else:
            wait = renewal.patience(SETTINGS, life)
            wait += renewal.pause(SETTINGS, failures[agent], life, chance())
        heapq.heappush(queue, (now + wait, agent))
    return asked


@pytest.mark.parametrize("seed", range(5))
def test_200_agents_stay_spread_over_days_and_ask_no_more_often_than_needed(seed: int) -> None:
    asked = _asked(seed, DAY, (0.0, 0.0), 5 * DAY)
    assert 200 * 5 / 0.5 <= len(asked) + 200 <= 200 * 5 / 0.4 + 200
    minutes = collections.Counter(now // 60 for now, _ in asked)
    assert max(minutes.values()) <= 10


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("life", [60.0, 3600.0, DAY])
def test_200_agents_outlive_an_outage_of_forty_percent_of_a_life_and_do_not_storm_after_it(
    seed: int, life: float
) -> None:
    away = (life * 3, life * 3.4)
    asked = _asked(seed, life, away, life * 6)
    after = collections.Counter(int(now - away[1]) for now, answered in asked if answered and now >= away[1])
    longest = renewal.patience(SETTINGS, life) + renewal.pause(SETTINGS, 100, life, 0.99)
    assert max(after.values()) <= 200 / longest * 3  # three times what an even spread would be


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10_000), st.one_of(st.just(0.0), lives), chances)
def test_pauses_grow_with_failures_up_to_the_longest_and_are_shorter_in_short_lives(
    failures: int, life: float, chance: float
) -> None:
    pause = renewal.pause(SETTINGS, failures, life, chance)
    assert 0.0 <= pause <= SETTINGS.longest_wait
    assert pause <= SETTINGS.first_wait * 2.0 ** min(failures - 1, 30)
    assert not life or pause <= max(1.0, life / 30)


def test_an_outage_of_forty_percent_of_a_life_is_got_over_even_with_the_worst_of_luck() -> None:
    """It begins when the latest host is due; the last try that fails, and the pause after it, are longest."""
    for life in (60.0, 300.0, 3600.0, DAY):
        due = renewal.wait(SETTINGS, (0.0, life), 0.0, 0.0)
        after = renewal.patience(SETTINGS, life) + renewal.pause(SETTINGS, 100, life, 0.999)
        assert due + 0.4 * life + after + renewal.patience(SETTINGS, life) < life


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ratio", 0.0),
        ("ratio", 1.0),
        ("ratio", float("nan")),
        ("jitter", 0.3),
        ("jitter", -0.1),
        ("key", "dsa"),
        ("lifetime", 0),
        ("look", 0),
        ("first_wait", 60),
        ("authorities", ()),
        ("headers", (("X-Team", "a"),)),
        ("headers", (("x-bin", "a"),)),
        ("headers", (("x", "a\nb"),)),
    ],
)
def test_settings_that_would_ask_too_often_or_for_nothing_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        IdentitySettings(**{**WHO, name: value})  # type: ignore[arg-type]


def test_the_identity_of_a_mesh_without_a_trust_domain_is_of_cluster_local() -> None:
    settings = IdentitySettings(**{**WHO, "trust_domain": ""}, key=KEYS[1])  # type: ignore[arg-type]
    assert settings.spiffe == "spiffe://cluster.local/ns/vms/sa/shop"
