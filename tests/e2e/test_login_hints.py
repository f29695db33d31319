"""A failed login tells by neither its words nor its time whose name it was: each answer comes a delay after its check began, and
the dearest hash that is taken costs less than that."""
import crypt
import os
import time

import pytest

from harness.posthouse import PASSWORD
from harness.process import PATIENCE, hurry
from harness.signing import PROTOCOLS, Signing

DELAY = 1.0  # of the first failure in a session
AGAIN = 12  # so often a login that took longer than others is tried once more
DEAR = {"bcrypt": crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2 ** 14), "sha512": crypt.mksalt(crypt.METHOD_SHA512, rounds=300000)}
LOGINS = ["nobody@hints.test", "nobody@nowhere.test", "ours@hints.test", "bcrypt@hints.test", "sha512@hints.test",
          "suspended@hints.test", "closed@hints.test", "none@hints.test"]


@pytest.fixture(scope="module")
def node(posthouse):
    posthouse.api.customer("hints")
    posthouse.api.hosted_domain("hints.test", "hints")
    for name in ("ours", "suspended", "closed"):
        posthouse.api.account(f"{name}@hints.test", "hints")
    for state in ("suspended", "closed"):
        posthouse.api.patch(f"/v1/accounts/{state}@hints.test", {"state": state})
    posthouse.api.post("/v1/accounts", {"address": "none@hints.test", "customer": "hints"})
    for name, setting in DEAR.items():
        posthouse.api.post("/v1/accounts", {"address": f"{name}@hints.test", "customer": "hints",
                                            "password_hash": crypt.crypt(PASSWORD, setting)})
    with hurry(os.getpid(), posthouse.process.pid, *posthouse.family()):
        yield posthouse


def dearest():
    """What the dearest check costs here and now, in seconds."""
    began = time.monotonic()
    crypt.crypt("wrong", DEAR["bcrypt"])
    return time.monotonic() - began


def attempt(node, protocol, way, login, password):
    with Signing(node, protocol, tls=True) as client:
        began = time.monotonic()
        answer = getattr(client, way)(login, password)
        return answer, time.monotonic() - began


# The second is another one after SASLprep, for which some hashes are compared twice.
@pytest.mark.parametrize("password", ["wrong", "wr\u00f6ng\u00a0"], ids=["plain", "prepared"])
@pytest.mark.parametrize("protocol, way", [("smtp", "plain"), ("imap", "by_name"), ("pop3", "by_name")])
def test_nothing_tells_whose_name_it_is(node, protocol, way, password):
    """What the machine does beside makes a time longer, never shorter; what the program tells is in each of them."""
    way = way if password.isascii() else "plain"  # IMAP's LOGIN has no octets beyond ASCII
    answers, times = set(), {}

    def once(login):
        answer, took = attempt(node, protocol, way, login, password)
        answers.add(answer)
        assert took >= DELAY * 0.99, (login, took)  # clocks in whole milliseconds
        times[login] = min(took, times.get(login, took))

    def spread():
        return max(times.values()) - min(times.values())

    for login in LOGINS:
        once(login)
    may_differ = dearest() / 2 * PATIENCE
    for _ in range(AGAIN):
        if spread() < may_differ:
            break
        once(max(times, key=times.get))
    assert len(answers) == 1 and answers.pop()[0] == "no"
    assert spread() < may_differ, times


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_right_password_of_who_may_not_tells_nothing(node, protocol):
    right, wrong = (attempt(node, protocol, "plain", "suspended@hints.test", password) for password in (PASSWORD, "wrong"))
    assert right[0] == wrong[0] and min(right[1], wrong[1]) >= DELAY * 0.99
