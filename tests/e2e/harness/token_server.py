"""A token server (RFC 6749): client credentials and refresh tokens, which it may change with each use."""
import http.server
import itertools
import json
import threading
import time
import urllib.parse


class TokenServer:
    """.good: tokens that are; .asked: forms; .rotates: a refresh token is good once; .behave: (status, object or bytes), "cut" or None."""

    def __init__(self, client_id="relay", secret="client s3cret &=", refresh="first-refresh"):
        self.client_id, self.secret, self.refresh = client_id, secret, refresh
        self.good, self.asked, self.rotates, self.behave, self.lifetime, self.delay, self.length = [], [], False, None, 3600, 0, 20
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # headers and body are two writes

            def log_message(self, *_):
                pass

            def do_POST(self):
                form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                time.sleep(outer.delay)
                with outer.lock:
                    outer.asked.append(form)
                    behave = outer.behave or outer.answer(form)
                if behave == "cut":
                    self.close_connection = True
                    return
                status, body = behave
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, form):
        if form.get("client_id") != self.client_id or form.get("client_secret") != self.secret:
            return 401, {"error": "invalid_client", "error_description": f"not {form}"}
        if form["grant_type"] == "refresh_token" and form.get("refresh_token") != self.refresh:
            return 400, {"error": "invalid_grant", "error_description": f"not {form}"}
        token = f"token-{next(self.numbers)}-".ljust(self.length, "x")
        self.good.append(token)
        more = {}
        if form["grant_type"] == "refresh_token" and self.rotates:
            self.refresh = more["refresh_token"] = f"refresh-{token}"
        return 200, {"access_token": token, "token_type": "bearer", "expires_in": self.lifetime, **more}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
