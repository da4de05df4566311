"""The study server as a real process on loopback, started and killed by the tests."""

import resource
import signal
import socket
import subprocess
import sys

PATIENCE = 120  # seconds until a test gives up; nothing else hangs on the clock


class Process:
    """One run of `coltran-study serve` after the other, on one port."""

    def __init__(self, folder, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.options, self.process = folder, options, None

    def command(self, *more: str) -> list[str]:
        arguments = ["serve", f"--study={self.folder}", f"--port={self.port}", *self.options, *more]
        return [sys.executable, "-m", "human_eval.study", *arguments]

    def start(self, *more: str) -> str:
        """Starts it, waits until it says where it listens, and returns all that it says."""
        self.process = subprocess.Popen(self.command(*more), stdout=subprocess.PIPE, text=True, preexec_fn=self.prepare)
        lines = []
        while "database" not in (lines or [""])[-1]:
            lines.append(self.process.stdout.readline())
            assert lines[-1], f"the server ended: {lines}"
        return "".join(lines)

    @staticmethod
    def prepare() -> None:
        """As on a usual machine: 1024 files at most, and Ctrl-C reaches it even in the background of a shell."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
