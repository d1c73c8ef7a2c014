"""What systemd hears from an engine: a socket as NOTIFY_SOCKET, whose datagrams are read as they
come."""
import os
import socket
import tempfile
import threading
import time


class Manager:
    """The other side of sd_notify; use as a context. `heard` is (when, {key: value}) of each."""

    def __init__(self, watchdog_us=None):
        self.folder = tempfile.mkdtemp(prefix="cartwheel-notify-")
        self.path = os.path.join(self.folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.environment = {"NOTIFY_SOCKET": self.path}
        if watchdog_us is not None:
            self.environment["WATCHDOG_USEC"] = str(watchdog_us)
        self.heard = []
        self.at_ready = None  # called at the first READY=1, before anything else is read
        self.reader = threading.Thread(target=self._read, daemon=True)

    def _read(self):
        while True:
            text = self.socket.recv(4096).decode()
            if text == "END":
                return
            self.heard.append((time.monotonic(),
                               dict(line.split("=", 1) for line in text.splitlines())))
            if self.at_ready is not None and "READY=1" in text:
                self.at_ready, call = None, self.at_ready
                call()

    def __enter__(self):
        os.environ.pop("WATCHDOG_PID", None)
        self.reader.start()
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"END", self.path)
        self.reader.join(5)
        self.socket.close()
        os.unlink(self.path)
        os.rmdir(self.folder)

    def times(self, key, since=0.0):
        """When it came."""
        return [at for at, what in list(self.heard) if key in what and at >= since]

    def values(self, key):
        return [what[key] for _, what in list(self.heard) if key in what]

    def keys(self):
        """All that came but signs of life, in order."""
        return [key for _, what in list(self.heard) for key in what if key != "WATCHDOG"]
