"""Accounts that come from another system with the hashes of their passwords: they sign in at once, and the first login that
proves the password leaves a hash of ours and SCRAM keys."""
import base64
import crypt
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.faults import MODES, FaultyPostgres
from harness.posthouse import PASSWORD, PROGRAM, SANITIZERS
from harness.process import run, wait_equal, wait_until
from harness.requests import problem
from harness.signing import PROTOCOLS, Signing

DOMAIN = "moved.test"


def digest(name, algorithm, salt=b""):
    return f"{{{name}}}{base64.b64encode(hashlib.new(algorithm, PASSWORD.encode() + salt).digest() + salt).decode()}"


HASHES = {
    "bcrypt": crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)).replace("$2b$", "$2y$"),
    "sha512-crypt": crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_SHA512)),
    "sha256-crypt": "{SHA256-CRYPT}" + crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_SHA256)),
    "md5-crypt": crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_MD5)),
    "SSHA512": digest("SSHA512", "sha512", os.urandom(8)),
    "SSHA256": digest("SSHA256", "sha256", os.urandom(16)),
    "SSHA": digest("ssha", "sha1", os.urandom(4)),
    "SMD5": digest("SMD5", "md5", os.urandom(8)),
    "SHA": digest("SHA", "sha1"),
}


def domain(node):
    node.api.customer("moved")
    node.api.hosted_domain(DOMAIN, "moved")
    return node


@pytest.fixture(scope="module")
def node(posthouse):
    return domain(posthouse)


def moved(node, name, given):
    """An account with that hash; its address."""
    address = f"{name.lower()}@{DOMAIN}"
    made = node.api.post("/v1/accounts", {"address": address, "customer": "moved", "password_hash": given})
    assert made["login"] is True and given not in str(made) and "password_hash" not in made
    return address


def scheme(node, address):
    return node.api.get(f"/v1/accounts/{address}")["password_scheme"]


def attempt(node, address, way, password=PASSWORD, protocol="imap"):
    with Signing(node, protocol, tls=True) as client:
        return getattr(client, way)(address, password)[0]


@pytest.mark.parametrize("name", HASHES)
def test_the_first_login_leaves_a_hash_of_ours(node, name):
    address = moved(node, name, HASHES[name])
    protocol = PROTOCOLS[list(HASHES).index(name) % 3]
    assert scheme(node, address) == name
    assert attempt(node, address, "plain", "wrong", protocol) == "no"
    assert attempt(node, address, "scram", PASSWORD, protocol) == "no"  # nobody can make keys of a hash
    assert scheme(node, address) == name
    assert attempt(node, address, "plain", PASSWORD, protocol) == "yes"
    assert scheme(node, address) == "yescrypt"
    stored = node.query(f"select password_hash, scram_sha256 from account where address = '{address}'")
    for way in ("scram", "login", "plain"):
        assert attempt(node, address, way, PASSWORD, protocol) == "yes"
        assert attempt(node, address, way, "wrong", protocol) == "no"
    assert node.query(f"select password_hash, scram_sha256 from account where address = '{address}'") == stored  # once


def test_every_way_to_say_a_password_upgrades(node):
    for protocol, way in (("smtp", "plain"), ("smtp", "login"), ("imap", "by_name"), ("imap", "login"), ("pop3", "by_name"),
                          ("pop3", "plain")):
        address = moved(node, f"way-{protocol}-{way}", HASHES["SSHA"])
        assert attempt(node, address, way, PASSWORD, protocol) == "yes"
        assert scheme(node, address) == "yescrypt"


def test_a_yescrypt_hash_gets_its_keys(node):
    """It is as good as ours, but has no SCRAM keys yet."""
    ours = moved(node, "ours", HASHES["SSHA"])
    assert attempt(node, ours, "plain") == "yes"
    (stored,), = node.query(f"select password_hash from account where address = '{ours}'")
    address = moved(node, "theirs", stored)
    assert scheme(node, address) == "yescrypt"
    assert [attempt(node, address, way) for way in ("scram", "plain", "scram")] == ["no", "yes", "yes"]


