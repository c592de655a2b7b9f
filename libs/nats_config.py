"""The bus's configuration: durable before it answers, and each service known by its certificate."""

from pathlib import Path

PAYLOAD_MAX = "8MB"
PENDING_MAX = "64MB"
STORE_MAX = "8GB"
# Every service makes the stream it needs when it finds it lost; nobody purges one.
_API = ("$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.FC.>")
_STREAM_API = (
    "$JS.API.STREAM.CREATE.{0}",
    "$JS.API.STREAM.UPDATE.{0}",
    "$JS.API.STREAM.INFO.{0}",
    "$JS.API.STREAM.MSG.GET.{0}",
    "$JS.API.DIRECT.GET.{0}",
    "$JS.API.DIRECT.GET.{0}.>",
    "$JS.API.CONSUMER.CREATE.{0}",
    "$JS.API.CONSUMER.CREATE.{0}.>",
    "$JS.API.CONSUMER.DURABLE.CREATE.{0}.*",
    "$JS.API.CONSUMER.INFO.{0}.*",
    "$JS.API.CONSUMER.DELETE.{0}.*",
    "$JS.API.CONSUMER.MSG.NEXT.{0}.*",
    "$JS.ACK.{0}.>",
)
_HEARD = ("_INBOX.>", "$JS.EVENT.ADVISORY.CONSUMER.>")


def render(
    *, port: int, page_port: int, identity_dir: Path, store_dir: Path, services: tuple[str, ...]
) -> str:
    """The configuration file's text. A service publishes its own facts and no other's."""
    # A wildcard stands for a whole word of a subject, so each stream is named.
    api = (*_API, *(a.format(stream_of(s)) for s in services for a in _STREAM_API))
    users = "\n".join(_user(name, api) for name in services)
    return f"""\
# Made at each start.
server_name: hefu
host: localhost
port: {port}
http: "127.0.0.1:{page_port}"
max_payload: {PAYLOAD_MAX}
max_pending: {PENDING_MAX}
write_deadline: "10s"
ping_interval: "10s"
tls {{
  cert_file: {_text(identity_dir / "cert.pem")}
  key_file: {_text(identity_dir / "key.pem")}
  ca_file: {_text(identity_dir / "ca.pem")}
  verify_and_map: true
  timeout: 10
}}
jetstream {{
  store_dir: {_text(store_dir)}
  # Else a power cut takes what was acknowledged in the last two minutes.
  sync_interval: always
  max_file_store: {STORE_MAX}
}}
authorization {{
  users: [
{users}
  ]
}}
"""


def stream_of(service: str) -> str:
    """The JetStream stream of a service's facts."""
    return f"HEFU_{service.upper()}"


def _user(service: str, api: tuple[str, ...]) -> str:
    # Its own stream it may drop: one whose disk was lost under the server only times out.
    own = (f"hefu.{service}.>", f"$JS.API.STREAM.DELETE.{stream_of(service)}")
    publishes = _list((*own, *api))
    return (
        f"    {{ user: {_text(f'hefu://service/{service}')}, permissions: {{\n"
        f"      publish: {{ allow: {publishes} }}\n"
        f"      subscribe: {{ allow: {_list(_HEARD)} }}\n"
        "    } }"
    )


def _list(subjects: tuple[str, ...]) -> str:
    return "[" + ", ".join(_text(subject) for subject in subjects) + "]"


def _text(value: object) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
