"""A self-signed certificate for the names that the tests use, made once a run."""
import ssl

from .process import run

HOSTNAME = "mail.posthouse.test"


class Certificate:
    def __init__(self, folder):
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", self.key, "-out", self.certificate, "-days", "30", "-subj", f"/CN={HOSTNAME}",
             "-addext", f"subjectAltName=DNS:localhost,DNS:{HOSTNAME},IP:127.0.0.1"])
        self.key.chmod(0o644)  # of no value, and read by an unprivileged posthoused

    def context(self):
        """For a client that trusts it, and nothing else."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def server_context(self):
        """For a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context
