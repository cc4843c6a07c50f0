"""Names of people who do something, with how we know that it is them."""

from typing import Self


class SignedName(str):
    """A name that also carries its attestation (uid, ssh_key, claimed, token, owner, key) and the address of the SSH
    connection or the client, empty where there is none. Everywhere else it is the plain name."""

    __slots__ = ("address", "attestation")

    attestation: str
    address: str

    def __new__(cls, name: str, attestation: str, address: str = "") -> Self:
        made = super().__new__(cls, name)
        made.attestation = attestation
        made.address = address
        return made

    @property
    def signature(self) -> dict[str, str]:
        """What is written down beside the name."""
        return {"attestation": self.attestation} | ({"address": self.address} if self.address else {})
