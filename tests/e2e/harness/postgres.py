"""A private PostgreSQL: its own data directory, a Unix socket and no port.

What it has said is committed stays so when any process is killed, its own as well: the kernel has it then. That a disk has it, too
(fsync), is for `durable`, as benchmarks want it: no test cuts the power.

In a run of tests it begins as a copy of what template.py has made, and so does each database in it.
"""
import contextlib
import itertools
import os
import signal
import subprocess
import threading
from pathlib import Path

from . import template
from .process import Process, make_folder, remove_folder, run, unprivileged, wait_until
from .sql import Sql, SqlError


def _binaries():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise RuntimeError("PostgreSQL's server programs are missing (Debian package: postgresql)")
    return found[-1].parent


class Postgres:
    def __init__(self, settings=(), durable=True, copied=True, tidy=False):
        """tidy: drops what nobody asks any more; a run has hundreds of databases, which would all be written to disk."""
        self.user = unprivileged("postgres", "nobody")
        self.folder = make_folder("pg", self.user)
        self.binaries = _binaries()
        self.data = self.folder / "data"
        self.settings = list(settings) + ([] if durable else ["fsync=off"])
        self._numbers = itertools.count(1)
        self._made, self._making = set(), threading.Lock()
        self._sql = Sql()
        self.process = None
        self.tidy = tidy
        self.copied = copied and template.data_directory()
        if self.copied:
            run(["cp", "-a", "--reflink=auto", self.copied, self.data], timeout=120)
            return
        entry = {"user": self.user, "group": os.stat(self.folder).st_gid, "extra_groups": []} if self.user else {}
        run([self.binaries / "initdb", "-D", self.data, "-U", "posthouse", "--auth=trust", "--no-locale", "-E", "UTF8",
             "--no-sync"], timeout=120, cwd="/", **entry)

    def start(self):
        command = [self.binaries / "postgres", "-D", self.data, "-k", self.folder, "-c", "listen_addresses=",
                   "-c", "max_connections=200", "-c", "shared_buffers=64MB",
                   # after kill -9 one sync of the file system, instead of one of each of a thousand files
                   "-c", "recovery_init_sync_method=syncfs"]
        for setting in self.settings:
            command += ["-c", setting]
        self.process = Process("postgres", command, self.folder / "log", user=self.user)
        wait_until(self.answers, "PostgreSQL answers", timeout=60)
        return self

    def answers(self):
        if not self.process.running():
            raise RuntimeError("PostgreSQL ended:\n" + self.process.log())
        try:
            return self.query("postgres", "select 1") == [["1"]]
        except SqlError:
            return False

    def stop(self):
        """Fast shutdown: open transactions are rolled back."""
        self._sql.close()
        if self.process:
            self.process.stop(signal.SIGINT)
            self.process = None

    def kill(self):
        """kill -9 of the postmaster. Its children end when they see it gone; until then no other may start."""
        self._sql.close()
        pid = self.process.pid
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        wait_until(lambda: not self._at_work(), "PostgreSQL's processes ended", timeout=60)
        return pid

    def _at_work(self):
        """Whether a process of this cluster lives: all of them work in its data directory."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "cwd").readlink() == self.data:
                    return True
            except OSError:
                continue
        return False

    def close(self):
        self.stop()
        remove_folder(self.folder)

    def conninfo(self, database):
        return f"host={self.folder} dbname={database} user=posthouse"

    def new_database(self):
        """A name; create() makes it."""
        return f"posthouse_{next(self._numbers)}"

    def create(self, name, empty=False):
        """Makes it unless it is there; whether it has our tables now."""
        with self._making:
            if name in self._made:
                return False
            full = bool(self.copied and not empty)
            self.query("postgres", f"create database {name}" + (f" template {template.DATABASE}" if full else ""))
            self._made.add(name)
            if full:
                self.query(name, template.FRESH)
            return full

    def leave(self, name, over=False):
        """Nobody asks it for now, or any more."""
        self._sql.close(self.conninfo(name))
        if over and self.tidy and name in self._made:
            self._made.discard(name)
            self.query("postgres", f"drop database {name} with (force)")

    @contextlib.contextmanager
    def begun(self, database, sql):
        """A transaction of somebody else that has done this, and lasts."""
        psql = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-d", self.conninfo(database)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        psql.stdin.write(f"begin; {sql}; select 'begun';\n")
        psql.stdin.flush()
        for line in psql.stdout:
            if line == "begun\n":
                break
        assert psql.poll() is None
        try:
            yield
        finally:
            psql.communicate("rollback;\n", timeout=60)

    def query(self, database, sql):
        """Rows as lists of text; for what the API does not tell."""
        return self._sql.ask(self.conninfo(database), sql)
