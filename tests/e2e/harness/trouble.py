"""What makes a real primary difficult: a policy service that Postfix asks, and a gate in front of it.

    policy = Policy().start(); postfix.ask(policy.port)     before postfix.start()
    policy.answers["RCPT"] = lambda asked: "452 4.2.2 full"  what Postfix says at MAIL, RCPT, DATA or END-OF-MESSAGE; None: goes on
    policy.takes["END-OF-MESSAGE"] = 0.05                    seconds before it is answered there; with policy.alone one at a time
    policy.most                                              answers to the end of data that were thought about at once

    gate = Gate(lambda: postfix.port).start()                domain -> gate.port -> Postfix
    gate.shut(), gate.open()                                 ends connections and refuses them, takes them
    gate.cut = "body" | "reply"; gate.cut_times = 2          ends so many connections in mid-message; or where the end was answered
"""
import contextlib
import socket
import socketserver
import threading
import time

from .process import free_port


class _Asked(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        asked = {}
        for line in self.rfile:
            name, _, value = line.decode(errors="replace").strip().partition("=")
            if name:
                asked[name] = value
                continue
            self.wfile.write(f"action={self.server.policy.decide(asked) or 'DUNNO'}\n\n".encode())
            asked = {}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


class Policy:
    def __init__(self):
        self.server = _Server(("127.0.0.1", free_port()), _Asked)
        self.server.policy = self
        self.port = self.server.server_address[1]
        self.lock, self.turn = threading.Lock(), threading.Lock()
        self.let_be()

    def let_be(self):
        self.answers, self.takes, self.alone = {}, {}, False
        self.thinking = self.most = 0

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def decide(self, asked):
        place = asked.get("protocol_state")
        ends = place == "END-OF-MESSAGE"
        with self.lock:
            self.thinking += ends
            self.most = max(self.most, self.thinking)
        with self.turn if self.alone and place in self.takes else contextlib.nullcontext():
            time.sleep(self.takes.get(place, 0))  # a slow server is what this is about
        with self.lock:
            self.thinking -= ends
            answer = self.answers.get(place)
            return answer and answer(asked)


class Gate:
    def __init__(self, behind):
        self.behind = behind  # its port, asked for each connection
        self.port = free_port()
        self.cut, self.cut_times = "", 0
        self.listener = None
        self.lock = threading.Lock()
        self.ends = set()  # of connections that are open

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)  # what it has not read is not sent
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    start = open

    def shut(self):
        if self.listener:
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self.lock:
            ends = list(self.ends)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    close = shut

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.behind()))
            except OSError:
                client.close()
                continue
            with self.lock:
                self.ends |= {client, server}
            threading.Thread(target=self._pump, args=(client, server, self._ends_body), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, self._ends_reply), daemon=True).start()

    def _take(self, kind):
        with self.lock:
            if self.cut != kind or self.cut_times <= 0:
                return False
            self.cut_times -= 1
            return True

    def _ends_body(self, data, before):
        """Commands are short; who has said so much is in a message."""
        return before + len(data) > 30_000 and self._take("body")

    def _ends_reply(self, data, _before):
        return b"250 2.0.0 Ok: queued as" in data and self._take("reply")

    def _pump(self, source, target, ends):
        total = 0
        try:
            while data := source.recv(16384):
                if ends(data, total):
                    break
                total += len(data)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            with self.lock:
                self.ends.discard(end)
