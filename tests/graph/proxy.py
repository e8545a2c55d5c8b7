"""A TCP relay between a client and a server that can cut the wire."""

import contextlib
import socket
import threading
from collections.abc import Callable


class Proxy:
    """Relays connections on 127.0.0.1 to a port there, until `cut` says so for what a client sends.

    Parameters
    ----------
    port
        Where the server listens.
    cut
        Asked for each piece a client sends: ``None`` relays it; ``"before"`` cuts the wire without relaying it,
        ``"after"`` relays it, waits for the server's answer and cuts the wire without relaying that.
    """

    def __init__(self, port: int, cut: Callable[[bytes], str | None]) -> None:
        self._target = port
        self._cut = cut
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.refusing = False
        """Whether new connections are cut at once."""
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for connection in (self._listener, *self._open):
            _end(connection)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refusing:
                    _end(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                answers = _Answers(server, client)
                threading.Thread(target=self._relay, args=(client, server, answers), daemon=True).start()

    def _relay(self, client: socket.socket, server: socket.socket, answers: "_Answers") -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                how = self._cut(piece)
                if how == "before":
                    break
                if how == "after":
                    answers.hold()
                server.sendall(piece)
                if how == "after":
                    answers.wait()
                    break
        _end(client)
        _end(server)


class _Answers:
    """Relays what a server sends, until told to keep it back."""

    def __init__(self, server: socket.socket, client: socket.socket) -> None:
        self._held = False
        self._came = threading.Event()
        threading.Thread(target=self._relay, args=(server, client), daemon=True).start()

    def hold(self) -> None:
        self._held = True

    def wait(self) -> None:
        self._came.wait(30)

    def _relay(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(65536):
                if self._held:
                    self._came.set()
                else:
                    client.sendall(piece)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
