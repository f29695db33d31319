"""A web server for many hosts, each with a certificate of its own: MTA-STS policies come from it, and TLS reports go there."""
import http.server
import threading


class PolicyServer:
    """.pages: {host: (status, media type, text)}; .asked: hosts, in order; .behave: "redirect", "silent", "endless".

    .posted: (path, media type, body) of each report, answered .post_status. Hosts in .untrusted show a certificate of the stranger's."""

    def __init__(self, authority, stranger, address="127.0.0.1"):
        self.authority, self.stranger, self.address = authority, stranger, address
        self.pages, self.asked, self.behave, self.untrusted = {}, [], None, set()
        self.posted, self.post_status = [], 200
        self.contexts = {}
        self.ended = threading.Event()
        self.port = 0
        self.start()

    def publish(self, domain, *mx, mode="enforce", max_age=86400, status=200, media_type="text/plain", text=None):
        lines = ["version: STSv1", f"mode: {mode}", *[f"mx: {name}" for name in mx], f"max_age: {max_age}"]
        self.pages[f"mta-sts.{domain}"] = (status, media_type, text if text is not None else "\r\n".join(lines) + "\r\n")

    def context(self, host):
        if host not in self.contexts:
            self.contexts[host] = self.authority.server(host)[0]
        return self.contexts[host]

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # headers and body are two writes

            def log_message(self, *_):
                pass

            def do_POST(self):
                outer.posted.append((self.path, self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(outer.post_status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                host = self.headers["Host"].partition(":")[0]
                outer.asked.append(host)
                if outer.behave == "silent":
                    outer.ended.wait(60)
                    return
                status, media_type, text = outer.pages.get(host, (404, "text/plain", "not found"))
                if self.path != "/.well-known/mta-sts.txt" and not self.path.startswith("/elsewhere"):
                    status = 404
                if outer.behave == "redirect" and not self.path.startswith("/elsewhere"):
                    self.send_response(302)
                    self.send_header("Location", "/elsewhere")
                    self.end_headers()
                    return
                body = b"#" * 100000 if outer.behave == "endless" else text.encode()
                self.send_response(status)
                if media_type:
                    self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

            def finish_request(self, request, client_address):
                def choose(connection, name, _):
                    if name not in outer.untrusted:
                        connection.context = outer.context(name or "nobody.test")
                context = outer.stranger.server("nobody.test")[0]
                context.sni_callback = choose
                super().finish_request(context.wrap_socket(request, server_side=True), client_address)

        self.server = Server((self.address, self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
