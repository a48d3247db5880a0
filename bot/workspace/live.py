"""Tells open pages that something changed, by server-sent events; the page then asks for the state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

KEEP_ALIVE_SECONDS = 15.0


class Live:
    """A revision number that readers wait for."""

    def __init__(self) -> None:
        self.revision = 0
        self._changed = asyncio.Event()
        self._closed = False

    def bump(self) -> None:
        """Something changed: wake every reader. To be called on the server's event loop."""
        self.revision += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        self._closed = True
        self.bump()

    async def events(self) -> AsyncIterator[str]:
        """The stream of one page: the revision at once, then at each change."""
        seen = -1
        while not self._closed:
            if seen != self.revision:
                seen = self.revision
                yield f"data: {seen}\n\n"
                continue
            try:
                await asyncio.wait_for(self._changed.wait(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"
