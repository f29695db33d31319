"""Plays tests/transcripts/*.txt; the README there tells what they look like."""
import base64
import fnmatch
import itertools
import re
import socket
import ssl
from pathlib import Path

import pytest

from harness.authority import Authority
from harness.posthouse import PASSWORD, make_message
from harness.process import PATIENCE, free_port, make_folder, remove_folder

FOLDER = Path(__file__).resolve().parents[1] / "transcripts"
FILES = sorted(FOLDER.glob("*.txt"))
DOMAIN = "transcripts.test"
_numbers = itertools.count(1)


class Transcript:
    def __init__(self, path):
        head, _, body = path.read_text().partition("\n\n")
        self.port = "smtp"
        self.deliver = []
        self.settings = {}
        self.bytewise = True
        self.certificate = self.proxy = False
        for line in head.splitlines():
            if line.startswith("#"):
                continue
            name, _, value = line.partition(":")
            value = value.strip()
            if name == "port":
                self.port = value
            elif name == "deliver":
                self.deliver.append(value)
            elif name == "settings":
                key, _, setting = value.partition("=")
                self.settings[key] = setting
            elif name == "certificate":
                self.certificate = True
                self.settings["auth.exempt"] = "127.0.0.0/8"
            elif name == "proxy":
                self.proxy = True
                self.settings["listen.proxy_networks"] = "127.0.0.1"
            elif name == "bytes":
                self.bytewise = value != "no"
            else:
                raise ValueError(f"{path.name}: unknown setting {name}")
        first = len(head.splitlines()) + 2
        self.lines = [(number, line) for number, line in enumerate(body.splitlines(), first)
                      if line.strip() and not line.startswith("#")]


def prepare(node):
    """The directory that the README promises."""
    node.api.customer("transcripts")
    node.api.hosted_domain(DOMAIN, "transcripts")
    node.api.relay_domain("relayed.test", "transcripts", free_port())
    node.api.account("carol@relayed.test", "transcripts")
    for domain, more in (("second.test", {"kind": "alias", "target": DOMAIN}), ("caught.test", {"catch_all": "carol@relayed.test"}),
                         ("split.test", {"next_hops": [{"host": "127.0.0.1", "port": free_port()}]}),
                         ("listed.test", {"next_hops": [{"host": "127.0.0.1", "port": free_port()}], "recipients": "listed"}),
                         ("learned.test", {"kind": "relay", "next_hops": [{"host": "127.0.0.1", "port": free_port()}],
                                           "recipients": "learned"})):
        node.api.post("/v1/domains", {"name": domain, "customer": "transcripts", "kind": "hosted", **more})
    for name in ("listed.test", "learned.test"):
        node.api.post(f"/v1/domains/{name}/recipients", {"address": f"dora@{name}"})
    node.api.account("eve@split.test", "transcripts")
    for name, target in (("all", "carol@relayed.test"), ("nowhere", f"nobody@{DOMAIN}"), ("around", f"members@{DOMAIN}")):
        node.api.post("/v1/aliases", {"address": f"{name}@{DOMAIN}", "targets": [target]})
    for senders in ("members", "customer"):
        name = "users" if senders == "customer" else senders
        node.api.post("/v1/groups", {"address": f"{name}@{DOMAIN}", "members": ["carol@relayed.test"], "senders": senders})
    return node


@pytest.fixture(scope="module")
def shared(posthouse):
    return prepare(posthouse)


@pytest.fixture(scope="module")
def authority():
    folder = make_folder("authority")
    yield Authority(folder)
    remove_folder(folder)


def make_user(node):
    address = f"user{next(_numbers)}@{DOMAIN}"
    node.api.account(address, "transcripts")
    return address


def unescape(text):
    def one(match):
        code = match.group(1)
        return {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}.get(code) or chr(int(code[1:], 16))
    return re.sub(r"\\(r|n|t|0|\\|x[0-9a-fA-F]{2})", one, text)


def work_out(text):
    text = re.sub(r"\$\(repeat (\d+) (.*?)\)", lambda m: int(m.group(1)) * m.group(2), text)
    text = unescape(text)
    return re.sub(r"\$\(base64 (.*?)\)", lambda m: base64.b64encode(m.group(1).encode("latin-1")).decode(), text)


