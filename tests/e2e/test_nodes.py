"""Several nodes on one database: migrations, worker numbers, cells; and what a schema that is not ours does."""
import threading

from harness.posthouse import make_message
from harness.process import wait_until


def share(node, postgres, database):
    """Lets a node that was not started yet use a database that another has."""
    node.database = database
    node.write_config(database__conninfo=postgres.conninfo(database))


def cells(node):
    """How many cells each living worker leases, sorted."""
    return sorted(int(row[0]) for row in node.query("select count(c.cell) from worker w left join cell_lease c on"
                                                    " c.worker = w.number and c.lease_until > now()"
                                                    " where w.delivers and w.lease_until > now() group by w.number"))


def test_two_nodes_migrate_at_once(new_posthouse, postgres):
    nodes = [new_posthouse() for _ in range(2)]
    share(nodes[1], postgres, nodes[0].database)
    results = []
    threads = [threading.Thread(target=lambda node=node: results.append(node.command("--migrate", check=False)))
               for node in nodes for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0] * 4, results
    rows = nodes[0].query("select version, count(*) from schema_migration group by version")
    assert rows and all(row[1] == "1" for row in rows)


def test_cells_are_shared_out(new_posthouse, postgres):
    one = new_posthouse().start()
    wait_until(lambda: cells(one) == [128, 128], "two workers have all cells")
    two = new_posthouse()
    share(two, postgres, one.database)
    two.token = one.token
    two.start()
    wait_until(lambda: cells(one) == [64, 64, 64, 64], "four workers have a quarter each", timeout=60)
    numbers = one.query("select number from worker where lease_until > now()")
    assert len(numbers) == 6  # each node's admin process has one as well
    two.api.customer("of both")
    assert one.api.get("/v1/customers/of%20both")["name"] == "of both"
    two.stop()
    wait_until(lambda: cells(one) == [128, 128], "the cells of a node that left are taken", timeout=60)


def test_news_of_a_mailbox_reach_a_client_of_another_node(new_posthouse, postgres):
    one = new_posthouse().start()
    two = new_posthouse()
    share(two, postgres, one.database)
    two.token = one.token
    two.start()
    one.api.customer("far")
    one.api.hosted_domain("far.test", "far")
    one.api.account("ann@far.test", "far")
    with two.imap("ann@far.test") as client:
        client.select("INBOX")
        client.send(b"idle1 IDLE\r\n")
        assert client.readline().startswith(b"+")
        one.send("joe@outside.test", "ann@far.test", make_message("news"))
        while not client.readline().endswith(b" EXISTS\r\n"):
            pass  # the connection's own time-out ends a wait in vain
        client.send(b"DONE\r\n")
        while not client.readline().startswith(b"idle1 OK"):
            pass


def test_a_dead_workers_number_and_cells_are_taken_over(new_posthouse):
    node = new_posthouse().migrate()
    node.query("insert into worker (number, node, pid, started_at, lease_until, delivers)"
               " select n, 'dead', 1, now() - interval '1 day', now() - interval '1 second', true"
               "   from generate_series(0, 1023) n")
    node.query("update cell_lease set worker = cell * 4, lease_until = now() - interval '1 second'")
    node.start()
    wait_until(lambda: cells(node) == [128, 128], "the living have all cells")
    assert node.query("select count(*) from worker where node <> 'dead'") == [["3"]]


def refused(node, *words):
    result = node.command("--migrate", check=False)
    said = result.stdout + result.stderr
    assert result.returncode != 0 and all(word in said for word in words), said


def test_a_newer_schema_is_refused(new_posthouse):
    node = new_posthouse().migrate()
    node.query("insert into schema_migration (version, name, sha256) values (9999, 'future', 'x')")
    refused(node, "9999", "newer")
    assert node.query("select count(*) from schema_migration where version = 9999") == [["1"]]
    node.start(wait=False)
    wait_until(lambda: "9999" in node.log(), "the log names the migration")
    assert not node.ready()
    status, _, reply = node.api.request("POST", "/v1/customers", {"name": "early"})
    assert status == 503, reply


def test_an_edited_migration_is_refused(new_posthouse):
    node = new_posthouse().migrate()
    node.query("update schema_migration set sha256 = 'edited' where version = 1")
    refused(node, "migration 1", "edited")


def test_a_token_needs_a_schema(new_posthouse):
    node = new_posthouse()
    result = node.command("--create-admin-token", "early", check=False)
    assert result.returncode != 0 and "api_token" in result.stderr + result.stdout
