"""App passwords: made by API, shown once, for some services, from some networks, until some time; refused like a wrong password
where they may not be used."""
import json
import re

import pytest

from harness.posthouse import PASSWORD, PROGRAM, SANITIZERS
from harness.process import run, wait_equal, wait_until
from harness.requests import pages, problem
from harness.signing import PROTOCOLS, Signing

ANN, BOB, SILENT = "ann@apps.test", "bob@apps.test", "silent@apps.test"


@pytest.fixture(scope="module")
def node(posthouse):
    posthouse.api.customer("apps")
    posthouse.api.hosted_domain("apps.test", "apps")
    posthouse.api.account(ANN, "apps", PASSWORD)
    posthouse.api.account(BOB, "apps", PASSWORD)
    posthouse.api.post("/v1/accounts", {"address": SILENT, "customer": "apps"})
    return posthouse


def path(account, password=None):
    return f"/v1/accounts/{account}/app-passwords" + (f"/{password['id']}" if password else "")


def make(node, label, account=ANN, **fields):
    return node.api.post(path(account), {"label": label, **fields})


def answer(node, protocol, secret, account=ANN, way="plain"):
    with Signing(node, protocol, tls=True) as client:
        return getattr(client, way)(account, secret)


def yes(node, protocol, secret, account=ANN, way="plain"):
    return answer(node, protocol, secret, account, way)[0] == "yes"


def refusals(node, label):
    return [line for line in node.log().splitlines() if "app password refused" in line and f"label={label} " in line + " "]


@pytest.mark.parametrize("protocol, way", [(protocol, way) for protocol in PROTOCOLS for way in ("plain", "login", "by_name")
                                           if (protocol, way) != ("smtp", "by_name")])
def test_it_signs_in(node, protocol, way):
    secret = make(node, f"{protocol}-{way}")["secret"]
    assert yes(node, protocol, secret, way=way)
    assert yes(node, protocol, PASSWORD, way=way)
    assert not yes(node, protocol, secret, account=BOB, way=way)  # ann's is not bob's


def test_not_with_scram(node):
    """It knows one secret for a name: the account's own password."""
    secret = make(node, "scram")["secret"]
    assert not yes(node, "imap", secret, way="scram")
    assert yes(node, "imap", PASSWORD, way="scram")


def test_what_is_shown(node):
    made = make(node, "phone", account=BOB, scopes=["imap", "smtp"], networks=["192.0.2.0/24", "2001:db8::/32", "127.0.0.1"],
                expires_at="2100-01-01T00:00:00Z")
    assert re.fullmatch(r"[a-km-np-z2-9]{4}(-[a-km-np-z2-9]{4}){4}", made["secret"])
    assert (made["scopes"], made["networks"]) == (["imap", "smtp"], ["192.0.2.0/24", "2001:db8::/32", "127.0.0.1/32"])
    assert made["expires_at"] == "2100-01-01T00:00:00.000Z" and made["last_used_at"] is None
    shown = {name: value for name, value in made.items() if name != "secret"}
    assert node.api.get(path(BOB, made)) == shown
    assert node.api.get(path(BOB))["items"] == [shown]
    more = make(node, "laptop", account=BOB)
    assert more["scopes"] == ["smtp", "imap", "pop3"] and more["networks"] == [] and more["expires_at"] is None
    assert [item["label"] for item in pages(node.api, path(BOB), limit=1)] == ["phone", "laptop"]
    assert made["secret"] not in node.log()
    assert node.query("select count(*) from app_password p where p::text like '%" + made["secret"][:9] + "%'") == [["0"]]
    for password in (made, more):
        node.api.delete(path(BOB, password))
    problem(node, 404, "GET", path(BOB, made))
    problem(node, 404, "DELETE", path(BOB, made))


def test_how_it_is_typed(node):
    secret = make(node, "typed")["secret"]
    for typed in (secret.upper(), secret.replace("-", ""), secret.replace("-", " ")):
        assert yes(node, "imap", typed)
    for wrong in (secret[:-1], secret + "a", secret.replace("-", "_"), secret[::-1]):
        assert not yes(node, "imap", wrong)


def test_requests_that_are_refused(node):
    def refused(field, status=422, **fields):
        return problem(node, status, "POST", path(ANN), {"label": "refused", **fields}, field=field)[1]

    refused("label", label="")
    refused("label", label="x" * 201)
    refused("scopes", scopes=[])
    refused("scopes[0]", scopes=["ftp"])
    refused("scopes[1]", scopes=["imap", "imap"])
    refused("networks[0]", networks=["192.0.2.1/24"])
    refused("networks[1]", networks=["192.0.2.0/24", "anywhere"])
    refused("expires_at", expires_at="2020-01-01T00:00:00Z")
    refused("expires_at", expires_at="tomorrow")
    refused("secret", secret="of my own")
    problem(node, 422, "POST", path(ANN), {}, field="label")
    problem(node, 404, "POST", path("nobody@apps.test"), {"label": "x"})
    problem(node, 404, "GET", path("nobody@apps.test"))
    made = make(node, "twice")
    assert refused("label", status=409, label="twice")["existing_id"] == made["id"]
    make(node, "twice", account=BOB)
    problem(node, 404, "GET", path(BOB, made))  # it is ann's
    problem(node, 404, "DELETE", path(BOB, made))
    assert yes(node, "imap", made["secret"])


