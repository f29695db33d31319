"""EXTERNAL: accounts sign in with clients' certificates, over SMTP, IMAP and POP3."""
import json
import ssl

import pytest

from harness.authority import Authority, fingerprint
from harness.posthouse import PASSWORD, PROGRAM, SANITIZERS, Posthouse
from harness.process import make_folder, remove_folder, run, wait_equal, wait_until
from harness.requests import pages, problem
from harness.signing import PROTOCOLS, Signing, encoded

ANN, BOB = "ann@certified.test", "bob@certified.test"


@pytest.fixture(scope="module")
def authority():
    folder = make_folder("authority")
    folder.chmod(0o755)
    yield Authority(folder)
    remove_folder(folder)


@pytest.fixture(scope="module")
def node(postgres, certificate, authority):
    made = Posthouse(postgres, certificate, settings={"tls.client_ca_file": authority.certificate, "auth.exempt": "127.0.0.0/8",
                                                      "smtp.xclient_networks": "127.0.0.1"})
    try:
        made.start()
        made.api.customer("certified")
        made.api.hosted_domain("certified.test", "certified")
        made.api.account(ANN, "certified", PASSWORD)
        made.api.account(BOB, "certified", PASSWORD)
        yield made
    finally:
        made.close()


def path(account, certificate=None):
    return f"/v1/accounts/{account}/certificates" + (f"/{certificate['id']}" if certificate else "")


def enter(node, label, account=ANN, **fields):
    return node.api.post(path(account), {"label": label, **fields})


def external(node, protocol, client, identity="", initial=True, **options):
    with Signing(node, protocol, tls=True, client=client, **options) as session:
        if initial:
            answer = session.auth("EXTERNAL", encoded(identity) or "=")
        else:
            assert session.auth("EXTERNAL") == ("more", "")
            answer = session.say(encoded(identity))
        return answer[0] == "yes" and session.in_use()


