"""Postfix of the Debian package, in a private instance, as the primary of a relay domain.

Its own configuration, queue and data directories, one loopback port, and a Maildir for everything. The machine's own
Postfix, if there is one, is not touched. Needs root, as Postfix's master does.
"""
import contextlib
import os
import pwd
import re
import shutil
import signal
from pathlib import Path

from .process import Process, alive, children, free_port, make_folder, port_open, remove_folder, run, wait_until

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
myhostname = primary.relayed.test
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:all/
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_destination_recipient_limit = 100
message_size_limit = 0
default_transport = error:nothing leaves the test
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog   unix-dgram n - n - 1 postlogd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
local     unix - n n - - local
virtual   unix - n n - - virtual
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
"""


def unavailable():
    """Why Postfix cannot be started here; empty: it can."""
    if not shutil.which("postfix", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")):
        return "Postfix is not installed (Debian package: postfix)"
    if os.geteuid() != 0:
        return "Postfix starts as root only"
    return ""


class Postfix:
    def __init__(self, *domains):
        self.folder = make_folder("postfix")
        self.port = free_port()
        self.process = None
        self.config = self.folder / "etc"
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        mail = pwd.getpwnam("nobody")
        os.chown(self.folder / "mail", mail.pw_uid, mail.pw_gid)
        values = {"folder": self.folder, "domains": ", ".join(domains), "uid": mail.pw_uid, "gid": mail.pw_gid,
                  "port": self.port}
        (self.config / "main.cf").write_text(MAIN.format(**values))
        (self.config / "master.cf").write_text(MASTER.format(**values))

    def serve(self, *domains):
        """These domains instead; before start()."""
        with open(self.config / "main.cf", "a") as file:
            file.write(f"virtual_mailbox_domains = {', '.join(domains)}\n")

    def require_sign_in(self, certificate, user, password):
        """TLS and AUTH by Cyrus SASL, and nothing without; user: name@realm. Before start(); again for another password."""
        name, _, realm = user.partition("@")
        folder, database = self.config / "sasl", self.folder / "sasldb2"  # where Debian has it look
        run(["/usr/sbin/saslpasswd2", "-p", "-c", "-f", database, "-u", realm, name], input=password)
        shutil.chown(database, "postfix")
        if folder.exists():
            return
        folder.mkdir()
        (folder / "smtpd.conf").write_text(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\n"
                                           "mech_list: PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256\n")
        with open(self.config / "main.cf", "a") as file:
            file.write(f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = cyrus\n"
                       "smtpd_tls_security_level = encrypt\nsmtpd_tls_loglevel = 1\nsmtpd_sasl_authenticated_header = yes\n"
                       f"smtpd_tls_cert_file = {certificate.certificate}\nsmtpd_tls_key_file = {certificate.key}\n"
                       "smtpd_client_restrictions = permit_sasl_authenticated, reject\n")

    def deliver_to(self, dovecot):
        """By LMTP into its mailboxes, instead of a Maildir; before start()."""
        with open(self.config / "main.cf", "a") as file:
            file.write(f"virtual_transport = lmtp:inet:127.0.0.1:{dovecot.lmtp_port}\n")

    def ask(self, port):
        """A policy service (trouble.py) at MAIL, RCPT and the end of data, each when it comes; before start()."""
        service = f"check_policy_service inet:127.0.0.1:{port}"
        with open(self.config / "main.cf", "a") as file:
            file.write(f"smtpd_delay_reject = no\nsmtpd_sender_restrictions = {service}\nsmtpd_recipient_restrictions = {service}\n"
                       f"smtpd_end_of_data_restrictions = {service}\nsmtpd_error_sleep_time = 0\nsmtpd_policy_service_retry_delay = 1\n")

    def start(self):
        self.process = Process("postfix", ["/usr/sbin/postfix", "-c", self.config, "start-fg"], self.folder / "log")
        wait_until(self._listening, "Postfix listens", timeout=60)
        return self

    def _listening(self):
        if not self.process.running():
            raise RuntimeError("Postfix ended:\n" + self.process.log() + self.maillog())
        return port_open(self.port)

    def _master(self):
        return int((self.folder / "queue/pid/master.pid").read_text())

    def stop(self):
        """From now on connections are refused. What it has accepted it keeps, and delivers when it is back."""
        if not self.process:
            return
        process, self.process = self.process, None
        try:
            master = self._master()
        except (OSError, ValueError):
            master = None
        run(["/usr/sbin/postfix", "-c", self.config, "stop"], check=False)
        process.stop()
        if master:
            wait_until(lambda: not alive(master), "Postfix is gone")

    def kill(self):
        os.kill(self._master(), signal.SIGKILL)
        self.process.wait()
        self.process = None
        wait_until(lambda: not port_open(self.port), "the killed Postfix no longer listens")

    def kill_all(self):
        """The same of all that it has started: nobody answers any more who is in mid-message."""
        family = [self._master()]
        for pid in family:
            family += children(pid)
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        wait_until(lambda: not port_open(self.port) and not any(alive(pid) for pid in family), "the killed Postfix is gone")

    def close(self):
        self.stop()
        remove_folder(self.folder)

    def maillog(self):
        path = Path(self.folder / "maillog")
        return path.read_text(errors="replace") if path.exists() else ""

    def messages(self):
        """What was delivered into the Maildir, as bytes, in no particular order."""
        folder = self.folder / "mail/all/new"
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.exists() else []

    def accepted(self):
        """Message-ID contents in the order in which Postfix took the messages."""
        return re.findall(r"cleanup\[\d+\]: \w+: message-id=<([^>]*)>", self.maillog())
