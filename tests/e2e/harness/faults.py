"""A PostgreSQL that fails on purpose: a proxy before a real one, which strikes when a chosen statement comes by.

posthoused prepares each statement once per connection, under a name of its own, and runs it by Bind. The proxy reads those
messages (PostgreSQL manual, "Frontend/Backend Protocol") and otherwise passes bytes on. An armed Fault strikes once:

    refused    the server answers this statement with an error; nothing of its transaction is done
    cut        the connection ends before the statement arrives; nothing is done, and the client cannot know that
    lost       everything is done and committed, and the connection ends before the answer arrives
    silent     nothing arrives, nothing is answered, until the client gives up
"""
import socket
import struct
import threading

from .process import make_folder, remove_folder

SOCKET = ".s.PGSQL.5432"
MODES = ("refused", "cut", "lost", "silent")


class Fault:
    def __init__(self, statement, mode):
        assert mode in MODES
        self.statement, self.mode = statement, mode
        self.struck = False


class _Connection:
    """One client's; a thread for each direction."""

    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(str(proxy.real / SOCKET))
        self.fault = None
        self.syncs = self.answers = 0  # Sync messages passed on, ReadyForQuery messages seen
        self.last_sync = None          # of the transaction whose answer gets lost
        self.lock = threading.Lock()
        for direction in (self._requests, self._answers):
            threading.Thread(target=self._run, args=(direction,), daemon=True).start()

    def _run(self, direction):
        try:
            direction()
        except OSError:
            pass
        finally:
            self.close()

    def close(self):
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.proxy.forget(self)

    @staticmethod
    def _exactly(end, count):
        data = b""
        while len(data) < count:
            got = end.recv(count - len(data))
            if not got:
                raise OSError("closed")
            data += got
        return data

    def _message(self, end):
        head = self._exactly(end, 5)
        return head, self._exactly(end, struct.unpack("!I", head[1:])[0] - 4)

    def _requests(self):
        length = self._exactly(self.client, 4)  # the startup message has no type
        self.server.sendall(length + self._exactly(self.client, struct.unpack("!I", length)[0] - 4))
        while True:
            head, body = self._message(self.client)
            if head[:1] == b"B":
                portal, statement = body.split(b"\0", 2)[:2]
                fault = self.proxy.meet(statement.decode())
                if fault:
                    if fault.mode == "cut":
                        return
                    self.fault = fault
                    if fault.mode == "refused":
                        rest = body[len(portal) + len(statement) + 2:]
                        body = portal + b"\0no_such_statement\0" + rest
                        head = b"B" + struct.pack("!I", len(body) + 4)
            if self.fault and self.fault.mode == "silent":
                continue
            self.server.sendall(head + body)
            if head[:1] == b"S":
                with self.lock:
                    self.syncs += 1
                    if self.fault and self.fault.mode == "lost" and self.last_sync is None:
                        self.last_sync = self.syncs

    def _answers(self):
        while True:
            head, body = self._message(self.server)
            with self.lock:
                if head[:1] == b"Z":
                    self.answers += 1
                lost = self.fault and self.fault.mode == "lost"
                # the first ReadyForQuery ends the startup and answers no Sync
                over = self.last_sync is not None and self.answers > self.last_sync
            if over:
                return
            if not lost:
                self.client.sendall(head + body)


class FaultyPostgres:
    """Stands where a Postgres stands; queries of the test itself go past the proxy."""

    def __init__(self, postgres):
        self.postgres = postgres
        self.real = postgres.folder
        self.folder = make_folder("faulty", postgres.user)
        self.seen = {}  # statement: how often
        self._fault = None
        self._lock = threading.Lock()
        self._connections = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / SOCKET))
        (self.folder / SOCKET).chmod(0o777)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            try:
                connection = _Connection(self, client)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._connections.add(connection)

    def forget(self, connection):
        with self._lock:
            self._connections.discard(connection)

    def meet(self, statement):
        """The fault that strikes this statement, once."""
        with self._lock:
            self.seen[statement] = self.seen.get(statement, 0) + 1
            if self._fault is None or self._fault.statement != statement:
                return None
            fault, self._fault = self._fault, None
            fault.struck = True
            return fault

    def arm(self, statement, mode):
        with self._lock:
            self._fault = Fault(statement, mode)
            return self._fault

    def disarm(self):
        with self._lock:
            self._fault = None

    def close(self):
        self._listener.close()
        for connection in list(self._connections):
            connection.close()
        remove_folder(self.folder)

    # what a Posthouse asks of its Postgres
    def conninfo(self, database):
        return f"host={self.folder} dbname={database} user=posthouse"

    def new_database(self):
        return self.postgres.new_database()

    def create(self, name, empty=False):
        return self.postgres.create(name, empty)

    def leave(self, name, over=False):
        self.postgres.leave(name, over)

    def query(self, database, sql):
        return self.postgres.query(database, sql)
