"""The processes: configuration errors, reload, orderly stop, crashes, privileges, and a database that is away."""
import contextlib
import imaplib
import os
import re
import shutil
import signal
import smtplib
import socket
from pathlib import Path

import pytest

from harness.posthouse import LISTENERS, ROOT, make_message
from harness.process import alive, port_open, run, wait_equal, wait_until


def status_field(pid, name):
    return re.search(rf"^{name}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE).group(1).split()


# ------------------------------------------------------------------ configuration


@pytest.mark.parametrize("change, words", [
    ({"daemon__nonsense": "1"}, "nonsense"),
    ({"smtp__message_size_max": "lots"}, "message_size_max"),
    ({"listen__smtp": "localhost"}, "localhost"),
    ({"tls__key_file": "/nonexistent/key.pem"}, "/nonexistent/key.pem"),
    ({"daemon__spool_directory": "/nonexistent/spool"}, "/nonexistent/spool"),
    ({"daemon__log_levels": "smtp"}, "log_levels"),
    ({"dns__resolver": "ns.example.test"}, "resolver"),
    ({"dns__trust_anchor_file": "/nonexistent/root.key"}, "/nonexistent/root.key"),
    ({"dns__trust_anchor_file": "/etc/passwd"}, "trust_anchor_file"),
    ({"delivery__sts_ca_file": "/nonexistent/ca.pem"}, "/nonexistent/ca.pem"),
    ({"smtp__bare_newline": "repair"}, "bare_newline"),
    ({"database__conninfo": "nonsense=1"}, "conninfo"),
])
def test_check_config_tells_what_is_wrong(new_posthouse, change, words):
    node = new_posthouse()
    assert node.command("--check-config").returncode == 0
    node.write_config(**change)
    done = node.command("--check-config", check=False)
    assert done.returncode == 78
    assert words in done.stderr
    line = next(number for number, text in enumerate(node.config_path.read_text().splitlines(), 1) if words in text)
    assert f"{node.config_path}:{line}:" in done.stderr


def test_a_file_that_is_not_there_is_said_to_be_not_there(new_posthouse):
    node = new_posthouse(settings={"tls.certificate_file": "/nonexistent/certificate.pem"})
    assert "/nonexistent/certificate.pem: No such file or directory" in node.command("--check-config", check=False).stderr


def test_a_configuration_that_listens_nowhere_is_warned_of(new_posthouse):
    node = new_posthouse(settings={f"listen.{name}": None for name in LISTENERS}).migrate()
    assert "warning: nothing listens" in node.command("--check-config").stderr
    node.start(wait=False)
    wait_until(lambda: 'level=warn module=master msg="nothing listens' in node.log(), "it is told")
    wait_until(lambda: "msg=serving" in node.log(), "it works all the same")
    node.stop()


def test_what_libsasl_lacks_is_told(new_posthouse):
    """Its mechanisms are plugins, in a package of their own, which that of the library only recommends."""
    node = new_posthouse(settings={"daemon.workers": 1}).migrate()
    assert "libsasl" not in node.command("--check-config").stderr
    node.environment = lambda keep=node.environment: dict(keep(), SASL_PATH="/nonexistent")
    assert "warning: nobody can sign in by SCRAM-SHA-256 PLAIN LOGIN," in node.command("--check-config").stderr
    node.start()
    wait_until(lambda: 'mechanisms="SCRAM-SHA-256 PLAIN LOGIN"' in node.log(), "the log tells, too")


def test_sample_configuration_is_current(posthouse):
    sample = posthouse.command("--sample-config").stdout
    assert sample == (ROOT / "doc/posthouse.conf.sample").read_text()


def test_migrate_twice(new_posthouse):
    node = new_posthouse()
    node.command("--migrate")
    assert "current" in node.command("--migrate").stdout


def test_a_new_database_must_be_in_utf8(new_posthouse, postgres):
    """In another encoding names beyond it would be refused at every try; createdb makes one where the locale is C."""
    node = new_posthouse()
    postgres.query("postgres", f"create database {node.database}_ascii encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0")
    node.write_config(database__conninfo=postgres.conninfo(f"{node.database}_ascii"))
    done = node.command("--migrate", check=False)
    assert done.returncode == 1
    assert "has the encoding SQL_ASCII; make it with UTF8 (createdb -E UTF8 --locale=C -T template0)" in done.stderr
    postgres.query("postgres", f"drop database {node.database}_ascii")


def test_the_label_of_a_token_is_utf8_whatever_libpq_is_told(new_posthouse):
    node = new_posthouse().migrate()
    node.environment = lambda keep=node.environment: dict(keep(), PGCLIENTENCODING="LATIN1")
    node.command("--create-admin-token", "bürö")
    assert ["bürö"] in node.query("select label from api_token")


def test_a_failed_handshake_names_its_session(posthouse):
    before = len(posthouse.log())
    with socket.create_connection(("127.0.0.1", posthouse.ports["imaps"])) as connection:
        connection.sendall(b"a1 CAPABILITY\r\n" * 4)
        wait_until(lambda: "TLS handshake failed" in posthouse.log()[before:], "it is told")
    line = next(text for text in posthouse.log()[before:].splitlines() if "TLS handshake failed" in text)
    assert re.search(r" session=[0-9a-z]{13} ", line) and line.count(" peer=") == 1, line


# ------------------------------------------------------------------ signals


def test_reload_keeps_sessions_and_changes_settings(new_posthouse):
    node = new_posthouse().start()
    old = set(node.family())
    with node.smtp() as connection:
        connection.ehlo()
        assert connection.esmtp_features["size"] != "123456"
        node.write_config(smtp__message_size_max=123456)
        node.reload()

        def renewed():
            with node.smtp() as other:
                other.ehlo()
                return other.esmtp_features["size"] == "123456"

        wait_until(renewed, "new sessions see the new limit")
        assert connection.noop()[0] == 250, "the session that began before goes on"
    wait_until(lambda: not old & set(node.family()), "the old processes are gone")


def test_reload_of_a_bad_file_changes_nothing(new_posthouse):
    node = new_posthouse().start()
    family = node.family()
    node.write_config(smtp__message_size_max="lots")
    node.reload()
    wait_until(lambda: "message_size_max" in node.log(), "the error is told")
    assert re.search(rf'level=error module=master .*error="{re.escape(str(node.config_path))}:[0-9]+: message_size_max',
                     node.log()), "as a line of the log, with file and line"
    assert node.family() == family
    with node.smtp() as connection:
        assert connection.noop()[0] == 250


def test_usr1_tells_how_deep_stacks_were_used(new_posthouse):
    """A command has used a stack; what it took is told, and is far from all of it."""
    node = new_posthouse().start()
    with imaplib.IMAP4("localhost", node.ports["imap"]) as connection:
        connection.noop()
        node.process.send_signal(signal.SIGUSR1)
        line = r"module=task .*pool=session busy=\d+ queued=0 deepest=([1-9]\d*) size=(\d+)"
        wait_until(lambda: re.search(line, node.log()), "the pool of sessions is told")
    assert all(int(deepest) < int(size) / 2 for deepest, size in re.findall(line, node.log()))


def test_stop_says_good_bye(new_posthouse):
    """SIGTERM: idle sessions get 421, everything ends with status 0, no port stays open."""
    node = new_posthouse().start()
    ports = list(node.ports.values())
    connection = node.smtp()
    connection.ehlo()
    family = node.family()
    node.process.send_signal(signal.SIGTERM)
    code = connection.getreply()[0]
    connection.close()
    assert code == 421
    node.stop()
    assert not any(alive(pid) for pid in family)
    assert not any(port_open(port) for port in ports)


def test_reload_moves_the_pid_file(new_posthouse):
    node = new_posthouse().start()
    first, second, none = (node.folder / name for name in ("posthoused.pid", "other.pid", "missing/posthoused.pid"))
    ours = f"{node.process.pid}\n"
    assert first.read_text() == ours

    def reloaded(path, says):
        before = len(node.log())
        node.write_config(daemon__pid_file=path)
        node.reload()
        wait_until(lambda: says in node.log()[before:], says)

    reloaded(second, "configuration reloaded")
    assert second.read_text() == ours and not first.exists()
    reloaded(none, "nothing was changed")
    assert f"cannot write {none}" in node.log()
    assert second.read_text() == ours and not none.exists()
    first.symlink_to(second)
    reloaded(first, "configuration reloaded")
    assert first.read_text() == second.read_text() == ours, "the same file by another name is not removed"
    reloaded(None, "configuration reloaded")
    assert not first.exists()
    reloaded(second, "configuration reloaded")
    assert second.read_text() == ours
    node.stop()
    assert not second.exists()


@pytest.mark.faults
def test_a_crashed_worker_is_replaced(new_posthouse):
    node = new_posthouse().start()
    before = node.family()
    os.kill(before[-1], signal.SIGABRT)
    wait_until(lambda: len(node.family()) == len(before) and before[-1] not in node.family(), "a new one stands in")
    assert before[0] in node.family(), "the others are left alone"
    wait_until(node.ready, "ready again")
    with node.smtp() as connection:
        assert connection.noop()[0] == 250


@pytest.mark.skipif(os.geteuid() != 0, reason="there are no privileges to drop")
def test_privileges_are_dropped(posthouse):
    for pid in posthouse.family():
        assert "0" not in status_field(pid, "Uid"), "a child runs as root"
        assert "0" not in status_field(pid, "Gid")
        assert int(status_field(pid, "CapEff")[0], 16) == 0
        assert status_field(pid, "NoNewPrivs") == ["1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="nothing is closed to root only")
def test_the_workers_need_not_read_the_schema(new_posthouse, tmp_path):
    """A checkout in /root, say: the master has read the migrations, its children may not."""
    node = new_posthouse()
    hidden = shutil.copytree(ROOT / "schema", tmp_path / "root" / "schema")
    hidden.parent.chmod(0o700)
    ours = node.environment
    node.environment = lambda: dict(ours(), POSTHOUSE_SCHEMA_DIR=str(hidden))
    node.start()


# ------------------------------------------------------------------ a database that is away


@pytest.mark.faults
def test_database_away_at_start(new_posthouse, own_postgres):
    node = new_posthouse(postgres=own_postgres).migrate()
    own_postgres.stop()
    node.start(wait=False)
    wait_until(lambda: node.api.request("GET", "/readyz", token="")[0] == 503, "not ready, and says so")
    assert node.api.request("GET", "/healthz", token="")[0] == 200
    own_postgres.start()
    node.wait_ready()


@pytest.mark.faults
def test_database_away_later(new_posthouse, own_postgres):
    """451, NO and -ERR [SYS/TEMP] while it is away, never a lie about who exists; afterwards all is well by itself."""
    node = new_posthouse(postgres=own_postgres).start()
    node.api.customer("away")
    node.api.hosted_domain("away.test", "away")
    node.api.account("ann@away.test", "away")
    held_imap = node.imap("ann@away.test")
    imap = held_imap.__enter__()
    own_postgres.stop()
    wait_until(lambda: not node.ready(), "it notices")

    with node.smtp() as connection:
        connection.ehlo()
        assert connection.mail("joe@outside.test")[0] == 250
        code, text = connection.rcpt("ann@away.test")
        assert code == 451 and text.startswith(b"4.3.0"), (code, text)
    with contextlib.suppress(smtplib.SMTPServerDisconnected), node.submission() as connection:
        with pytest.raises(smtplib.SMTPResponseException) as refusal:
            connection.login("ann@away.test", "posthouse-demo")
        assert refusal.value.smtp_code == 454
    assert imap.select("INBOX")[0] == "NO"
    with pytest.raises(Exception, match=r"SYS/TEMP"):
        with node.pop3("ann@away.test"):
            pass
    status, _, problem = node.api.request("GET", "/v1/customers")
    assert status == 503 and problem["status"] == 503

    own_postgres.start()
    wait_until(node.ready, "it recovers by itself")
    # Ready is what the admin process says of itself; each worker finds the database again by its own back-off.
    wait_until(lambda: imap.select("INBOX")[0] == "OK", "the session lived through it")
    held_imap.__exit__(None, None, None)
    wait_until(lambda: node.send("joe@outside.test", "ann@away.test", make_message("back")) or True, "mail is taken again")

    def subjects():
        try:
            return node.subjects("ann@away.test")
        except imaplib.IMAP4.error as error:  # by a worker that has not found it yet
            assert "[UNAVAILABLE]" not in str(error)
            raise

    wait_equal(subjects, ["back"], "mail flows again")


def test_version_and_help(posthouse):
    assert run([os.environ.get("POSTHOUSED", ROOT / "var/build/posthoused"), "--version"],
               env=dict(os.environ, **posthouse.environment())).stdout.startswith("posthoused 0.")
    assert "--check-config" in posthouse.command("--help").stdout
