"""Real programs against every front-end: swaks, msmtp and curl send; curl, mbsync, fetchmail and mutt collect."""
import os
import pty
import select
import shutil
import signal
import socket
import ssl
import time
import warnings

import pytest

from harness.certificate import HOSTNAME
from harness.posthouse import PASSWORD, make_message, subject_of
from harness.process import DEADLINE, make_folder, remove_folder, run, wait_equal, wait_until

DOMAIN = "clients.test"


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def domain(posthouse):
    posthouse.api.customer("clients")
    posthouse.api.hosted_domain(DOMAIN, "clients")
    return DOMAIN


@pytest.fixture
def user(posthouse, domain, request):
    address = f"{request.node.name.split('[')[0].replace('_', '-').lower()}-{os.urandom(3).hex()}@{domain}"
    posthouse.api.account(address, "clients")
    return address


@pytest.fixture
def folder():
    path = make_folder("client")
    yield path
    remove_folder(path)


def fill(posthouse, user, *subjects):
    for subject in subjects:
        posthouse.send("someone@outside.test", user, make_message(subject, to=user))
    wait_equal(lambda: posthouse.subjects(user), list(subjects), "the mail is in the INBOX")


# ------------------------------------------------------------------ sending


@needs("swaks")
@pytest.mark.parametrize("how", ["submission-plain", "submission-login", "submissions-plain"])
def test_swaks_submits(posthouse, user, how):
    port, mechanism = how.split("-")
    transport = ["--tls"] if port == "submission" else ["--tls-on-connect"]
    done = run(["swaks", "--server", "127.0.0.1", "--port", posthouse.ports[port], *transport, "--auth", mechanism.upper(),
                "--auth-user", user, "--auth-password", PASSWORD, "--from", user, "--to", user, "--ehlo", "client.test",
                "--h-Subject", how])
    assert "235 " in done.stdout and "250 2.0.0" in done.stdout.replace("250-", "250 ")
    wait_equal(lambda: posthouse.subjects(user), [how], "it is in the INBOX")


@needs("swaks")
def test_swaks_sends_to_port_25(posthouse, user):
    run(["swaks", "--server", "127.0.0.1", "--port", posthouse.ports["smtp"], "--tls", "--from", "someone@outside.test",
         "--to", user, "--ehlo", "client.test", "--h-Subject", "from outside"])
    wait_equal(lambda: posthouse.subjects(user), ["from outside"], "it is in the INBOX")


@needs("swaks")
def test_swaks_may_not_relay(posthouse, user):
    done = run(["swaks", "--server", "127.0.0.1", "--port", posthouse.ports["smtp"], "--from", "someone@outside.test",
                "--to", "someone@elsewhere.test", "--ehlo", "client.test"], check=False)
    assert done.returncode != 0
    assert "550 5.7.1" in done.stdout


@needs("swaks")
def test_swaks_wrong_password(posthouse, user):
    done = run(["swaks", "--server", "127.0.0.1", "--port", posthouse.ports["submission"], "--tls", "--auth", "PLAIN",
                "--auth-user", user, "--auth-password", "wrong", "--from", user, "--to", user, "--ehlo", "client.test"],
               check=False)
    assert done.returncode != 0
    assert "535 5.7.8" in done.stdout


@needs("msmtp")
@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256"])
@pytest.mark.parametrize("port", ["submission", "submissions"])
def test_msmtp(posthouse, user, folder, port, mechanism):
    config = folder / "msmtprc"
    config.write_text(f"""account default
host localhost
port {posthouse.ports[port]}
from {user}
auth {mechanism}
user {user}
password {PASSWORD}
tls on
tls_starttls {"on" if port == "submission" else "off"}
tls_trust_file {posthouse.certificate.certificate}
""")
    config.chmod(0o600)
    subject = f"msmtp {port} {mechanism}"
    run(["msmtp", "-C", config, user], input=make_message(subject, user, user).decode())
    wait_equal(lambda: posthouse.subjects(user), [subject], "it is in the INBOX")


