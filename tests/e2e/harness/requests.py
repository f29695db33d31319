"""Requests to the administration API that must be answered, or refused, in a certain way."""
import datetime


def ask(posthouse, method, path, body=None, **options):
    status, headers, parsed = posthouse.api.request(method, path, body, **options)
    return status, headers, parsed


def problem(posthouse, status, method, path, body=None, field=None, **options):
    """The request is refused like that, as RFC 9457 wants it."""
    got, headers, parsed = ask(posthouse, method, path, body, **options)
    assert got == status, parsed
    assert headers["Content-Type"] == "application/problem+json"
    assert parsed["status"] == status
    assert parsed["type"] == "about:blank"
    assert parsed["title"] and parsed["detail"]
    assert parsed.get("field") == field, parsed
    return headers, parsed


def must(posthouse, status, method, path, body=None, **options):
    got, headers, parsed = ask(posthouse, method, path, body, **options)
    assert got == status, parsed
    return headers, parsed


def pages(api, path, **query):
    """All items of a list, page by page."""
    items = []
    while True:
        page = api.get(path, **query)
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        query["cursor"] = page["next_cursor"]


def is_utc_now(text):
    when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return text.endswith("Z") and abs(datetime.datetime.now(datetime.timezone.utc) - when).total_seconds() < 600
