"""An API server of a few objects, for what only reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshctl.sandbox.api import Api


class FakeApi(Api):
    """Answers from a dictionary of paths; every token it gives is another."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.server = "https://127.0.0.1:17000"
        self.objects = objects
        self.asked: list[dict[str, Any]] = []
        self.patched: list[tuple[str, dict[str, Any]]] = []
        self.deleted: list[str] = []

    def get(self, path: str) -> Any:
        return self.objects.get(path)

    def create(self, path: str, body: dict[str, Any]) -> Any:
        self.asked.append({"path": path, **body["spec"]})
        return {"status": {"token": f"token-{len(self.asked)}"}}

    def patch(self, path: str, change: dict[str, Any]) -> Any:
        self.patched.append((path, change))
        return change

    def delete(self, path: str) -> None:
        self.deleted.append(path)

    def watch(self, path: str, *, seconds: int = 300) -> Iterator[tuple[str, dict[str, Any]]]:
        return iter(())
