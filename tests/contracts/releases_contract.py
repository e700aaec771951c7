"""What every implementation of `ports.Releases` promises about upgrades and rotations under way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.model.rotation import Rotation
    from meshctl.model.upgrade import Upgrade
    from meshctl.ports import Releases


class UpgradeContract:
    """Subclasses give fixtures `releases`, empty, and `upgrade`, of mesh `m`."""

    def test_there_is_none_at_first(self, releases: Releases) -> None:
        assert releases.upgrade("m") is None

    def test_it_comes_back_as_it_was_written(self, releases: Releases, upgrade: Upgrade) -> None:
        releases.write_upgrade(upgrade)
        assert releases.upgrade("m") == upgrade

    def test_there_is_one_for_a_mesh_and_the_last_one_counts(
        self, releases: Releases, upgrade: Upgrade
    ) -> None:
        releases.write_upgrade(upgrade)
        later = replace(upgrade, passed=upgrade.passed + 1, reason="")
        releases.write_upgrade(later)
        assert releases.upgrade("m") == later
        assert releases.upgrade("other") is None

    def test_it_is_forgotten_and_may_be_so_twice(self, releases: Releases, upgrade: Upgrade) -> None:
        releases.write_upgrade(upgrade)
        releases.forget_upgrade("m")
        releases.forget_upgrade("m")
        assert releases.upgrade("m") is None


class RotationContract:
    """Subclasses give fixtures `releases`, empty, and `rotation`."""

    def test_there_is_none_at_first(self, releases: Releases) -> None:
        assert releases.rotation("m") is None

    def test_it_comes_back_as_it_was_written(self, releases: Releases, rotation: Rotation) -> None:
        releases.write_rotation("m", rotation)
        assert releases.rotation("m") == rotation
        assert releases.rotation("other") is None

    def test_the_last_one_counts(self, releases: Releases, rotation: Rotation) -> None:
        releases.write_rotation("m", rotation)
        later = replace(rotation, reason="it was cut short")
        releases.write_rotation("m", later)
        assert releases.rotation("m") == later

    def test_it_is_forgotten_and_may_be_so_twice(self, releases: Releases, rotation: Rotation) -> None:
        releases.write_rotation("m", rotation)
        releases.forget_rotation("m")
        releases.forget_rotation("m")
        assert releases.rotation("m") is None
