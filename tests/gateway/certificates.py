"""Certificates and keys to serve with, good ones and others, made where a test wants them."""

import subprocess
from pathlib import Path

CONFIGURATION = """
[ca]
default_ca = own
[own]
database = {directory}/index.txt
rand_serial = yes
new_certs_dir = {directory}
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def make(directory: Path, name: str, *, ends: str = "20600101000000Z", pass_phrase: str = "") -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key. With `pass_phrase` its key is locked."""
    own = directory / name
    own.mkdir()
    certificate, key, request, extensions, configuration, locked = (
        own / file for file in ("cert.pem", "key.pem", "request.pem", "extensions", "ca.cnf", "locked.pem")
    )
    (own / "index.txt").touch()
    extensions.write_text("subjectAltName = DNS:localhost, IP:127.0.0.1\n")
    configuration.write_text(CONFIGURATION.format(directory=own))
    run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", key)
    run("req", "-new", "-key", key, "-subj", "/CN=localhost", "-out", request)
    signing: list[str | Path] = ["ca", "-batch", "-selfsign", "-notext", "-config", configuration, "-keyfile", key]
    dates = ["-startdate", "20200101000000Z", "-enddate", ends]
    run(*signing, *dates, "-extfile", extensions, "-in", request, "-out", certificate)
    if pass_phrase:
        run("pkey", "-in", key, "-aes128", "-passout", f"pass:{pass_phrase}", "-out", locked)
        return certificate, locked
    return certificate, key


def run(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
