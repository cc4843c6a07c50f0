"""A session that began with a certificate is known by the key that was certified, as `ssh-keygen -l` names it."""

import base64
import hashlib
import struct

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
)
from cryptography.hazmat.primitives.serialization.ssh import SSHCertPublicKeyTypes

from palyra.vault.ssh_keys import fingerprints_in


def fingerprint(blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def certified(key: SSHCertPublicKeyTypes) -> str:
    """The certificate of a key as the SSH server writes it down."""
    builder = SSHCertificateBuilder().public_key(key).serial(7).type(SSHCertificateType.USER)
    builder = builder.key_id(b"ana").valid_principals([b"ops"]).valid_after(0).valid_before(2**63)
    return builder.sign(ed25519.Ed25519PrivateKey.generate()).public_bytes().decode()


def test_a_certificate_tells_the_key_it_certifies() -> None:
    keys: list[SSHCertPublicKeyTypes] = [
        ed25519.Ed25519PrivateKey.generate().public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
        *(ec.generate_private_key(curve).public_key() for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())),
    ]
    for key in keys:
        plain = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        expected = fingerprint(base64.b64decode(plain.split()[1]))
        assert fingerprints_in(f"publickey {plain}\n") == (expected,)
        assert fingerprints_in(f"publickey {certified(key)}\n") == (expected,), plain.split()[0]


def written(*fields: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(one)) + one for one in fields)


def line(blob: bytes) -> str:
    return f"publickey some-type {base64.b64encode(blob).decode()}\n"


def test_so_does_one_of_a_security_token() -> None:
    for kind, fields in (
        (b"sk-ssh-ed25519", [b"k" * 32, b"ssh:"]),
        (b"sk-ecdsa-sha2-nistp256", [b"nistp256", b"q" * 65, b"ssh:"]),
    ):
        certificate = written(kind + b"-cert-v01@openssh.com", b"nonce", *fields) + struct.pack(">QI", 7, 1) + b"rest"
        assert fingerprints_in(line(certificate)) == (fingerprint(written(kind + b"@openssh.com", *fields)),)


def test_a_certificate_that_is_cut_or_of_an_unknown_kind_proves_nothing() -> None:
    whole = written(b"ssh-ed25519-cert-v01@openssh.com", b"nonce", b"k" * 32)
    assert len(fingerprints_in(line(whole))) == 1
    kind = len(written(b"ssh-ed25519-cert-v01@openssh.com"))
    for cut in range(kind, len(whole)):
        assert fingerprints_in(line(whole[:cut])) == (), cut
    assert fingerprints_in(line(written(b"ssh-new-cert-v01@openssh.com", b"nonce", b"k"))) == ()
