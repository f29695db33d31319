"""A next hop that the test controls: it stores what it gets, or behaves badly on purpose.

Change `behave` while it runs; each connection looks at it once, at its beginning, each recipient and each end of
data again. Closing the listener altogether (connection refused) is stop() and start(): the port stays the same.
"""
import socket
import socketserver
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field

from .process import free_port


@dataclass
class Received:
    sender: str
    recipients: list
    data: bytes          # wire form without dot-stuffing
    helo: str
    mail_parameters: str
    session: object          # .ended_well: the client said QUIT
    tls: str = ""            # version, if it came over TLS
    recipient_parameters: list = field(default_factory=list)  # of each of `recipients`, what stood behind its path
    chunks: list = field(default_factory=list)  # their sizes, when it came by BDAT
    confirmed: bool = False  # the client came back after our reply: it knows that we have it


@dataclass
class Behaviour:
    banner: str = "220 sink.test ESMTP"
    extensions: tuple = ("PIPELINING", "8BITMIME", "SIZE 104857600", "ENHANCEDSTATUSCODES")
    mail_reply: str = "250 2.1.0 Ok"
    recipient_replies: dict = field(default_factory=dict)  # address -> reply
    other_recipients: str = "250 2.1.5 Ok"  # what all others get
    data_reply: str = "354 go on"      # not 354: BDAT is answered so, too
    end_reply: str = "250 2.0.0 stored"
    at_end: object = None  # called before the end of data is answered; may take its time
    # "banner", "ehlo", "starttls", "handshake", "ehlo-tls", "auth", "challenge" (asked by sasl_server.py), "mail", "rcpt", "rcpt-2" (one
    # is accepted), "data" (BDAT, too), "body", "end", "after", "rset", "quit": closes there
    cut_at: str = ""
    cut_how: str = "fin"   # without a word; or "rst", "garbage", "flood" (a line without end), "silence", "421"
    cut_times: int = -1    # so often, then no more; -1: always
    silent_at: str = ""    # the same places: says nothing until hold is set
    store: bool = True     # with cut_at="end": is what it cuts stored before?
    tls: object = None     # ssl.SSLContext: STARTTLS is offered
    tls_extensions: tuple = ()  # offered under TLS, beside the others
    tls_broken: bool = False  # it is offered, and the handshake fails
    leaves_open: bool = False  # a transaction whose end was refused goes on, as Postfix's does after smtpd_end_of_data_restrictions
    ehlo_reply: str = ""   # instead of what EHLO is answered
    delay: float = 0       # seconds before the greeting
    auth: object = None    # answers AUTH: called with the session, mechanism and initial response; see sasl_server.py


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True  # each reply is a write of its own: those behind the first would wait 40 ms for its ACK
    ended_well = False
    over = False  # at or after the end of a message
    peer = None  # the certificate that was shown, as ssl has it

    def setup(self):
        super().setup()
        self.server.sink._connected(self.connection)

    def finish(self):
        self.server.sink._disconnected(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def tls(self):
        """Version, or an empty string in clear."""
        return self.connection.version() if isinstance(self.connection, ssl.SSLSocket) else ""

    def turn_to_tls(self, context):
        self.rfile.close()
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.peer = self.connection.getpeercert()
        self.rfile = self.connection.makefile("rb")
        self.wfile = socketserver._SocketWriter(self.connection)

    def at(self, place):
        """True: end the connection here."""
        behave = self.server.sink.behave
        self.wait(behave, place)
        if not self.cuts(behave, place):
            return False
        self.break_off(behave.cut_how)
        return True

    def wait(self, behave, place):
        if behave.silent_at == place:
            self.server.sink.hold.wait()

    def cuts(self, behave, place):
        """Is it this connection, of those that are there at the same time, that is cut there?"""
        with self.server.sink._lock:
            if behave.cut_at != place or behave.cut_times == 0:
                return False
            behave.cut_times -= 1
            return True

    def end(self, message, last):
        """All of a message is there: it is stored, unless it is what is cut and not stored. The last that was stored."""
        behave = self.server.sink.behave
        cut = self.cuts(behave, "end")
        if behave.end_reply.startswith("2") and (behave.store or not cut):
            last = message
            self.server.sink._store(message)
        self.wait(behave, "end")
        if cut:
            self.break_off(behave.cut_how)
            self.over = True
            return last
        if behave.at_end:
            behave.at_end()
        self.say(behave.end_reply)
        self.over = self.at("after")
        return last

    def break_off(self, how):
        if how == "rst":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()
        elif how == "garbage":
            self.wfile.write(b"\x00\xff\x16\x03 what is this?\r\n\r\n999 \r\n")
        elif how == "flood":
            self.wfile.write(b"2" * 1_000_000)
        elif how == "silence":
            self.rfile.read(1)  # until the other side gives up
        elif how == "421":
            self.say("421 4.3.2 shutting down")

    def chunk(self, arguments, data, chunks, recipients):
        """Reads a chunk. "chunk": answered, "last": to be answered, "refused": answered, None: the connection is over."""
        behave = self.server.sink.behave
        if self.at("data"):
            return None
        size, _, end = arguments.partition(" ")
        content = self.rfile.read(int(size) // 2)
        if self.at("body"):
            return None
        content += self.rfile.read(int(size) - len(content))
        if len(content) < int(size) or (end and end.upper() != "LAST"):
            return None
        chunks.append(len(content))
        if not recipients:
            self.say("503 5.5.1 no valid recipients")
            return "refused"
        data += content
        if not behave.data_reply.startswith("354"):
            self.say(behave.data_reply)
            return "refused"
        if end:
            return "last"
        self.say("250 2.0.0 go on")
        return "chunk"

    def handle(self):
        try:
            self.dialogue()
        except OSError:
            pass

    def dialogue(self):
        sink = self.server.sink
        if self.at("banner"):
            return
        time.sleep(sink.behave.delay)
        self.say(sink.behave.banner)
        if not sink.behave.banner.startswith("220"):
            return
        helo, sender, parameters, recipients, recipient_parameters, last = "", None, "", [], [], None
        data, chunks = bytearray(), []
        while True:
            line = self.rfile.readline(70000)
            if not line:
                return
            if last:
                last.confirmed = True
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            verb, _, rest = text.partition(" ")
            verb = verb.upper()
            if verb == "EHLO" and sink.behave.ehlo_reply:
                self.say(sink.behave.ehlo_reply)
            elif verb in ("EHLO", "HELO"):
                if self.at("ehlo-tls" if self.tls() else "ehlo"):
                    return
                helo = rest
                lines = ["sink.test"] + (list(sink.behave.extensions) if verb == "EHLO" else [])
                if verb == "EHLO" and self.tls():
                    lines += sink.behave.tls_extensions
                if verb == "EHLO" and not self.tls() and (sink.behave.tls or sink.behave.tls_broken):
                    lines.append("STARTTLS")
                for place, name in enumerate(lines):
                    self.say(("250 " if place == len(lines) - 1 else "250-") + name)
            elif verb == "MAIL":
                if self.at("mail"):
                    return
                if sender is not None and sink.behave.leaves_open:
                    self.say("503 5.5.1 Error: nested MAIL command")
                    continue
                address, _, parameters = rest.partition(">")
                sender, recipients, recipient_parameters = address.partition("<")[2], [], []
                self.say(sink.behave.mail_reply)
            elif verb == "RCPT":
                if self.at("rcpt") or (recipients and self.at("rcpt-2")):
                    return
                address, _, more = rest.partition("<")[2].partition(">")
                sink.asked.append((sender, address))
                reply = sink.behave.recipient_replies.get(address, sink.behave.other_recipients)
                if reply.startswith("2"):
                    recipients.append(address)
                    recipient_parameters.append(more.strip())
                self.say(reply)
            elif verb == "DATA":
                if self.at("data"):
                    return
                if not recipients:
                    self.say("554 5.5.1 no valid recipients")
                    continue
                self.say(sink.behave.data_reply)
                if not sink.behave.data_reply.startswith("354"):
                    continue
                data = bytearray()
                while True:
                    line = self.rfile.readline()
                    if not line:
                        return
                    if line == b".\r\n":
                        break
                    data += line[1:] if line.startswith(b".") else line
                    if self.at("body"):
                        return
                last = self.end(Received(sender, list(recipients), bytes(data), helo, parameters.strip(), self, self.tls(),
                                         list(recipient_parameters)), last)
                if self.over:
                    return
                if not (sink.behave.leaves_open and not sink.behave.end_reply.startswith("2")):
                    sender, recipients = None, []
            elif verb == "BDAT":
                outcome = self.chunk(rest, data, chunks, recipients)
                if outcome is None:
                    return
                if outcome == "last":
                    last = self.end(Received(sender, list(recipients), bytes(data), helo, parameters.strip(), self, self.tls(),
                                             list(recipient_parameters), list(chunks)), last)
                    if self.over:
                        return
                if outcome != "chunk":
                    data, chunks = bytearray(), []
                    if not (outcome == "last" and sink.behave.leaves_open and not sink.behave.end_reply.startswith("2")):
                        sender, recipients = None, []
            elif verb == "RSET":
                if self.at("rset"):
                    return
                sender, recipients, data, chunks = None, [], bytearray(), []
                self.say("250 2.0.0 Ok")
            elif verb == "STARTTLS":
                if self.at("starttls"):
                    return
                self.say("220 2.0.0 go on")
                if self.at("handshake"):
                    return
                if sink.behave.tls_broken:
                    self.wfile.write(b"this is no handshake\r\n")
                    return
                self.turn_to_tls(sink.behave.tls)
            elif verb == "AUTH" and sink.behave.auth:
                mechanism, _, initial = rest.partition(" ")
                sink.signed_in.append((mechanism, self.tls()))
                if self.at("auth"):
                    return
                sink.behave.auth(self, mechanism.upper(), initial or None)
            elif verb == "NOOP":
                self.say("250 2.0.0 Ok")
            elif verb == "QUIT":
                if self.at("quit"):
                    return
                self.ended_well = True
                self.say("221 2.0.0 Bye")
                return
            else:
                self.say("500 5.5.2 unknown command")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


class _Server6(_Server):
    address_family = socket.AF_INET6


class Sink:
    def __init__(self, host="127.0.0.1", port=None):
        """Any 127.x.x.x is there: MX hosts have addresses of their own, and one port."""
        self.host, self.port = host, port or free_port()
        self.behave = Behaviour()
        self.hold = threading.Event()
        self.connections = 0
        self.peers = []  # who connected, in order
        self.asked = []  # (sender, recipient) of each RCPT
        self.signed_in = []  # (mechanism, TLS version or "") of each AUTH
        self._received = []
        self._open = set()
        self._lock = threading.Lock()
        self._server = None

    def start(self):
        self._server = (_Server6 if ":" in self.host else _Server)((self.host, self.port), _Handler)
        self._server.sink = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self):
        """Connections are refused from now on, and open ones are closed."""
        if not self._server:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        self.hold.set()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    close = stop

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def messages(self):
        with self._lock:
            return list(self._received)

    @property
    def open_connections(self):
        with self._lock:
            return len(self._open)

    def clear(self):
        with self._lock:
            self._received.clear()

    def _store(self, message):
        with self._lock:
            self._received.append(message)

    def _connected(self, connection):
        with self._lock:
            self.connections += 1
            self._open.add(connection)
            try:
                self.peers.append(connection.getpeername()[0])
            except OSError:
                pass  # gone already

    def _disconnected(self, connection):
        with self._lock:
            self._open.discard(connection)