@needs("curl")
def test_curl_submits_to_outside(posthouse, user, folder, outside):
    message = folder / "message"
    message.write_bytes(make_message("curl to outside", user, "friend@elsewhere.test"))
    run(["curl", "-sS", "--ssl-reqd", "--cacert", posthouse.certificate.certificate, "-u", f"{user}:{PASSWORD}",
         "--url", f"smtp://localhost:{posthouse.ports['submission']}/client.test", "--mail-from", user,
         "--mail-rcpt", "friend@elsewhere.test", "-T", message])
    wait_until(lambda: "curl to outside" in [subject_of(found.data) for found in outside.messages], "the world has it")
    found = [found for found in outside.messages if subject_of(found.data) == "curl to outside"]
    assert len(found) == 1
    assert found[0].sender == user and found[0].recipients == ["friend@elsewhere.test"]
    assert HOSTNAME.encode() in found[0].data.partition(b"\r\n\r\n")[0]  # our Received line


# ------------------------------------------------------------------ collecting


@needs("curl")
def test_curl_imap(posthouse, user):
    fill(posthouse, user, "first", "second")
    base = ["curl", "-sS", "--cacert", posthouse.certificate.certificate, "-u", f"{user}:{PASSWORD}"]
    url = f"imaps://localhost:{posthouse.ports['imaps']}"
    assert "INBOX" in run(base + [url]).stdout
    assert "Subject: second" in run(base + [f"{url}/INBOX;MAILINDEX=2"]).stdout
    assert run(base + [f"{url}/INBOX?SUBJECT%20second"]).stdout.split() == ["*", "SEARCH", "2"]
    starttls = f"imap://localhost:{posthouse.ports['imap']}/INBOX;MAILINDEX=1"
    assert "Subject: first" in run(base + ["--ssl-reqd", starttls]).stdout


@needs("curl")
def test_curl_pop3(posthouse, user):
    fill(posthouse, user, "first", "second")
    base = ["curl", "-sS", "--cacert", posthouse.certificate.certificate, "-u", f"{user}:{PASSWORD}"]
    assert len(run(base + [f"pop3s://localhost:{posthouse.ports['pop3s']}/"]).stdout.splitlines()) == 2
    assert "Subject: second" in run(base + ["--ssl-reqd", f"pop3://localhost:{posthouse.ports['pop3']}/2"]).stdout


@needs("mbsync")
def test_mbsync_both_ways(posthouse, user, folder):
    """Pulls mail, pushes flags, deletions and a message of its own; a second run changes nothing."""
    fill(posthouse, user, "first", "second", "third")
    (folder / "mail").mkdir()
    config = folder / "mbsyncrc"
    config.write_text(f"""IMAPAccount node
Host localhost
Port {posthouse.ports['imaps']}
User {user}
Pass {PASSWORD}
SSLType IMAPS
CertificateFile {posthouse.certificate.certificate}

IMAPStore far
Account node

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""")

    def sync():
        return run(["mbsync", "-c", config, "all"], env=dict(os.environ, HOME=str(folder)))

    def near():
        return {subject_of(path.read_bytes()): path for part in ("new", "cur")
                for path in (folder / "mail/INBOX" / part).iterdir()}

    sync()
    assert set(near()) == {"first", "second", "third"}
    before = sorted(path.name for path in near().values())
    sync()
    assert sorted(path.name for path in near().values()) == before

    second = near()["second"]
    flags = second.name if ":2," in second.name else second.name + ":2,"
    second.rename(folder / "mail/INBOX/cur" / (flags + "S"))
    near()["third"].unlink()
    (folder / "mail/INBOX/new/9.own").write_bytes(make_message("own", user, user).replace(b"\r\n", b"\n"))
    sync()
    assert set(posthouse.subjects(user)) == {"first", "second", "own"}
    with posthouse.imap(user) as connection:
        connection.select("INBOX", readonly=True)
        assert connection.search(None, "SEEN", "SUBJECT", "second")[1] != [b""]
    sync()
    assert set(near()) == {"first", "second", "own"}