def who(node):
    return [line.split("account=")[1].split()[0] for line in node.log().splitlines() if "certificate accepted" in line][-1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_by_fingerprint(node, authority, protocol, version):
    mine, other = authority.client(), authority.client()
    made = enter(node, f"{protocol} {version}", fingerprint=fingerprint(mine))
    for identity in ("", ANN, ANN.upper()):
        assert external(node, protocol, mine, identity, version=version)
        assert who(node) == ANN
    assert external(node, protocol, mine, initial=False, version=version)
    assert not external(node, protocol, mine, BOB, version=version)
    assert not external(node, protocol, other, version=version)
    assert not external(node, protocol, other, ANN, version=version)
    node.api.delete(path(ANN, made))
    assert not external(node, protocol, mine, version=version)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_by_the_address_in_it(node, authority, protocol):
    made = enter(node, f"address {protocol}", address="Ann.Card@Staff.test")
    assert made["address"] == "ann.card@staff.test" and made["fingerprint"] is None
    assert external(node, protocol, authority.client("other@staff.test", "Ann.Card@staff.TEST"))
    assert not external(node, protocol, authority.client("ann.card@staff.test.evil.test"))
    assert not external(node, protocol, authority.client("ann.card@staff.test", days=-1))  # over
    node.api.delete(path(ANN, made))
    client = authority.client("ann.card@staff.test")
    both = enter(node, f"both {protocol}", address="ann.card@staff.test", fingerprint=fingerprint(client))
    assert external(node, protocol, client)
    assert not external(node, protocol, authority.client("ann.card@staff.test"))
    node.api.delete(path(ANN, both))
    elsewhere = enter(node, f"elsewhere {protocol}", address="else@staff.test", fingerprint=fingerprint(client))
    assert not external(node, protocol, client)
    node.api.delete(path(ANN, elsewhere))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_is_offered_it(node, authority, tmp_path, protocol):
    def offered(client, tls=True):
        with Signing(node, protocol, tls=tls, client=client) as session:
            listed = "EXTERNAL" in session.offered()
            assert listed or session.auth("EXTERNAL", "=")[0] == "no"
            return listed

    stranger = Authority(tmp_path, "stranger").client(ANN)
    made = enter(node, f"stranger {protocol}", fingerprint=fingerprint(stranger))
    assert offered(authority.client()) and not offered(stranger) and not offered(authority.client(days=-1))
    assert not offered(None) and not offered(None, tls=False)
    node.api.delete(path(ANN, made))


def test_a_certificate_of_several_accounts(node, authority):
    shared = authority.client("desk@staff.test")
    enter(node, "shared", address="desk@staff.test")
    enter(node, "shared too", fingerprint=fingerprint(shared))  # twice the same account's
    assert external(node, "imap", shared) and who(node) == ANN
    enter(node, "shared", account=BOB, fingerprint=fingerprint(shared))
    for protocol in PROTOCOLS:
        assert not external(node, protocol, shared)
        for account in (ANN, BOB):
            assert external(node, protocol, shared, account) and who(node) == account
    assert "a certificate of several accounts" in node.log()
    for account in (ANN, BOB):
        for item in node.api.get(path(account))["items"]:
            node.api.delete(path(account, item))


def test_scopes_and_states(node, authority):
    client = authority.client()
    enter(node, "scoped", fingerprint=fingerprint(client), scopes=["imap"])
    assert [external(node, protocol, client) for protocol in PROTOCOLS] == [protocol == "imap" for protocol in PROTOCOLS]
    enter(node, "the rest", fingerprint=fingerprint(client), scopes=["smtp", "pop3"])
    assert all(external(node, protocol, client) for protocol in PROTOCOLS)
    node.api.patch(f"/v1/accounts/{ANN}", {"state": "send-only"})
    assert [external(node, protocol, client) for protocol in PROTOCOLS] == [protocol == "smtp" for protocol in PROTOCOLS]
    node.api.patch(f"/v1/accounts/{ANN}", {"state": "active"})


def test_what_is_no_identity(node, authority):
    client = authority.client()
    made = enter(node, "malformed", fingerprint=fingerprint(client))
    for protocol in PROTOCOLS:
        for identity in ("a\0b", "x" * 400, "b\u00f6b@certified.test", "%", "nobody@certified.test"):
            with Signing(node, protocol, tls=True, client=client) as session:
                assert session.auth("EXTERNAL", encoded(identity))[0] == "no"
    node.api.delete(path(ANN, made))


def test_not_behind_xclient(node, authority):
    """The certificate is then the proxy's."""
    client = authority.client()
    made = enter(node, "proxy", fingerprint=fingerprint(client))
    with Signing(node, "smtp", tls=True, client=client) as session:
        assert "EXTERNAL" in session.offered()
        session.ask("XCLIENT ADDR=192.0.2.9", "220")
        assert "EXTERNAL" not in session.ask("EHLO client.test", "250")
        session.ask("AUTH EXTERNAL =", "504")
    node.api.delete(path(ANN, made))


def test_what_is_shown_and_refused(node, authority):
    def refused(field, status=422, **fields):
        return problem(node, status, "POST", path(BOB), {"label": "refused", **fields}, field=field)[1]

    digest = fingerprint(authority.client())
    colons = ":".join(digest[i:i + 2] for i in range(0, 64, 2)).upper()
    made = enter(node, "shown", account=BOB, fingerprint=colons, address="Bob@certified.test", scopes=["pop3"])
    assert made == node.api.get(path(BOB, made)) == node.api.get(path(BOB))["items"][0]
    assert (made["fingerprint"], made["address"], made["scopes"]) == (digest, "bob@certified.test", ["pop3"])
    assert made["last_used_at"] is None
    enter(node, "shown too", account=BOB, address="x@certified.test")
    assert [item["label"] for item in pages(node.api, path(BOB), limit=1)] == ["shown", "shown too"]
    refused("fingerprint")
    refused("fingerprint", fingerprint=digest[1:])
    refused("fingerprint", fingerprint="x" * 64)
    refused("address", address="not an address")
    refused("scopes", fingerprint=digest, scopes=[])
    refused("networks", fingerprint=digest, networks=[])
    problem(node, 422, "POST", path(BOB), {"fingerprint": digest}, field="label")
    assert refused("label", status=409, label="shown", fingerprint=digest)["existing_id"] == made["id"]
    problem(node, 404, "POST", path("nobody@certified.test"), {"label": "x", "fingerprint": digest})
    problem(node, 404, "GET", path(ANN, made))
    problem(node, 404, "DELETE", path(ANN, made))
    for item in node.api.get(path(BOB))["items"]:
        node.api.delete(path(BOB, item))
    problem(node, 404, "GET", path(BOB, made))


def test_its_last_use_is_written_seldom(node, authority):
    client = authority.client()
    made = enter(node, "used", account=BOB, fingerprint=fingerprint(client))
    assert external(node, "imap", client)
    wait_until(lambda: node.api.get(path(BOB, made))["last_used_at"], "its use is recorded")
    first = node.api.get(path(BOB, made))["last_used_at"]
    assert external(node, "imap", client)
    assert node.api.get(path(BOB, made))["last_used_at"] == first
    node.query("update account_certificate set last_used_at = now() - interval '11 minutes' where label = 'used'")
    assert external(node, "imap", client)
    wait_until(lambda: node.api.get(path(BOB, made))["last_used_at"] > first, "its use is recorded anew")
    node.api.delete(path(BOB, made))


def test_how_many_and_the_end_of_the_account(node, authority):
    digest = fingerprint(authority.client())
    node.api.account("many@certified.test", "certified", PASSWORD)
    for number in range(50):
        enter(node, f"number {number}", account="many@certified.test", fingerprint=digest)
    problem(node, 409, "POST", path("many@certified.test"), {"label": "one more", "fingerprint": digest})
    node.api.delete("/v1/accounts/many@certified.test")
    wait_equal(lambda: node.query("select count(*) from account_certificate where label like 'number %'"), [["0"]], "they go with it")


def test_by_the_command_line_and_with_clients(node, authority):
    def line(*arguments):
        return run([PROGRAM.parent / "posthouse", "--url", f"http://127.0.0.1:{node.ports['admin']}", *arguments],
                   env={"POSTHOUSE_TOKEN": node.token, **SANITIZERS}).stdout

    client = authority.client("card@staff.test")
    made = json.loads(line("certificates", "create", "by hand", "--account", BOB, "--fingerprint", fingerprint(client), "--address",
                           "card@staff.test", "--scope", "imap", "--scope", "pop3", "--json"))
    assert made["scopes"] == ["imap", "pop3"]
    assert "by hand" in line("certificates", "list", "--account", BOB)
    assert "by hand" in line("certificates", "show", made["id"], "--account", BOB)
    for url in (f"imaps://localhost:{node.ports['imaps']}/", f"pop3s://localhost:{node.ports['pop3s']}/"):
        run(["curl", "--silent", "--show-error", "--cacert", node.certificate.certificate, "--cert", client[0], "--key", client[1],
             "--user", f"{BOB}:", "--login-options", "AUTH=EXTERNAL", url])
    line("certificates", "delete", made["id"], "--account", BOB)
    assert "by hand" not in line("certificates", "list", "--account", BOB)
