"""Talking to a contender's process."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from picograd.study.benches.cpu.worker import LONGEST_ERROR

MODULE = "picograd.study.benches.cpu.worker"


class LostError(Exception):
    """A worker that raised, died or was silent for too long; the message says which."""


class Conversation:
    """A worker process. Use it as a context: it ends with it."""

    def __init__(
        self, words: str, environment: Mapping[str, str], log: Path, patience: float
    ) -> None:
        """`log` is where it writes what it prints. Raises LostError when it does not start."""
        self._log_file = log
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE, words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                env=dict(environment),
            )
        self._pending = b""
        self.lost = False
        try:
            self.versions: dict[str, str] = self._reply(patience)["versions"]
        except LostError:
            self.close()
            raise

    @property
    def process_id(self) -> int:
        """The worker's."""
        return self._process.pid

    def ask(self, do: str, patience: float, **request: object) -> dict[str, Any]:
        """What the worker answers. Raises LostError; after a death or a silence, `lost` is True."""
        if self.lost:
            raise LostError("its process has ended")
        message = json.dumps({"do": do, **request}) + "\n"
        try:
            stdin = self._stream(self._process.stdin)
            stdin.write(message.encode())
            stdin.flush()
        except OSError:
            raise self._ended() from None
        return self._reply(patience)

    def _reply(self, patience: float) -> dict[str, Any]:
        line = self._line(patience)
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise LostError(reply["error"])
        return reply

    def _line(self, patience: float) -> bytes:
        """The next line that it writes."""
        stdout = self._stream(self._process.stdout)
        end = time.monotonic() + patience
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                if not selector.select(max(0.0, end - time.monotonic())):
                    self.close()
                    raise LostError(f"no answer within {patience:.0f} s")
                part = stdout.read1()
                if not part:
                    raise self._ended()
                self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _ended(self) -> LostError:
        self.close()
        status = self._process.returncode
        said = self._log_file.read_text("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")
        how = f"was ended by signal {-status}" if status < 0 else f"ended with {status}"
        return LostError(f"its process {how}: {last}"[:LONGEST_ERROR])

    def close(self) -> None:
        """End the process."""
        if self.lost:
            return
        self.lost = True
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                stream.close() if stream is self._process.stdout else self._close_quietly(stream)
        try:
            # It ends by itself when its input does, unless it is busy.
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def _close_quietly(stream: IO[bytes]) -> None:
        with suppress(BrokenPipeError):  # it has gone already
            stream.close()

    @staticmethod
    def _stream(stream: Any) -> Any:
        assert stream is not None
        return stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
