"""The audit chain's arithmetic: each link's digest covers the digest before it, so no row can be edited, dropped,
inserted or moved without breaking every digest that follows."""

import json
from hashlib import sha256
from json.encoder import encode_basestring_ascii as quote

from palyra.core.values import value

canonical_payload = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
"""Sorted keys, no spaces, ASCII."""


@value
class Link:
    """A place in the chain: `digest` covers this row and all before it."""

    seq: int
    digest: str


GENESIS = Link(0, "0" * 64)


@value
class LinkDraft:
    """A row that waits for its place. `payload` is canonical JSON."""

    at: int
    kind: str
    subject: str
    actor: str
    payload: str


def append(head: Link, draft: LinkDraft) -> Link:
    """The link after `head`: SHA-256 over its digest and the row's canonical JSON."""
    seq = head.seq + 1
    row = (
        f'{{"actor":{quote(draft.actor)},"at":{draft.at},"kind":{quote(draft.kind)},"payload":{draft.payload}'
        f',"seq":{seq},"subject":{quote(draft.subject)}}}'
    )
    return Link(seq, sha256((head.digest + row).encode()).hexdigest())
