"""Turns the contracts under protos/ into the Python package libs/gen, and into an image for buf.

Usage: python protos/build.py generate [--force]
       python protos/build.py image FILE [--bare]

Everything is offline: grpcio-tools brings protoc and `google/protobuf`, googleapis-common-protos
brings `google/rpc` and `google/type`, and protovalidate brings `buf/validate` as a descriptor.
"""

import argparse
import fcntl
import hashlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "libs" / "gen"
STAMP = GENERATED / ".stamp"
LOCK = GENERATED / ".lock"
VALIDATE = "buf/validate/validate.proto"
# A new generator makes new code of the same contract, so its version is part of the input.
GENERATORS = ("grpcio-tools", "mypy-protobuf", "protobuf", "protovalidate")
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")


class BuildFailed(Exception):
    """The contracts could not be turned into code; protoc's own lines say where."""


def contracts(protos: Path) -> list[str]:
    """Name our contracts as protoc wants them: relative to the root of the protos."""
    return sorted(path.relative_to(protos).as_posix() for path in protos.glob("hefu/**/*.proto"))


def fingerprint(protos: Path) -> str:
    """Digest all that decides what is generated: the contracts, this file, the generators."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for package in GENERATORS:
        digest.update(f"{package}={importlib.metadata.version(package)}\0".encode())
    for name in contracts(protos):
        digest.update(name.encode() + b"\0" + (protos / name).read_bytes() + b"\0")
    return digest.hexdigest()


def generate(protos: Path, generated: Path) -> None:
    """Write messages, services and their stubs for every contract below `protos`."""
    with tempfile.TemporaryDirectory(dir=_parent(generated), prefix=".gen-") as folder:
        fresh = Path(folder)
        _protoc(
            protos,
            [
                f"--python_out={fresh}",
                f"--grpc_python_out={fresh}",
                f"--mypy_out=quiet:{fresh}",
                f"--mypy_grpc_out=quiet:{fresh}",
                *(f"--plugin={name}={Path(sys.executable).with_name(name)}" for name in PLUGINS),
            ],
            [VALIDATE, *contracts(protos)],
        )
        _write_markers(fresh)
        _replace(fresh, generated)


def write_image(protos: Path, image: Path, *, with_source: bool = True) -> None:
    """Write the contracts and all they import as one file, which buf reads without a network.

    Lint wants the source, to name lines and read comments; a baseline is small without it.
    """
    _parent(image)
    source = ["--include_source_info"] if with_source else []
    outputs = ["--include_imports", *source, f"--descriptor_set_out={image}"]
    _protoc(protos, outputs, contracts(protos))


def _protoc(protos: Path, outputs: list[str], names: list[str]) -> None:
    # Late, because an up-to-date tree should answer without loading the compiler.
    import grpc_tools  # noqa: PLC0415
    from grpc_tools import protoc  # noqa: PLC0415

    if not contracts(protos):
        message = f"no .proto file below {protos}/hefu"
        raise BuildFailed(message)
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.binpb"
        known.write_bytes(_known_descriptors())
        status = protoc.main(
            [
                "protoc",
                f"--descriptor_set_in={known}",
                f"-I{protos}",
                f"-I{_packages()}",
                f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
                *outputs,
                *names,
            ]
        )
    if status != 0:
        message = "protoc refused the contracts; its lines above name file and line"
        raise BuildFailed(message)


def _known_descriptors() -> bytes:
    """Encode `buf/validate` and what it imports: protovalidate ships it only as a descriptor."""
    from google.protobuf import (  # noqa: PLC0415
        descriptor_pb2,
        duration_pb2,
        field_mask_pb2,
        timestamp_pb2,
    )
    from protovalidate._gen.buf.validate import validate_pb  # noqa: PLC0415

    known = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(known.file.add())
    known.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    return known.SerializeToString()


def _packages() -> Path:
    """Find site-packages, the folder from which `google/rpc/status.proto` is a relative path."""
    import google.rpc.status_pb2  # noqa: PLC0415

    return Path(google.rpc.status_pb2.__file__).parents[2]


def _write_markers(fresh: Path) -> None:
    # Packages, not namespaces: import-linter and mypy then find them without being told.
    for folder in sorted({path.parent for path in fresh.rglob("*.py")}):
        current = folder
        while current != fresh:
            (current / "__init__.py").touch()
            (current / "py.typed").touch()
            current = current.parent


def _replace(fresh: Path, generated: Path) -> None:
    """Move each file into place whole, then drop what no contract makes any more."""
    made = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    for name in sorted(made):
        target = generated / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != (fresh / name).read_bytes():
            (fresh / name).replace(target)
    kept = {generated / name for name in made} | {STAMP, LOCK}
    for path in sorted(generated.rglob("*"), reverse=True):
        if path.is_dir():
            with suppress(OSError):  # not empty
                path.rmdir()
        elif path not in kept:
            path.unlink(missing_ok=True)


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.parent


@contextmanager
def _alone() -> Iterator[None]:
    """Let one build at a time write the generated package."""
    GENERATED.mkdir(parents=True, exist_ok=True)
    handle = os.open(LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def main() -> int:
    """Run the command line: 0 is done, 1 is refused by protoc."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("generate", help="write libs/gen if a contract has changed")
    command.add_argument("--force", action="store_true", help="write it even if none has")
    command = commands.add_parser("image", help="write one descriptor file for buf")
    command.add_argument("file", type=Path)
    command.add_argument("--bare", action="store_true", help="leave out lines and comments")
    arguments = parser.parse_args()
    try:
        if arguments.command == "image":
            write_image(PROTOS, arguments.file, with_source=not arguments.bare)
            return 0
        with _alone():
            wanted = fingerprint(PROTOS)
            if not arguments.force and STAMP.exists() and STAMP.read_text() == wanted:
                return 0
            STAMP.unlink(missing_ok=True)
            generate(PROTOS, GENERATED)
            STAMP.write_text(wanted)
    except BuildFailed as failure:
        sys.stderr.write(f"protos: {failure}\n")
        return 1
    sys.stdout.write(f"protos: {len(contracts(PROTOS))} contracts generated into libs/gen\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
