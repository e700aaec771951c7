"""An API server of a few objects, for what only reads them."""

from __future__ import annotations

from typing import Any

from meshctl.sandbox.api import Api


class FakeApi(Api):
    """Answers from a dictionary of paths; every token it gives is another."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.server = "https://127.0.0.1:17000"
        self.objects = objects
        self.asked: list[dict[str, Any]] = []

    def get(self, path: str) -> Any:
        return self.objects.get(path)

    def create(self, path: str, body: dict[str, Any]) -> Any:
        self.asked.append({"path": path, **body["spec"]})
        return {"status": {"token": f"token-{len(self.asked)}"}}
