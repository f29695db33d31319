"""The circuit breaker, and mail that comes back late."""
from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from test_breaker import ANN, BOB, breaker, burst, decide, node, policy, queue  # noqa: F401: node is a fixture


def test_failures_while_it_is_open(node):  # noqa: F811
    """On the next day: the day that opened it does not become usual by them, and is forgotten when it is closed."""
    policy(node, customer="burst", messages=20, failures=10)
    for account in (ANN, BOB):
        node.submit(account, BOB, make_message("first", sender=account))
        wait_equal(lambda account=account: breaker(node, account)["last_hour"]["messages"], 1, "it is counted")
    burst(node)
    days_ago = "update breaker_account b set version = version + 1, hour = hour - 24, hour_messages = 100, new_failures = 7 from account a"
    node.query(f"{days_ago} where a.id = b.account_id returning 1")
    wait_equal(lambda: (breaker(node, BOB)["last_hour"]["failures"], breaker(node, BOB)["usual_hour"]["messages"]), (7, 97), "who may send: they are his, of today")
    now = node.api.patch(f"/v1/breakers/{ANN}", {"state": "closed"})
    assert (now["usual_hour"]["messages"], now["limits"]["messages"]) == (0, 20)
    assert (now["last_hour"]["failures"], node.query("select sum(new_failures) from breaker_account")) == (0, [["0"]])
    # by an administrator's wish they are usual from now on
    node.wait_known()
    burst(node, start=100)
    node.query(f"update breaker_account b set version = version + 1, new_failures = 7 from account a where a.id = b.account_id and a.address = '{ANN}' returning 1")
    now = node.api.patch(f"/v1/breakers/{ANN}", {"state": "closed", "learn": True})
    assert now["usual_hour"]["failures"] == 7


def test_what_is_given_up_after_days(node, outside):  # noqa: F811
    """It tells nothing of what the account does now."""
    policy(node, customer="burst", messages=1000, failures=3)
    outside.behave.other_recipients = "550 5.1.1 nobody"
    with node.submission(ANN) as client:
        client.ehlo()
        assert client.docmd("MAIL", f"FROM:<{ANN}> HOLDFOR=3600")[0] == 250
        for number in range(6):
            assert client.rcpt(f"x{number}@outside.test")[0] == 250
        assert client.data(make_message("newsletter", sender=ANN))[0] == 250
    node.query("update queue_entry set id = id - (25 * 3600 * 1000::bigint << 22) returning 1")
    decide(node, "release", held_by="sender")
    wait_equal(lambda: (queue(node, account=ANN), len(node.subjects(ANN))), ([], 1), "it comes back")
    node.submit(ANN, "y@outside.test", make_message("today", sender=ANN))
    wait_equal(lambda: len(node.subjects(ANN)), 2, "so does what is of today")
    wait_until(lambda: breaker(node)["last_hour"]["failures"], "that is counted")
    assert (breaker(node)["last_hour"]["failures"], breaker(node)["state"]) == (1, "closed")
