"""A wire between a browser and a server, which can be cut."""

import socket
import threading
from contextlib import suppress


class Wire:
    """Passes bytes on to `port` of this machine, until it is cut; `mend` lets new ones through."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.is_cut = False
        self.ends: list[socket.socket] = []
        self.frozen: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.is_cut = True
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """What is connected stays so, and nothing passes any more."""
        self.frozen |= set(self.ends)

    def mend(self) -> None:
        self.is_cut = False

    def close(self) -> None:
        self.cut()
        for end in (self.listener, *self.ends):
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                if self.is_cut:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.target))
                self.ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source not in self.frozen:
                    target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
