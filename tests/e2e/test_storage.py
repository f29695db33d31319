"""The programs in tests/storage, each with a database of its own in a cluster that it may wound."""
import os

import pytest

from harness.posthouse import PROGRAM, SANITIZERS
from harness.process import run

PROGRAMS = ["test_accept", "test_cache", "test_db", "test_hold", "test_learned", "test_mailbox", "test_mailbox_names", "test_maintenance",
            "test_node", "test_stand_in"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_storage_program(name, own_postgres, new_posthouse):
    program = PROGRAM.parent / "tests/storage" / name
    if not program.exists():
        pytest.skip("built by make check")
    node = new_posthouse(postgres=own_postgres).migrate()
    done = run([program], timeout=120, check=False,
               env=dict(os.environ, **SANITIZERS, POSTHOUSE_TEST_CONNINFO=own_postgres.conninfo(node.database)))
    assert done.returncode == 0, done.stdout + done.stderr
