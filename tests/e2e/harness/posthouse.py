"""A posthoused of the test's own: its configuration, its ports, its database, its folder.

POSTHOUSED names the program (default: var/build/posthoused), so that the same tests run against a sanitizer build.
"""
import base64
import contextlib
import imaplib
import os
import poplib
import re
import signal
import smtplib
from pathlib import Path

from .api import Api
from .certificate import HOSTNAME
from .process import (PATIENCE, Process, children, free_port, make_folder, port_open, remove_folder, run, unprivileged,
                      wait_until)

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(os.environ.get("POSTHOUSED", ROOT / "var/build/posthoused"))
LISTENERS = ("smtp", "submission", "submissions", "odmr", "imap", "imaps", "pop3", "pop3s", "admin")
PASSWORD = "posthouse-demo"

# Findings end the process at once and are found in the log when the test stops it.
SANITIZERS = {
    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "abort_on_error=1:detect_stack_use_after_return=0"),
    "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1"),
}
FINDINGS = re.compile(r"(ERROR: AddressSanitizer|ERROR: LeakSanitizer|runtime error:).*")


class Posthouse:
    """settings: {"section.key": value} over what the tests normally use; None leaves a key out."""
    under = ()  # a command that starts it, with arguments

    def __init__(self, postgres, certificate, settings=None, default_route=None):
        self.user = unprivileged("nobody")
        self.folder = make_folder("node", self.user)
        self.certificate = certificate
        self.postgres = postgres
        self.database = self.own_database = postgres.new_database()
        self.ports = {name: free_port() for name in LISTENERS}
        self.config_path = self.folder / "posthouse.conf"
        self.process = None
        self.token = None
        keys = self.folder / "secret-keys"
        keys.touch(0o600)
        keys.write_text(base64.b64encode(os.urandom(32)).decode() + "\n")
        spool = self.folder / "spool"
        spool.mkdir()
        spool.chmod(0o1777)
        values = {
            "daemon.hostname": HOSTNAME,
            "daemon.user": self.user,
            "daemon.workers": 2,
            "daemon.pid_file": self.folder / "posthoused.pid",
            "daemon.log": "stderr",
            "daemon.log_level": "debug",
            "daemon.spool_directory": spool,
            "database.conninfo": postgres.conninfo(self.database),
            "tls.certificate_file": certificate.certificate,
            "tls.key_file": certificate.key,
            "secrets.key_file": keys,
            "delivery.probe_interval": "1s",
            "delivery.retry_first": "1s",
            "delivery.retry_max": "2s",
        }
        values.update({f"listen.{name}": f"127.0.0.1:{port}" for name, port in self.ports.items()})
        if default_route:
            values["delivery.default_route"] = f"127.0.0.1:{default_route}"
        values.update(settings or {})
        self.values = values
        self.write_config()

    # ------------------------------------------------------------------ running it

    def write_config(self, **changes):
        """Keyword arguments: section__key=value."""
        self.values.update({name.replace("__", "."): value for name, value in changes.items()})
        sections = {}
        for name, value in self.values.items():
            if value is not None:
                section, key = name.split(".", 1)
                sections.setdefault(section, []).append(f"{key} = {value}")
        self.config_path.write_text("".join(f"[{name}]\n" + "\n".join(lines) + "\n\n"
                                            for name, lines in sections.items()))

    def environment(self):
        return dict(SANITIZERS, POSTHOUSE_SCHEMA_DIR=str(ROOT / "schema"))

    def command(self, *arguments, check=True):
        """Runs posthoused for something that ends, such as --migrate, which finds an empty database unless it is not the first."""
        if "--migrate" in arguments or "--create-admin-token" in arguments:
            self.postgres.create(self.database, empty=True)
        return run([PROGRAM, "--config", self.config_path, *arguments], timeout=60, check=check,
                   env=dict(os.environ, **self.environment()))

    def migrate(self):
        """Its database is a copy of one that --migrate made, when there is such a one (harness/template.py)."""
        if not self.postgres.create(self.database):
            self.command("--migrate")
        self.token = self.command("--create-admin-token", "test").stdout.strip()
        return self

    def start(self, wait=True):
        if self.token is None:
            self.migrate()
        self.process = Process("posthoused", [*self.under, PROGRAM, "--config", self.config_path], self.folder / "log",
                               env=self.environment())
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if not self.process.running():
                raise RuntimeError("posthoused ended:\n" + self.process.log()[-4000:])
            return self.ready() and all(port_open(self.ports[name]) for name in LISTENERS
                                        if self.values.get(f"listen.{name}"))
        wait_until(ready, "posthoused is ready", timeout=60)

    def ready(self):
        """What /readyz says, as a truth value."""
        return self.api.request("GET", "/readyz", token="")[0] == 200

    def wait_known(self):
        """Until each worker knows the directory as it is now: what it has in memory of it (storage/known.c)."""
        ((now,),) = self.query("select sum(number) from directory_change")
        workers = {pid for (pid,) in self.query("select pid from worker where delivers and lease_until > now()")
                   if int(pid) in self.family()}

        def known():
            read = re.findall(r' module=known msg="read anew" changes=(\d+) pid=(\d+)', self.log())
            return workers <= {pid for changes, pid in read if int(changes) >= int(now)}
        assert workers
        wait_until(known, "each worker has read what was changed")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """An orderly stop; fails when a sanitizer found something or the exit status is not 0."""
        if not self.process:
            return
        process, self.process = self.process, None
        status = process.stop(timeout=60)
        findings = FINDINGS.findall(process.log())
        assert not findings, f"sanitizer: {findings}\n{process.log()[-8000:]}"
        assert status == 0, f"posthoused ended with {status}\n{process.log()[-8000:]}"

    def kill(self):
        """kill -9 of the master. Its children must notice and end; waits for that, so that the ports are free."""
        family = self.family()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        from .process import alive
        wait_until(lambda: not any(alive(pid) for pid in family), "the children of a killed master end")

    def family(self):
        """The pids of workers and admin process."""
        return children(self.process.pid)

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self):
        try:
            self.stop()
        finally:
            if self.process:
                self.process.stop(signal.SIGKILL)
            self.postgres.leave(self.database)
            self.postgres.leave(self.own_database, over=True)
            remove_folder(self.folder)

    def query(self, sql):
        return self.postgres.query(self.database, sql)

    def begun(self, sql):
        """A transaction of somebody else that has done this, and lasts."""
        return self.postgres.begun(self.database, sql)

    def locked(self, table):
        """One that no change of this table passes."""
        return self.begun(f"lock table {table} in share mode")

    # ------------------------------------------------------------------ talking to it

    @property
    def api(self):
        return Api(self.ports["admin"], self.token)

    def smtp(self, role="smtp", timeout=30):
        """A plain smtplib connection to the port-25 role."""
        return smtplib.SMTP("127.0.0.1", self.ports[role], local_hostname="client.test", timeout=timeout * PATIENCE)

    def submission(self, login=None, password=PASSWORD):
        """Implicit TLS, authenticated if a login is given."""
        connection = smtplib.SMTP_SSL("localhost", self.ports["submissions"], local_hostname="client.test",
                                      context=self.certificate.context(), timeout=30 * PATIENCE)
        if login:
            connection.login(login, password)
        return connection

    def send(self, sender, recipients, message):
        """From outside, by the port-25 role. message: text or bytes with its header."""
        if isinstance(recipients, str):
            recipients = [recipients]
        with self.smtp() as connection:
            return connection.sendmail(sender, recipients, message)

    def submit(self, login, recipients, message, sender=None):
        if isinstance(recipients, str):
            recipients = [recipients]
        with self.submission(login) as connection:
            return connection.sendmail(sender or login, recipients, message)

    @contextlib.contextmanager
    def imap(self, login, password=PASSWORD):
        connection = imaplib.IMAP4_SSL("localhost", self.ports["imaps"], ssl_context=self.certificate.context(),
                                       timeout=30 * PATIENCE)
        try:
            connection.login(login, password)
            yield connection
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                connection.logout()

    @contextlib.contextmanager
    def pop3(self, login, password=PASSWORD):
        connection = poplib.POP3_SSL("localhost", self.ports["pop3s"], context=self.certificate.context(),
                                     timeout=30 * PATIENCE)
        try:
            connection.user(login)
            connection.pass_(password)
            yield connection
        finally:
            with contextlib.suppress(poplib.error_proto, OSError):
                connection.quit()

    def inbox(self, login, password=PASSWORD):
        """All messages of the INBOX as bytes, by IMAP, without setting \\Seen."""
        with self.imap(login, password) as connection:
            status, counts = connection.select("INBOX", readonly=True)
            assert status == "OK", counts  # after a restart: not yet
            if int(counts[-1]) == 0:  # more than one EXISTS: mail came meanwhile
                return []
            status, parts = connection.fetch("1:*", "(BODY.PEEK[])")
            assert status == "OK", parts
            return [part[1] for part in parts if isinstance(part, tuple)]

    def subjects(self, login, password=PASSWORD):
        return [subject_of(message) for message in self.inbox(login, password)]


def subject_of(message):
    found = re.search(rb"^Subject: *(.*?)\r?$", message, re.MULTILINE | re.IGNORECASE)
    return found.group(1).decode() if found else ""


def make_message(subject, sender="someone@outside.test", to="someone@example.test", body="Hello.\n", headers=""):
    """A small message in wire form."""
    identity = re.sub(r"[^A-Za-z0-9]+", ".", subject)
    text = (f"From: <{sender}>\nTo: <{to}>\nSubject: {subject}\nMessage-ID: <{identity}.{os.getpid()}@client.test>\n"
            f"Date: Mon, 23 Nov 2026 20:25:14 +0000\n{headers}\n{body}")
    return re.sub(r"\r?\n", "\r\n", text).encode()