def test_an_account_with_app_passwords_only(node):
    secret = make(node, "only", account=SILENT)["secret"]
    assert node.api.get(f"/v1/accounts/{SILENT}")["login"] is False
    for protocol in PROTOCOLS:
        assert yes(node, protocol, secret, account=SILENT)
        assert not yes(node, protocol, PASSWORD, account=SILENT)
    node.api.patch(f"/v1/accounts/{SILENT}", {"state": "suspended"})
    assert not yes(node, "imap", secret, account=SILENT)
    node.api.patch(f"/v1/accounts/{SILENT}", {"state": "active"})


def test_scopes(node):
    for scope in PROTOCOLS:
        secret = make(node, f"scope-{scope}", scopes=[scope])["secret"]
        for protocol in PROTOCOLS:
            assert answer(node, protocol, secret)[0] == ("yes" if protocol == scope else "no")
        found = refusals(node, f"scope-{scope}")
        assert len(found) == 2 and all("not for this service" in line for line in found)


def test_networks(node):
    here = make(node, "here", networks=["198.51.100.0/24", "127.0.0.0/8"])["secret"]
    away = make(node, "away", networks=["198.51.100.0/24", "2001:db8::/32"])["secret"]
    for protocol in PROTOCOLS:
        assert yes(node, protocol, here)
        assert answer(node, protocol, away) == answer(node, protocol, "wrong")
    assert all("not from this network" in line for line in refusals(node, "away"))


def test_its_end(node):
    made = make(node, "ends", expires_at="2100-01-01T00:00:00Z")
    assert yes(node, "pop3", made["secret"])
    node.query("update app_password set expires_at = now() where label = 'ends'")
    assert not yes(node, "pop3", made["secret"])
    assert "expired" in refusals(node, "ends")[0]
    node.api.delete(path(ANN, made))
    assert not yes(node, "pop3", made["secret"])


def test_deleted_counts_at_once(node):
    made = make(node, "lost phone")
    assert yes(node, "imap", made["secret"])
    node.api.delete(path(ANN, made))
    assert not yes(node, "imap", made["secret"])


def test_its_last_use_is_written_seldom(node):
    made = make(node, "used")
    assert yes(node, "imap", made["secret"])
    wait_until(lambda: node.api.get(path(ANN, made))["last_used_at"], "its use is recorded")
    first = node.api.get(path(ANN, made))["last_used_at"]
    assert yes(node, "smtp", made["secret"])
    assert node.api.get(path(ANN, made))["last_used_at"] == first
    node.query("update app_password set last_used_at = now() - interval '11 minutes' where label = 'used'")
    assert yes(node, "smtp", made["secret"])
    wait_until(lambda: node.api.get(path(ANN, made))["last_used_at"] > first, "its use is recorded anew")


def test_how_many(node):
    node.api.account("many@apps.test", "apps", PASSWORD)
    for number in range(50):
        make(node, f"number {number}", account="many@apps.test")
    problem(node, 409, "POST", path("many@apps.test"), {"label": "one more"})
    first = node.api.get(path("many@apps.test"))["items"][0]
    node.api.delete(path("many@apps.test", first))
    assert yes(node, "imap", make(node, "one more", account="many@apps.test")["secret"], account="many@apps.test")
    node.api.delete("/v1/accounts/many@apps.test")
    wait_equal(lambda: node.query("select count(*) from app_password where label = 'one more'"), [["0"]], "they go with it")


def test_by_the_command_line_and_with_clients(node):
    def line(*arguments):
        return run([PROGRAM.parent / "posthouse", "--url", f"http://127.0.0.1:{node.ports['admin']}", *arguments],
                   env={"POSTHOUSE_TOKEN": node.token, **SANITIZERS}).stdout

    made = json.loads(line("app-passwords", "create", "by hand", "--account", ANN, "--scope", "imap", "--scope", "smtp", "--from",
                           "127.0.0.0/8", "--expires-at", "2100-01-01T00:00:00Z", "--json"))
    assert made["scopes"] == ["imap", "smtp"] and made["networks"] == ["127.0.0.0/8"]
    assert "by hand" in line("app-passwords", "list", "--account", ANN)
    assert "by hand" in line("app-passwords", "show", made["id"], "--account", ANN)
    run(["curl", "--silent", "--show-error", "--cacert", node.certificate.certificate, "--user", f"{ANN}:{made['secret']}",
         "--login-options", "AUTH=PLAIN", f"imaps://localhost:{node.ports['imaps']}/"])
    done = run(["curl", "--silent", "--show-error", "--cacert", node.certificate.certificate, "--user", f"{ANN}:{made['secret']}",
                "--login-options", "AUTH=PLAIN", f"pop3s://localhost:{node.ports['pop3s']}/"], check=False)
    assert done.returncode == 67  # CURLE_LOGIN_DENIED: not in its scopes
    run(["swaks", "--server", "127.0.0.1", "--port", node.ports["submissions"], "--tlsc", "--auth", "PLAIN", "--auth-user", ANN,
         "--auth-password", made["secret"], "--from", ANN, "--to", BOB])
    line("app-passwords", "delete", made["id"], "--account", ANN)
    assert "by hand" not in line("app-passwords", "list", "--account", ANN)
