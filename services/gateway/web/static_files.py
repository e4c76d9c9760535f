"""Scripts, styles and the icon, read once at the start and served from memory.

Their addresses hold a hash of all of them, ``static/<version>/<name>``, so that a browser keeps them for good and still
gets new ones with the next version. Scripts import each other by relative addresses, which carry the version along.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from aiohttp import web

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOR_GOOD = "private, max-age=31536000, immutable"


class StaticFiles:
    def __init__(self, directory: Path) -> None:
        self._files = {file.name: file.read_bytes() for file in sorted(directory.iterdir()) if file.suffix in _TYPES}
        digest = hashlib.sha256()
        for name, content in self._files.items():
            digest.update(f"{name} {len(content)}\n".encode() + content)
        self.version = digest.hexdigest()[:12]

    def address(self, name: str) -> str:
        """The address of a file, from where Paceline lies. Raises KeyError when there is none of that name."""
        if name not in self._files:
            raise KeyError(name)
        return f"static/{self.version}/{name}"

    async def handle(self, request: web.Request) -> web.Response:
        content = self._files.get(request.match_info["name"])
        if content is None:
            raise web.HTTPNotFound
        # During a rollout a page of another version may ask here; it gets what there is, but not to keep.
        keep = request.match_info["version"] == self.version
        return web.Response(
            body=content,
            content_type=_TYPES[Path(request.match_info["name"]).suffix],
            charset="utf-8",
            headers={"Cache-Control": _FOR_GOOD if keep else "no-store", "X-Content-Type-Options": "nosniff"},
        )
