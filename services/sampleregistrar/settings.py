"""What a sample registrar is told."""

from pydantic import Field

from libs.settings import ServiceSettings


class Settings(ServiceSettings):
    service: str = Field(pattern=r"^registrar-[A-Z0-9]{2,8}$")
    registrar_id: str = Field(pattern=r"^[A-Z0-9]{2,8}$")
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    # Who sends orders and gets the files.
    distributor: str = Field(default="HEFU", pattern=r"^[A-Z0-9]{1,9}$")
    # Layout of the files: libs/registrar_files/profiles.
    profile: str = Field(default="ofd21", pattern=r"^[a-z][a-z0-9_]{0,30}$")
    seed: str = "hefu"
    # host:port of the distributor's registrar link; empty: files wait to be fetched.
    registrar_link: str = ""
