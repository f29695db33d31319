"""SQL for the tests, by libpq itself.

A test that waits asks the database twenty times a second. A psql for each question costs more than all that the program under test
does meanwhile; a connection that is kept costs nothing. Each answer is text as psql writes it, NULL is empty. What changes something
has a connection of its own, whose end writes what it did into PostgreSQL's statistics.
"""
import ctypes
import ctypes.util
import threading

from .process import DEADLINE

KEPT = 6  # connections, the last that were used
OK_COMMAND, OK_ROWS = 1, 2  # PGRES_COMMAND_OK, PGRES_TUPLES_OK


def _library():
    library = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ("PQconnectdb", pointer, [text]), ("PQstatus", number, [pointer]), ("PQfinish", None, [pointer]),
            ("PQerrorMessage", text, [pointer]), ("PQsendQuery", number, [pointer, text]), ("PQgetResult", pointer, [pointer]),
            ("PQresultStatus", number, [pointer]), ("PQresultErrorMessage", text, [pointer]), ("PQclear", None, [pointer]),
            ("PQntuples", number, [pointer]), ("PQnfields", number, [pointer]), ("PQgetvalue", text, [pointer, number, number]),
            ("PQsetNoticeProcessor", pointer, [pointer, pointer, pointer])):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_pq = _library()
_on_notice = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)(lambda _, text: None)


class SqlError(AssertionError):
    """Which wait_until takes for "not yet"."""


class _Connection:
    def __init__(self, conninfo):
        limit = f"options='-c statement_timeout={int(DEADLINE)}s' connect_timeout={int(DEADLINE)}"
        self.conninfo = conninfo
        self.handle = _pq.PQconnectdb(f"{conninfo} {limit}".encode())
        if not self.good():
            error = SqlError(_pq.PQerrorMessage(self.handle).decode(errors="replace"))
            self.close()
            raise error
        _pq.PQsetNoticeProcessor(self.handle, _on_notice, None)

    def good(self):
        return _pq.PQstatus(self.handle) == 0

    def close(self):
        _pq.PQfinish(self.handle)
        self.handle = None

    def ask_whether_it_lives(self):
        """Its server may have ended since."""
        try:
            return self.run("select 1") == [["1"]]
        except SqlError:
            return False

    def run(self, sql):
        """The rows of all its statements, which are one transaction."""
        rows, error = [], None
        if not _pq.PQsendQuery(self.handle, sql.encode()):
            raise SqlError(_pq.PQerrorMessage(self.handle).decode(errors="replace"))
        while result := _pq.PQgetResult(self.handle):
            status = _pq.PQresultStatus(result)
            if status == OK_ROWS:
                columns = range(_pq.PQnfields(result))
                rows += [[_pq.PQgetvalue(result, row, column).decode(errors="replace") for column in columns]
                         for row in range(_pq.PQntuples(result))]
            elif status != OK_COMMAND:
                error = SqlError(f"{_pq.PQresultErrorMessage(result).decode(errors='replace')}{sql}")
            _pq.PQclear(result)
        if error:
            raise error
        return rows


class Sql:
    """Asks the databases of one cluster. A connection serves one question at a time, and is as new afterwards."""

    def __init__(self):
        self._lock = threading.Lock()
        self._kept = []

    def _take(self, conninfo):
        with self._lock:
            for connection in reversed(self._kept):
                if connection.conninfo == conninfo:
                    self._kept.remove(connection)
                    return connection
        return None

    def _keep(self, connection):
        with self._lock:
            self._kept.append(connection)
            left = self._kept.pop(0) if len(self._kept) > KEPT else None
        if left:
            left.close()

    def ask(self, conninfo, sql):
        kept = self._take(conninfo)
        if kept:
            if kept.ask_whether_it_lives():
                return self._ask(kept, sql)
            kept.close()
        return self._ask(_Connection(conninfo), sql)

    def _ask(self, connection, sql):
        kept = False
        try:
            rows = connection.run(sql)
            if sql.lstrip().lower().startswith("select"):
                connection.run("discard all")
                kept = True
        finally:
            if kept:
                self._keep(connection)
            else:
                connection.close()
        return rows

    def close(self, conninfo=None):
        """All, or those to one database."""
        with self._lock:
            ended = [connection for connection in self._kept if conninfo in (None, connection.conninfo)]
            self._kept = [connection for connection in self._kept if connection not in ended]
        for connection in ended:
            connection.close()
