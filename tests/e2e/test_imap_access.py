"""The way into the mailboxes of a domain's primary: the resource."""
import pytest

from harness.requests import problem

PATH = "/v1/domains/boxes.test/imap-access"


@pytest.fixture
def node(posthouse):
    posthouse.api.customer("boxes")
    posthouse.api.relay_domain("boxes.test", "boxes", 9)
    posthouse.api.hosted_domain("here.boxes.test", "boxes")
    posthouse.api.post("/v1/credentials", {"name": "boxes", "user": "master", "password": "s3cret-of-boxes", "tls": "verify"})
    yield posthouse
    for path in ("/v1/domains/boxes.test", "/v1/domains/here.boxes.test", "/v1/credentials/boxes", "/v1/customers/boxes"):
        posthouse.api.delete(path)


def test_made_changed_and_deleted(node):
    problem(node, 404, "GET", PATH)
    made = node.api.put(PATH, {"host": "imap.boxes.test", "credential": "boxes"})
    assert (made["host"], made["port"], made["tls"], made["sign_in"], made["credential"]) == (
        "imap.boxes.test", 143, "starttls", "master", "boxes")
    assert "s3cret" not in str(made)
    changed = node.api.patch(PATH, {"tls": "implicit", "port": 993, "sign_in": "authorization"})
    assert (changed["host"], changed["port"], changed["tls"], changed["sign_in"]) == ("imap.boxes.test", 993, "implicit", "authorization")
    assert node.api.put(PATH, {"host": "::1", "credential": "boxes", "tls": "implicit"})["port"] == 993
    assert node.api.request("DELETE", "/v1/credentials/boxes")[0] == 409, "it is in use"
    node.api.delete(PATH)
    problem(node, 404, "GET", PATH)
    node.api.delete(PATH)
    assert node.api.patch(PATH, {"host": "imap.boxes.test", "credential": "boxes"})["tls"] == "starttls"
    methods = [row[0] for row in node.query(f"select method from audit_log where path = '{PATH}' order by id")]
    assert methods == ["PUT", "PATCH", "PUT", "DELETE", "DELETE", "PATCH"]


@pytest.mark.parametrize("field, body", [
    ("host", {"credential": "boxes"}), ("credential", {"host": "a.test"}), ("host", {"host": "a b", "credential": "boxes"}),
    ("credential", {"host": "a.test", "credential": "nobody"}), ("port", {"host": "a.test", "credential": "boxes", "port": 0}),
    ("tls", {"host": "a.test", "credential": "boxes", "tls": "none"}), ("sign_in", {"host": "a.test", "credential": "boxes", "sign_in": "x"}),
    ("password", {"host": "a.test", "credential": "boxes", "password": "x"}),
])
def test_what_is_refused(node, field, body):
    problem(node, 422, "PUT", PATH, body, field=field)
    problem(node, 404, "GET", PATH)


def test_which_domains_have_one(node):
    problem(node, 404, "GET", "/v1/domains/nowhere.test/imap-access")
    problem(node, 409, "PUT", "/v1/domains/here.boxes.test/imap-access", {"host": "a.test", "credential": "boxes"})
    node.api.post("/v1/credentials", {"name": "token", "kind": "oauth", "user": "u", "token_url": "https://token.boxes.test/", "client_id": "c",
                                      "refresh_token": "r"})
    problem(node, 422, "PUT", PATH, {"host": "a.test", "credential": "token"}, field="credential")
    node.api.delete("/v1/credentials/token")