@needs("fetchmail")
@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_fetchmail(posthouse, user, folder, protocol):
    """Fetches everything, deletes it here, and finds nothing the second time."""
    fill(posthouse, user, "first", "second")
    config = folder / "fetchmailrc"
    mailbox = folder / "mailbox"
    port = posthouse.ports["pop3s" if protocol == "pop3" else "imaps"]
    config.write_text(f"""set idfile {folder}/ids
set pidfile {folder}/pid
poll localhost proto {protocol} service {port}
    user "{user}" password "{PASSWORD}"
    ssl sslcertck sslcertfile {posthouse.certificate.certificate}
    fetchall no rewrite mda "cat >> {mailbox}"
""")
    config.chmod(0o600)
    environment = dict(os.environ, HOME=str(folder), FETCHMAILHOME=str(folder))
    run(["fetchmail", "-f", config, "--nosyslog"], env=environment)
    text = mailbox.read_text()
    assert text.count("Subject: first") == 1 and text.count("Subject: second") == 1
    assert posthouse.inbox(user) == []
    again = run(["fetchmail", "-f", config, "--nosyslog"], env=environment, check=False)
    assert again.returncode == 1  # fetchmail's word for "there was no mail"


def run_on_terminal(command, environment):
    """Runs a full-screen program on a terminal of its own; its exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], [str(part) for part in command], environment)
    screen = b""
    end = time.monotonic() + DEADLINE
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    chunk = os.read(terminal, 65536)
                except OSError:
                    chunk = b""
                if not chunk:
                    break
                screen += chunk
    finally:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done == 0 and time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
        if done == 0:
            _, status = os.waitpid(pid, 0)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, screen[-2000:]


@needs("mutt")
def test_mutt_reads_and_files(posthouse, user, folder):
    """Opens the INBOX, copies all of it to a local mailbox, deletes one message, and leaves."""
    fill(posthouse, user, "first", "second")
    copy = folder / "copy"
    config = folder / "muttrc"
    config.write_text(f"""set folder = "{folder}"
set spoolfile = "imaps://{user.replace('@', '%40')}@localhost:{posthouse.ports['imaps']}/INBOX"
set imap_pass = "{PASSWORD}"
set certificate_file = "{posthouse.certificate.certificate}"
set mbox_type = mbox
set copy = no
set confirmappend = no
set confirmcreate = no
set delete = yes
set quit = yes
set header_cache = ""
push "<tag-pattern>~A<enter><tag-prefix><copy-message>{copy}<enter><untag-pattern>~A<enter><delete-pattern>~s second<enter><quit>"
""")
    run_on_terminal(["mutt", "-n", "-F", config], dict(os.environ, HOME=str(folder), TERM="xterm", LC_ALL="C.UTF-8"))
    text = copy.read_text()
    assert text.count("Subject: first") == 1 and text.count("Subject: second") == 1
    wait_equal(lambda: posthouse.subjects(user), ["first"], "the deleted message is gone")


@needs("mutt")
def test_mutt_sends(posthouse, user, folder):
    config = folder / "muttrc"
    config.write_text(f"""set smtp_url = "smtps://{user}@localhost:{posthouse.ports['submissions']}/"
set smtp_pass = "{PASSWORD}"
set certificate_file = "{posthouse.certificate.certificate}"
set from = "{user}"
set copy = no
""")
    run(["mutt", "-n", "-F", config, "-s", "written in mutt", user], input="Hello.\n",
        env=dict(os.environ, HOME=str(folder), TERM="dumb"))
    wait_equal(lambda: posthouse.subjects(user), ["written in mutt"], "it is in the INBOX")


@pytest.mark.parametrize("port", ["submissions", "imaps", "pop3s"])
def test_the_tls_that_is_offered(posthouse, port):
    """TLS 1.2 and 1.3, nothing older (RFC 8996)."""
    for version, good in ((ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
        context = posthouse.certificate.context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with socket.create_connection(("localhost", posthouse.ports[port]), timeout=30) as connection:
            try:
                with context.wrap_socket(connection, server_hostname="localhost") as secured:
                    assert good, f"{secured.version()} was offered"
            except (ssl.SSLError, ConnectionError):
                assert not good, f"{version} was not offered"