def test_logins_race_and_one_upgrades(node):
    address = moved(node, "race", HASHES["SSHA512"])
    clients = [Signing(node, PROTOCOLS[n % 3], tls=True) for n in range(8)]
    with ThreadPoolExecutor(len(clients)) as threads:
        answers = list(threads.map(lambda client: client.plain(address, PASSWORD)[0], clients))
    for client in clients:
        client.close()
    assert answers == ["yes"] * len(clients)
    assert scheme(node, address) == "yescrypt"
    assert len([line for line in node.log().splitlines() if "password hash upgraded" in line and address in line]) == 1
    assert attempt(node, address, "scram") == "yes"


def test_changed_by_the_administrator(node):
    address = moved(node, "changed", HASHES["SSHA"])
    path = f"/v1/accounts/{address}"
    assert node.api.patch(path, {"password": "another-password"})["password_scheme"] == "yescrypt"
    assert attempt(node, address, "plain") == "no"
    assert attempt(node, address, "scram", "another-password") == "yes"
    assert node.api.patch(path, {"password_hash": HASHES["bcrypt"]})["password_scheme"] == "bcrypt"
    assert attempt(node, address, "scram", "another-password") == "no"  # the old keys are gone
    assert attempt(node, address, "plain", "another-password") == "no"
    assert attempt(node, address, "plain") == "yes"
    assert node.api.patch(path, {"password": None})["password_scheme"] is None
    assert attempt(node, address, "plain") == "no"


def test_hashes_that_are_refused(node):
    def refused(**fields):
        body = {"address": f"refused@{DOMAIN}", "customer": "moved", **fields}
        return problem(node, 422, "POST", "/v1/accounts", body, field="password_hash")[1]["detail"]

    refused(password_hash=HASHES["SSHA"], password=PASSWORD)
    assert "\"password\"" in refused(password_hash="{PLAIN}" + PASSWORD)
    assert "costs more" in refused(password_hash=HASHES["bcrypt"].replace("$04$", "$31$"))
    for given in ("", "x" * 400, PASSWORD, crypt.crypt(PASSWORD, "ab"), "{MD5}AAAA", HASHES["sha512-crypt"][:-1], None, 7, ["x"]):
        refused(password_hash=given)
    assert node.query("select 1 from account where address like 'refused@%'") == []
    address = moved(node, "kept", HASHES["SSHA"])
    for body in ({"password_hash": "nonsense"}, {"password_hash": HASHES["SSHA"], "password": None},
                 {"password_hash": HASHES["SSHA"], "password": PASSWORD}):
        problem(node, 422, "PATCH", f"/v1/accounts/{address}", body, field="password_hash")
    assert scheme(node, address) == "SSHA"


def test_by_the_command_line_and_with_curl(node):
    address = f"line@{DOMAIN}"
    run([PROGRAM.parent / "posthouse", "--url", f"http://127.0.0.1:{node.ports['admin']}", "accounts", "create", address, "--customer", "moved",
         "--password-hash"], input=HASHES["bcrypt"] + "\n", env=dict(os.environ, POSTHOUSE_TOKEN=node.token, **SANITIZERS))
    assert scheme(node, address) == "bcrypt"
    run(["curl", "--silent", "--show-error", "--cacert", node.certificate.certificate, "--user", f"{address}:{PASSWORD}",
         "--login-options", "AUTH=PLAIN", f"imaps://localhost:{node.ports['imaps']}/"])
    assert scheme(node, address) == "yescrypt"
    assert attempt(node, address, "scram") == "yes"


@pytest.mark.parametrize("mode", MODES)
def test_an_upgrade_that_fails_is_no_failed_login(new_posthouse, own_postgres, mode):
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, settings={"database.statement_timeout": "500ms"})
        domain(node.start())
        address = moved(node, "faulty", HASHES["SSHA"])
        fault = faulty.arm("credential_upgrade", mode)
        assert attempt(node, address, "plain") == "yes"
        wait_until(lambda: fault.struck, "the fault struck")
        if mode in ("refused", "cut"):
            assert scheme(node, address) == "SSHA"

        def again():
            kind = attempt(node, address, "plain")  # no [UNAVAILABLE] while the connection is made anew
            return kind == "yes" and scheme(node, address)
        wait_equal(again, "yescrypt", "the next login upgrades")
        node.close()
    finally:
        faulty.close()
