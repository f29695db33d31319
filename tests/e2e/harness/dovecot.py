"""Dovecot of the Debian package, in a private instance, as the mail store of a primary: LMTP in, IMAP out.

Its own configuration and folders, loopback ports, an unprivileged user. Every user of the form name@domain exists; all have
PASSWORD. The master user MASTER signs in as anybody: "user*master", or PLAIN with an authorization identity.

    postfix.deliver_to(dovecot)     before postfix.start(): mail goes on by LMTP
    dovecot.store("carol@x.test")   {mailbox: [Item]}: what is there
    with dovecot.imap("carol@x.test") as connection: ...
"""
import contextlib
import imaplib
import os
import re
import shutil
import signal
from collections import namedtuple

from .process import (PATIENCE, Process, alive, children, free_port, make_folder, port_open, remove_folder, run,
                      unprivileged, wait_until)

PASSWORD = "dovecot-user-password"
MASTER = "master"
MASTER_PASSWORD = "dovecot master password"

CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/maillog
protocols = imap lmtp
listen = 127.0.0.1
instance_name = {name}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_master_user_separator = *
auth_failure_delay = 0
auth_cache_size = 1M
auth_verbose = yes
mail_home = {folder}/mail/%Lu
mail_location = maildir:~/Maildir
mail_fsync = never
mail_max_userip_connections = 1000
passdb {{
  driver = passwd-file
  master = yes
  args = {folder}/etc/masters
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%Lu allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
  mailbox Drafts {{
    special_use = \\Drafts
    auto = create
  }}
  mailbox {sent} {{
    special_use = \\Sent
    auto = create
  }}
  mailbox Trash {{
    special_use = \\Trash
  }}
}}
protocol lmtp {{
  mail_plugins = $mail_plugins sieve
}}
plugin {{
  sieve_before = {folder}/sieve
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service lmtp {{
  chroot =
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp_port}
  }}
}}
service stats {{
  chroot =
}}
{more}
"""

# flags: as IMAP names them, without \\Recent
Item = namedtuple("Item", "uid message_id subject size flags date")


def unavailable():
    """Why Dovecot cannot be started here; empty: it can."""
    if not shutil.which("dovecot", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")):
        return "Dovecot is not installed (Debian packages: dovecot-imapd, dovecot-lmtpd, dovecot-sieve)"
    if not os.path.exists("/usr/lib/dovecot/lmtp"):
        return "Dovecot's LMTP is not installed (Debian package: dovecot-lmtpd)"
    return ""


class Dovecot:
    """separator, prefix: of mailbox names; sent: the name of what has \\Sent; more: further lines of configuration."""

    def __init__(self, certificate, separator="/", prefix="", sent="Sent", more=""):
        self.user = unprivileged("nobody")
        self.folder = make_folder("dovecot", self.user)
        self.imap_port, self.imaps_port, self.lmtp_port = free_port(), free_port(), free_port()
        self.certificate = certificate
        self.process = None
        self.separator = separator
        for name in ("etc", "mail", "run", "state", "sieve"):
            (self.folder / name).mkdir()
            if self.user:
                shutil.chown(self.folder / name, self.user)
        self.config = self.folder / "etc/dovecot.conf"
        user = self.user or run(["id", "-un"]).stdout.strip()
        self.config.write_text(CONFIG.format(
            folder=self.folder, name=self.folder.name, user=user, group=run(["id", "-gn", user]).stdout.strip(),
            certificate=certificate.certificate, key=certificate.key, password=PASSWORD, separator=separator, prefix=prefix,
            sent=sent, more=more, imap_port=self.imap_port, imaps_port=self.imaps_port,
            lmtp_port=self.lmtp_port))
        (self.folder / "etc/masters").write_text(f"{MASTER}:{{PLAIN}}{MASTER_PASSWORD}\n")

    def filter(self, script):
        """A Sieve script that all mail passes; before the first message."""
        (self.folder / "sieve/filter.sieve").write_text(script)

    def start(self):
        self.process = Process("dovecot", ["/usr/sbin/dovecot", "-F", "-c", self.config], self.folder / "log", user=self.user)
        wait_until(self._listening, "Dovecot listens", timeout=60)
        return self

    def _listening(self):
        if not self.process.running():
            raise RuntimeError("Dovecot ended:\n" + self.process.log() + self.maillog())
        return all(port_open(port) for port in (self.imap_port, self.imaps_port, self.lmtp_port))

    def stop(self):
        if self.process:
            process, self.process = self.process, None
            family = children(process.pid)
            process.stop()
            wait_until(lambda: not any(alive(pid) for pid in family), "Dovecot is gone")

    def kill(self):
        """kill -9 of the master and of what it has started."""
        process, self.process = self.process, None
        for pid in [process.pid] + children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not port_open(self.imap_port), "the killed Dovecot no longer listens")

    def close(self):
        self.stop()
        remove_folder(self.folder)

    def maillog(self):
        path = self.folder / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    @contextlib.contextmanager
    def imap(self, user, password=PASSWORD):
        connection = imaplib.IMAP4_SSL("localhost", self.imaps_port, ssl_context=self.certificate.context(),
                                       timeout=30 * PATIENCE)
        try:
            connection.login(user, password)
            yield connection
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                connection.logout()

    def store(self, user):
        """{name of mailbox: its items in UID order}, for all mailboxes that exist."""
        with self.imap(user) as connection:
            found = {}
            for line in connection.list()[1]:
                name = re.fullmatch(rb'\(.*?\) (?:"(?:[^"\\]|\\.)*"|NIL) (.*)', line).group(1).decode()
                plain = name[1:-1].replace('\\"', '"').replace("\\\\", "\\") if name.startswith('"') else name
                status, _ = connection.select(name, readonly=True)
                if status == "OK":
                    found[plain] = _items(connection)
            return found


def _items(connection):
    status, parts = connection.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID SUBJECT)])")
    assert status == "OK", parts
    items = []
    for number, part in enumerate(parts):
        if not isinstance(part, tuple):
            continue
        tail = parts[number + 1] if number + 1 < len(parts) and isinstance(parts[number + 1], bytes) else b""
        words = part[0] + tail

        def word(pattern, where=words):
            match = re.search(pattern, where, re.IGNORECASE)
            return match.group(1).decode() if match else ""

        flags = frozenset(word(rb"FLAGS \(([^)]*)\)").split()) - {r"\Recent"}
        items.append(Item(int(word(rb"UID (\d+)")), word(rb"Message-ID: *(\S+)", part[1]), word(rb"Subject: *(.*?)\r", part[1]),
                          int(word(rb"RFC822.SIZE (\d+)")), flags, word(rb'INTERNALDATE "([^"]*)"')))
    return items
