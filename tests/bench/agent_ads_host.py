"""The agent's ADS in a process of its own: `python -m tests.bench.agent_ads_host FOLDER ISTIOD NAME`."""

from __future__ import annotations

import sys
import time
from pathlib import Path


async def serve(folder: Path, server: str, name: str) -> None:
    """Serve at `FOLDER/xds.sock`, as whom the files there say."""
    from meshctl.agent.ads.proxy import Ads
    from meshctl.agent.ads.settings import AdsSettings
    from meshctl.agent.identity.credentials import Credentials
    from meshctl.agent.latest import Latest

    key, chain, roots = ((folder / each).read_bytes() for each in ("key", "chain", "roots"))
    now = time.time()
    known = Credentials(key, chain, roots, now, now + 86400, ())
    settings = AdsSettings(servers=(server,), server_name=name, cluster="Kubernetes")
    await Ads(settings, Latest(known), socket=folder / "xds.sock").run()


if __name__ == "__main__":
    sys.modules["ssl"] = None  # type: ignore[assignment] # as the agent does: TLS is gRPC's
    import asyncio

    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
