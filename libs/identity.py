"""Who a process or a caller is: a name, and the URI that its certificate carries."""

from dataclasses import dataclass

BANK_PREFIX = "bank-"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate is for: `accounts`, `operator`, `bank-CD`. `signs`: has such a key."""

    name: str
    signs: bool = False

    @property
    def uri(self) -> str:
        """The identity in the certificate's alternative names."""
        if self.name.startswith(BANK_PREFIX):
            return f"hefu://bank/{self.name.removeprefix(BANK_PREFIX)}"
        return f"hefu://service/{self.name}"
