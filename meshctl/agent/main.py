"""Being the agent, as systemd runs it: the settings first, then everything else."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from meshctl.agent import logs
from meshctl.agent.notify import Notifier
from meshctl.agent.supervision import HOPELESS
from meshctl.errors import MeshctlError, ProblemsError

if TYPE_CHECKING:
    from meshctl.agent.places import Places

_log: Final = logging.getLogger(logs.ROOT)

HOPELESS_CODE: Final = 2
"""Exit code with which systemd does not start the service again; the unit says it, too."""


def run(places: Places) -> int:
    """Run until systemd, or a person, says that it is enough; the exit code.

    What can never work, as the settings are or the host, is told in the log and to systemd.
    """
    logs.start()
    notifier = Notifier(os.environ)
    try:
        return _run(places, notifier)
    except MeshctlError as error:
        notifier.status(f"ended: {error.message}")
        for problem in error.problems if isinstance(error, ProblemsError) else (error,):
            where = str(problem.where) if problem.where else ""
            said = {"where": where, "hint": problem.hint, "details": problem.details}
            fields = {name: value for name, value in said.items() if value}
            _log.critical("%s", problem.message, extra={"fields": fields})
        return HOPELESS_CODE if isinstance(error, HOPELESS) else error.exit_code


def _run(places: Places, notifier: Notifier) -> int:
    import asyncio

    from meshctl.agent.identity.apart import Apart
    from meshctl.agent.settings import load

    settings = load(places)
    logs.start(settings.log.level, settings.log.form)
    for warning in settings.warnings:
        _log.warning("%s", warning)

    async def whole() -> None:
        keys = Apart()
        keys.start()  # it takes as long as what follows
        from meshctl.agent.program import Program

        await Program(settings, places, notifier, keys).run()

    asyncio.run(whole())
    return 0
