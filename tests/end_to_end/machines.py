"""More machines for a `House`: processes with separate data folders, and the load balancer before them.

They share a database, and a folder for audio in place of an object store.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx2

from tests.end_to_end.house import House
from tests.support import preloaded
from tests.support.program import free_port

MEDIA = b"GET /twilio/media-stream "


class Balancer:
    """A load balancer: each connection goes to the port that `port_of(first bytes)` names. Runs in the house's loop."""

    def __init__(self, port_of: Callable[[bytes], int]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._port_of = port_of
        self._going: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def stop(self) -> None:
        self._server.close()
        for task in self._going:
            task.cancel()
        await asyncio.gather(*self._going, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._going.add(task)
        task.add_done_callback(self._going.discard)
        try:
            first = await reader.read(65_536)
            there, back = await asyncio.open_connection("127.0.0.1", self._port_of(first))
            back.write(first)
            done, pending = await asyncio.wait(
                [asyncio.create_task(_pour(reader, back)), asyncio.create_task(_pour(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for other in pending:
                other.cancel()
            back.close()
        except OSError:
            pass
        finally:
            writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass


class Machine:
    """One process of Callreel beside the house's server: `callreel *command`."""

    def __init__(
        self, house: House, name: str, *command: str, settings: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.port = free_port()
        self._log = house.folder / f"{name}.log"
        environment = house.environment | {
            "CALLREEL_PORT": str(self.port), "CALLREEL_DATA_DIR": str(house.folder / name), **(settings or {}),
        }  # fmt: skip
        self._process = preloaded.start(command, environment, house.folder, self._log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def answers(self) -> bool:
        """Whether it answers requests."""
        assert self._process.poll() is None, f"{self.name} ended: {self.log}"
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/health", timeout=10).status_code == 200
        except httpx2.HTTPError:
            return False

    def works(self) -> bool:
        """Whether it takes work from queues."""
        assert self._process.poll() is None, f"{self.name} ended: {self.log}"
        return "working on" in self.log

    def kill(self) -> None:
        """Kill the process, like a crash."""
        self._process.kill()
        self._process.wait(30)

    def stop(self) -> int:
        """Stop the process by SIGTERM; returns its exit code."""
        self._process.terminate()
        return self._process.wait(30)


def shared(folder: Path, database_url: str) -> dict[str, str]:
    """Settings of an installation on many machines."""
    (folder / "audio").mkdir(parents=True)
    return {"CALLREEL_DATABASE_URL": database_url, "CALLREEL_OBJECT_STORE_URL": f"file://{folder / 'audio'}"}
