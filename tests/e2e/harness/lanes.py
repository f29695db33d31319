"""How the tests are shared out to the processes that run them side by side (pytest-xdist, --dist loadfile).

A file stays whole, as its tests share a node, but for those of APART: each of their tests makes what it needs. What takes longest
begins, so that no process ends long after the others: LONGEST first, in that order (seconds of a run on two cores), then the rest as
it comes. A file that is not named and grows is no fault; run-tests says after a run which were the longest.
"""
LONGEST = (
    "test_faults.py", "test_carry.py", "test_tlsrpt.py", "test_faults_api.py", "test_two_nodes_delivery.py", "test_transcripts.py",
    "test_chaos.py", "test_health.py", "test_sts.py", "test_delivery.py", "test_webhooks.py", "test_oauth.py", "test_chunking.py",
    "test_dane.py", "test_primary_password.py", "test_hop_credentials.py", "test_deleted_mail.py", "test_outage.py",
    "test_held_folders.py", "test_bans.py", "test_login_hints.py", "test_content_rules.py", "test_nothing_lost.py", "test_door.py",
    "test_password_hashes.py", "test_deliver_by.py", "test_hop_tokens.py", "test_xclient.py", "test_queue_running.py")
APART = ("test_faults.py", "test_faults_api.py", "test_carry.py", "test_tlsrpt.py", "test_two_nodes_delivery.py")


def rank(name):
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def scheduler(config, log):
    from xdist.scheduler.loadfile import LoadFileScheduling

    class Lanes(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return nodeid if file.rsplit("/", 1)[-1] in APART else file

    return Lanes(config, log)