class Player:
    def __init__(self, node, transcript, bytewise, authority=None):
        self.node = node
        self.client = authority.client("user@cards.test") if authority else None
        self.bytewise = bytewise
        self.variables = {"$user": make_user(node), "$other": make_user(node), "$password": PASSWORD}
        if authority:
            node.api.post(f"/v1/accounts/{self.variables['$user']}/certificates", {"label": "card", "address": "user@cards.test"})
        for subject in transcript.deliver:
            node.send("sender@outside.test", self.variables["$user"],
                      make_message(subject, to=self.variables["$user"]))
        self.buffer = b""
        self.socket = socket.create_connection(("127.0.0.1", node.ports[transcript.port]), timeout=20 * PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if transcript.port in ("submissions", "imaps", "pop3s"):
            self.start_tls()

    def start_tls(self):
        assert not self.buffer, f"the server sent {self.buffer} before TLS"
        context = self.node.certificate.context()
        if self.client:
            context.load_cert_chain(*self.client)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def fill_in(self, text):
        for name, value in self.variables.items():
            text = text.replace(name, value)
        return text

    def send(self, data):
        if not self.bytewise:
            self.socket.sendall(data)
            return
        for place in range(len(data)):
            self.socket.sendall(data[place:place + 1])

    def read_line(self):
        while b"\n" not in self.buffer:
            got = self.socket.recv(65536)
            if not got:
                raise AssertionError(f"the server closed the connection after {self.buffer!r}")
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        assert line.endswith(b"\r"), f"a line of the server ends in a bare LF: {line!r}"
        return line[:-1].decode("latin-1")

    def expect_end(self):
        try:
            rest = self.buffer + self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            rest = self.buffer
        assert rest == b"", f"instead of closing the server sent {rest!r}"

    def close(self):
        self.socket.close()


def matches(expected, line):
    if expected.startswith("S~"):
        return re.search(expected[2:].strip(), line) is not None
    pattern = expected[2:].lstrip().replace("[", "[[]").replace("?", "[?]")
    return fnmatch.fnmatchcase(line, pattern)


def check_enhanced(line, commands):
    """RFC 2034: each line of each reply has a code of its class, but for the greeting, EHLO, HELO and 3xx."""
    match = re.match(r"([2-5])\d\d[ -](?:([245])\.\d{1,3}\.\d{1,3}(?: |$))?", line)
    assert match, f"this is no reply: {line!r}"
    if match.group(2):
        assert match.group(1) == match.group(2), f"the codes contradict each other: {line!r}"
    elif match.group(1) != "3":
        assert commands & {b"EHLO", b"HELO", b"XCLIENT"}, f"an enhanced code is missing: {line!r}"


def play(transcript, player):
    pending, skipping = b"", False
    smtp, commands, greeted = transcript.port.startswith(("smtp", "submission")), set(), False
    for number, raw in transcript.lines:
        line = player.fill_in(raw)
        if line.startswith(("C:", "C>")):
            text = work_out(line[3:]).encode("latin-1")
            pending += text if line.startswith("C>") else text + b"\r\n"
            continue
        if pending:
            player.send(pending)
            commands = {text.split(b" ")[0].strip().upper() or b"-" for text in pending.splitlines()}
            pending = b""
        if line.startswith("S..."):
            skipping = True
        elif line.startswith(("S:", "S~")):
            while True:
                got = player.read_line()
                if smtp and greeted:
                    check_enhanced(got, commands)
                greeted = True
                if not skipping or matches(line, got):
                    break
            skipping = False
            assert matches(line, got), f"line {number}: expected {line[2:].strip()!r}, got {got!r}"
        elif line == "TLS":
            player.start_tls()
        elif line == "END":
            player.expect_end()
        else:
            raise ValueError(f"line {number}: {raw!r} makes no sense")
    if pending:
        player.send(pending)


def plays():
    for path in FILES:
        transcript = Transcript(path)
        for bytewise in [False, True] if transcript.bytewise else [False]:
            yield pytest.param(transcript, bytewise, id=f"{path.stem}-{'bytes' if bytewise else 'groups'}")


@pytest.mark.parametrize("transcript, bytewise", plays())
def test_transcript(transcript, bytewise, request):
    authority = request.getfixturevalue("authority") if transcript.certificate else None
    if transcript.settings:
        settings = {**transcript.settings, **({"tls.client_ca_file": authority.certificate} if authority else {})}
        node = request.getfixturevalue("new_posthouse")(settings=settings)
        if transcript.proxy:
            node.write_config(**{f"listen__{transcript.port}": f"proxy:127.0.0.1:{node.ports[transcript.port]}"})
        prepare(node.start())
    else:
        node = request.getfixturevalue("shared")
    player = Player(node, transcript, bytewise, authority)
    try:
        play(transcript, player)
    finally:
        player.close()
    assert node.process.running()


VERBS = ("HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP", "STARTTLS", "AUTH", "ETRN", "ATRN",
         "XCLIENT")
EXTENSIONS = {
    "SIZE": r"^C: MAIL .*SIZE=\d", "8BITMIME": r"^C: MAIL .*BODY=8BITMIME", "BINARYMIME": r"^C: MAIL .*BODY=BINARYMIME",
    "CHUNKING": r"^C> BDAT \d+ LAST", "SMTPUTF8": r"^C: MAIL .*SMTPUTF8", "LIMITS": r"^S: 250-LIMITS RCPTMAX=",
    "PIPELINING": r"^C: MAIL .*\nC: RCPT ", "ENHANCEDSTATUSCODES": r"^S: 250 2\.1\.0", "STARTTLS": r"^TLS$",
    "DSN": r"^C: RCPT .*NOTIFY=.*", "REQUIRETLS": r"^C: MAIL .*REQUIRETLS", "FUTURERELEASE": r"^C: MAIL .*HOLD(FOR|UNTIL)=",
    "PROXY 1": r"^C: PROXY TCP4 ", "PROXY 2": r"^C> \\r\\n\\r\\n\\0\\r\\nQUIT\\n",
    "DELIVERBY": r"^C: MAIL .*BY=", "MT-PRIORITY": r"^C: MAIL .*MT-PRIORITY=", "AUTH": r"^S: 235 2\.7\.0",
}


def test_each_verb_and_extension_has_a_transcript_that_is_fed_byte_by_byte():
    texts = [path.read_text() for path in FILES if path.stem.startswith("smtp-") and Transcript(path).bytewise]
    offered = (FOLDER.parents[1] / "protocols/smtp_command_hello.c").read_text()
    keywords = set(re.findall(r'lines\[n\+\+\] = .*"([A-Z0-9-]{2,})', offered)) | {"FUTURERELEASE", "AUTH"}
    assert keywords - set(EXTENSIONS) <= {"ETRN", "ATRN", "XCLIENT"}, "an extension is missing here"
    wanted = {**{verb: rf"^C[:>] {verb}\b" for verb in VERBS}, **EXTENSIONS}
    missing = [name for name, pattern in wanted.items() if not any(re.search(pattern, text, re.M) for text in texts)]
    assert not missing, missing
