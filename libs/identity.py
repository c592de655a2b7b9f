"""Who a process or a caller is: a name, and the URI that its certificate carries."""

from dataclasses import dataclass

BANK_PREFIX = "bank-"
REGISTRAR_PREFIX = "registrar-"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate is for: `accounts`, `operator`, `bank-CD`, `registrar-HFTA`.

    `signs`: has such a key.
    """

    name: str
    signs: bool = False

    @property
    def uri(self) -> str:
        """The identity in the certificate's alternative names."""
        if self.name.startswith(BANK_PREFIX):
            return f"hefu://bank/{self.name.removeprefix(BANK_PREFIX)}"
        if self.name.startswith(REGISTRAR_PREFIX):
            return f"hefu://registrar/{self.name.removeprefix(REGISTRAR_PREFIX)}"
        return f"hefu://service/{self.name}"

    @property
    def is_outside(self) -> bool:
        """Whether it is a party of its own, known by its certificate alone: it has no token."""
        return self.name.startswith((BANK_PREFIX, REGISTRAR_PREFIX))
