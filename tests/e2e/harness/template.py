"""What each cluster and each database of a run of tests begins as: made once, by initdb and by posthoused --migrate, and then copied.

To copy a cluster takes a tenth of what initdb takes, and to copy a database a tenth of sixty migrations. A test of those calls them
all the same: posthoused --migrate finds an empty database (Posthouse.command).

conftest.py names the folder in FOLDER, before it starts the processes that run side by side; so they share it. The first that needs
it makes it, and the others wait behind a lock. Without a folder (a benchmark) nothing is copied.
"""
import fcntl
import os
from pathlib import Path

from .process import run

FOLDER = "POSTHOUSE_TEST_TEMPLATE"
DATABASE = "template_posthouse"
FRESH = "update srs_key set made_at = now()"  # what --migrate makes with the time of day is as new as if it had run now


def data_directory():
    """None without a folder."""
    if not os.environ.get(FOLDER):
        return None
    folder = Path(os.environ[FOLDER])
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            _make(folder)
            (folder / "made").touch()
    return folder / "data"


def _make(folder):
    from .postgres import Postgres
    from .posthouse import PROGRAM, ROOT, SANITIZERS
    server = Postgres(copied=False, durable=False)
    try:
        server.start()
        server.create(DATABASE, empty=True)
        config = folder / "posthouse.conf"
        config.write_text(f"[database]\nconninfo = {server.conninfo(DATABASE)}\n")
        run([PROGRAM, "--config", config, "--migrate"], timeout=60,
            env=dict(os.environ, **SANITIZERS, POSTHOUSE_SCHEMA_DIR=str(ROOT / "schema")))
        server.query(DATABASE, "vacuum freeze")
        server.stop()
        run(["cp", "-a", server.data, folder / "data"])
    finally:
        server.close()
