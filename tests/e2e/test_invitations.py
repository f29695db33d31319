"""Links by which the owner of an account sets his password: once, for a time, for one account or all of a domain."""
import datetime
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from harness.posthouse import PASSWORD
from harness.requests import problem

ANN = "ann@invited.test"
BASE = "https://mail.example/invitations/"
NEW = "the owner's own"


@pytest.fixture
def node(new_posthouse):
    node = new_posthouse(settings={"admin.invitation_url": BASE, "daemon.workers": 1}).start()
    node.api.customer("invited")
    node.api.hosted_domain("invited.test", "invited")
    node.api.post("/v1/accounts", {"address": ANN, "customer": "invited"})
    return node


def may_sign_in(node, password, login=ANN):
    try:
        with node.imap(login, password):
            return True
    except Exception as error:
        assert "AUTHENTICATIONFAILED" in str(error)
        return False


def invite(node, **members):
    return node.api.post(f"/v1/accounts/{ANN}/invitations", members)


def use(node, token, password=NEW):
    return node.api.request("POST", f"/v1/invitations/{token}", {"password": password}, token="")[0]


def browse(node, token, form=None, headers=None):
    """(status, headers, page)."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(f"{node.api.base}/invitations/{token}", data=data, headers=headers or {})
    try:
        reply = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        reply = error
    with reply:
        return reply.status, reply.headers, reply.read().decode()


def in_days(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_used_once(node):
    made = invite(node)
    assert made["link"] == BASE + made["token"] and len(made["token"]) == 64 and made["address"] == ANN
    assert use(node, made["token"], "short") == 422 and use(node, "0" * 64) == 404
    assert use(node, made["token"]) == 204
    assert may_sign_in(node, NEW) and node.query("select scram_sha256 is not null from account") == [["t"]]
    assert use(node, made["token"], "once more, please") == 404 and may_sign_in(node, NEW)


def test_secret_is_nowhere(node):
    made = invite(node)
    for method, path in (("PUT", "/v1/invitations/"), ("DELETE", "/invitations/")):
        assert node.api.request(method, path + made["token"], {})[0] == 405  # no handler has seen it
    use(node, made["token"])
    browse(node, made["token"])
    stored = node.query("select string_agg(t::text, ' ') from (select i::text from invitation i union all select a::text from audit_log a) r (t)")
    assert made["token"] not in str(stored) and made["token"] not in node.log()
    assert NEW not in str(node.query("select string_agg(a::text, ' ') from audit_log a")) and NEW not in node.log()
    assert node.query("select path, status from audit_log where token_id = 0") == [["/v1/invitations/{invitation_token}", "204"]]


def test_listed_revoked_replaced_and_over(node):
    path = f"/v1/accounts/{ANN}/invitations"
    assert node.api.get(path)["items"] == []
    first = invite(node)
    (listed,) = node.api.get(path)["items"]
    assert listed["id"] == first["id"] and "token" not in listed
    assert node.api.get(f"{path}/{first['id']}") == listed
    second = invite(node, expires_at=in_days(1))
    assert use(node, first["token"]) == 404, "another one has taken its place"
    problem(node, 404, "GET", f"{path}/{first['id']}")
    node.api.delete(f"{path}/{second['id']}")
    assert use(node, second["token"]) == 404 and node.api.get(path)["items"] == []
    problem(node, 404, "DELETE", f"{path}/{second['id']}")
    third = invite(node)
    node.query("update invitation set expires_at = now() - interval '1 s'")
    assert use(node, third["token"]) == 404 and node.api.get(path)["items"] == []
    for days in (-1, 31):
        problem(node, 422, "POST", path, {"expires_at": in_days(days)}, "expires_at")
    problem(node, 404, "POST", "/v1/accounts/nobody@invited.test/invitations", {})


def test_who_may_not_sign_in_is_not_asked_in(node):
    made = invite(node)
    node.api.patch(f"/v1/accounts/{ANN}", {"state": "suspended"})
    assert use(node, made["token"]) == 404
    node.api.patch(f"/v1/accounts/{ANN}", {"state": "active"})
    assert use(node, made["token"]) == 204


def test_all_of_a_domain(node):
    """A page at a time; only those who have no password."""
    for number in range(5):
        node.api.post("/v1/accounts", {"address": f"user{number}@invited.test", "customer": "invited"})
    node.api.account("has@invited.test", "invited")
    node.api.patch("/v1/accounts/user4@invited.test", {"state": "closed"})
    path, found, cursor = "/v1/domains/invited.test/invitations", [], None
    for _ in range(3):
        page = node.api.post(path, {"limit": 2, **({"cursor": cursor} if cursor else {})})
        found += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert [item["address"] for item in found] == [ANN, "user0@invited.test", "user1@invited.test", "user2@invited.test", "user3@invited.test"]
    assert all(item["link"] == BASE + item["token"] for item in found) and len({item["token"] for item in found}) == 5
    assert use(node, found[2]["token"]) == 204 and may_sign_in(node, NEW, "user1@invited.test")
    assert len(node.api.post(path, {})["items"]) == 4
    assert node.api.post(path, {"state": "continuity"})["items"] == []
    problem(node, 422, "POST", path, {"cursor": "none"}, "cursor")
    problem(node, 422, "POST", path, {"limit": 0}, "limit")
    problem(node, 404, "POST", "/v1/domains/nowhere.test/invitations", {})


def test_page(node):
    made = invite(node)
    status, headers, page = browse(node, made["token"])
    assert status == 200 and headers["Content-Type"].startswith("text/html") and "<script" not in page and ANN not in page
    assert "default-src 'none'" in headers["Content-Security-Policy"] and "form-action 'self'" in headers["Content-Security-Policy"]
    assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("no-referrer", "no-store")
    assert browse(node, "0" * 64)[2] == page, "whether it is good is not told by looking"
    assert browse(node, made["token"], {"password": NEW, "again": "another"})[0] == 422
    assert browse(node, made["token"], {"password": "short", "again": "short"})[0] == 422
    assert browse(node, made["token"], {"password": "tab\tin it", "again": "tab\tin it"})[0] == 422
    assert browse(node, "0" * 64, {"password": NEW, "again": NEW})[0] == 404
    assert browse(node, made["token"], {"password": NEW}, {"Content-Type": "text/plain"})[0] == 415
    odd = "pass word + & = %"
    status, _, page = browse(node, made["token"], {"x": "", "password": odd, "again": odd})
    assert status == 200 and odd not in page and may_sign_in(node, odd)
    assert browse(node, made["token"], {"password": NEW, "again": NEW})[0] == 404


@pytest.mark.parametrize("body", [b"", b"password", b"password=&again=", b"password=%zz&again=%zz", b"&&&=&=", b"password=%00aaaaaaaaa&again=%00aaaaaaaaa",
                                  b"password=aaaaaaaa", b"again=aaaaaaaa&password=bbbbbbbb", b"password=" + b"a" * 600 + b"&again=" + b"a" * 600])
def test_page_hostile_forms(node, body):
    made = invite(node)
    status, _, _ = node.api.request("POST", f"/invitations/{made['token']}", body, token="", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 422 and node.query("select password_hash is null from account") == [["t"]]


def test_two_at_once(node):
    for _ in range(5):
        made, answers = invite(node), []
        threads = [threading.Thread(target=lambda: answers.append(use(node, made["token"]))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [204, 404, 404, 404]


def test_guessing_is_slowed_down(node):
    made = invite(node)
    answers = [use(node, f"{number:064x}") for number in range(40)]
    assert set(answers) == {404, 429} and answers[0] == 404 and answers[-1] == 429
    status, headers, _ = node.api.request("POST", f"/v1/invitations/{made['token']}", {"password": NEW}, token="")
    assert (status, headers["Retry-After"]) == (429, "60")


def test_takes_the_place_of_the_primarys_password(node):
    node.query("update account set password_hash = 'x', password_primary_at = now()")
    assert use(node, invite(node)["token"]) == 204
    assert node.query("select password_primary_at is null from account") == [["t"]]
    assert may_sign_in(node, NEW)


def test_without_a_url_there_is_no_link(new_posthouse):
    node = new_posthouse(settings={"daemon.workers": 1}).start()
    node.api.customer("invited")
    node.api.hosted_domain("invited.test", "invited")
    node.api.account(ANN, "invited")
    made = invite(node)
    assert made["link"] is None and use(node, made["token"]) == 204 and not may_sign_in(node, PASSWORD)
