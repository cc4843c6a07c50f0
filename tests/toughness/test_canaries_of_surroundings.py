"""Secrets that lie around an engine, of which it uses some and knows none: the key of its certificate, what proxies and
other programs are given in the environment, secrets in addresses that it calls. Nothing it says or keeps has them."""

import ssl
from pathlib import Path

import httpx

from tests.gateway.certificates import make
from tests.toughness.programs import Installation

CANARY = "canary{}Qx7hunter2Zw"
ENVIRON = {
    "HTTPS_PROXY": "http://me:{}@127.0.0.1:9/",
    "http_proxy": "http://me:{}@127.0.0.1:9/",
    "ALL_PROXY": "socks5://me:{}@127.0.0.1:9/",
    "AWS_SECRET_ACCESS_KEY": "{}",
    "DATABASE_URL": "postgres://me:{}@db.example/x",
    "PALYRA_SOMETHING": "{}",
    "PALYRA_CONSOLE__SOMETHING": "{}",
}
"""The last names a key that does not exist, with which no engine starts."""
CALLED = """
[[notifications.webhook]]
name = "hook"
url = "http://127.0.0.1:9/{hook}"
[[probes]]
id = "beside"
target = "http://127.0.0.1:9/{probe}"
"""
RUNNING: tuple[tuple[str, ...], ...] = (
    ("config", "show", "--json"),
    ("diagnostics", "--fresh", "--json"),
    ("notifications", "test", "hook"),
    ("doctor", "--json"),
    ("audit", "export", "{exported}"),
)
STOPPED: tuple[tuple[str, ...], ...] = (("doctor", "--repair", "--json"), ("status",))
HOLDS = {"palyra.toml", "key.pem"}
"""Files that are there to hold one."""


async def test_what_lies_around_an_engine_is_told_nowhere(installation: Installation, tmp_path: Path) -> None:
    assert installation.config is not None
    certificate, key = make(tmp_path, "own")
    secrets = {name: CANARY.format(number) for number, name in enumerate((*ENVIRON, "hook", "probe"))}
    lines = [line for line in key.read_text().splitlines() if not line.startswith("-----")]
    secrets |= {f"the key's line {number}": line for number, line in enumerate(lines)}
    served = f'[gateway]\ntls_cert = "{certificate}"\ntls_key = "{key}"\n'
    text = installation.config.read_text().replace("[gateway]\n", served) + CALLED.format(**secrets)
    installation.config.write_text(text)
    installation.config.chmod(0o600)
    environ = {name: text.format(secrets[name]) for name, text in ENVIRON.items()}
    all_of_them = {**installation.environ, **environ}
    wrong = Installation(installation.nursery, tmp_path / "wrong", installation.config, environ=all_of_them)
    told = {"a wrong start": await wrong.command("status")}
    del all_of_them["PALYRA_CONSOLE__SOMETHING"]
    here = Installation(installation.nursery, tmp_path / "state", installation.config, environ=all_of_them)
    engine = here.serve().ready()
    said = {"arguments": Path(f"/proc/{engine.pid}/cmdline").read_bytes()}
    trusted = ssl.create_default_context(cafile=str(certificate))
    async with httpx.AsyncClient(base_url=engine.gateway_url, verify=trusted, trust_env=False) as client:
        asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
        answer = await client.post("/v1/chat/completions", json=asked, headers={"x-api-key": engine.key})
        said["answer"] = answer.content + repr(answer.headers).encode()
        said["metrics"] = (await client.get("/metrics")).content
    assert answer.status_code == 200
    for words in RUNNING:
        exported = str(tmp_path / "audit.csv")
        told[words[0]] = await here.command(*(word.format(exported=exported) for word in words))
    assert engine.stop() == 0
    said["complaints"] = engine.complaints().encode()
    installation.config.chmod(0o644)
    for words in STOPPED:
        told[f"{words[0]} after it"] = await here.command(*words)
    here.close()
    codes = {name: done.code for name, done in told.items()}
    assert codes.pop("a wrong start") == 2
    assert codes.pop("notifications") == 4
    assert set(codes.values()) == {0}
    said |= {name: f"{done.output}{done.errors}".encode() for name, done in told.items()}
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in HOLDS]
    said |= {str(path.relative_to(tmp_path)): path.read_bytes() for path in kept}
    assert said.keys() >= {"state/journal.db", "state/logs/palyra.log", "audit.csv", "state/journal.db-wal"}
    assert [name for name in said if name.startswith("state/recovery/") and name.endswith("manifest.json")]
    leaks = [
        (name, place) for name, secret in secrets.items() for place, what in said.items() if secret.encode() in what
    ]
    assert leaks == []
