"""What runs, as `tilt.yaml` lists it."""

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from libs.failure import StartFailed

TILT_FILE = Path(__file__).resolve().parents[1] / "tilt.yaml"
METRICS_PORT_ADDED = 10_000


class Resources(BaseModel):
    """What a process is given, in Kubernetes' units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str = Field(pattern=r"^[0-9]+m$")
    memory: str = Field(pattern=r"^[0-9]+(Mi|Gi)$")


class Listed(BaseModel):
    """One entry of the list; the file's own head says what the fields mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9]*$")
    module: str = ""
    command: str = ""
    port: int = Field(gt=0, le=55_535)
    extra_ports: dict[str, int] = {}
    health: Literal["grpc", "http"]
    needs: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    per: Literal["", "bank", "registrar"] = ""
    signs: bool = False
    stores: bool = False
    page: bool = True
    production: bool = True
    resources: Resources

    @model_validator(mode="after")
    def _is_started_one_way(self) -> "Listed":
        if bool(self.module) == bool(self.command):
            raise ValueError("module or command, and not both")
        return self


class Topology(BaseModel):
    """The whole list, in the order in which things depend on each other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    services: tuple[Listed, ...]
    file: Path = TILT_FILE

    @model_validator(mode="after")
    def _names_what_it_has(self) -> "Topology":
        seen: set[str] = set()
        names = {listed.name for listed in self.services}
        for listed in self.services:
            if unknown := set(listed.needs) - seen:
                raise ValueError(f"{listed.name} needs {sorted(unknown)}, which do not come before")
            if unknown := set(listed.peers) - names:
                raise ValueError(f"{listed.name} calls {sorted(unknown)}, which are not listed")
            seen.add(listed.name)
        return self

    def find(self, name: str) -> Listed:
        """The entry of a name. Raises `KeyError`."""
        return {listed.name: listed for listed in self.services}[name]


@cache
def load_topology(file: Path = TILT_FILE) -> Topology:
    """The list. Raises `StartFailed` where it is missing or wrong."""
    try:
        return Topology.model_validate({**yaml.safe_load(file.read_text()), "file": file})
    except OSError as error:
        raise StartFailed(f"{file} is missing: run this from the repository") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise StartFailed(f"{file} is wrong: {error}") from error
