"""Generates the messages of host.proto when the package is built, so that none of them is ever committed."""

import importlib.resources
import pathlib
import tempfile
from typing import Any

from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CONTRACT = "troupe/host/v1/host.proto"


class GenerateMessages(BuildHookInterface):
    """Adds troupe_skillset/_host_pb2.py, and its types, to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            raise RuntimeError("troupe-skillset can't be installed editable: a part of it is generated")
        here = pathlib.Path(self.root)
        folders = [here / "proto", here.parents[2] / "proto"]
        proto = next((folder for folder in folders if (folder / CONTRACT).is_file()), None)
        if proto is None:
            raise RuntimeError(f"there is no {CONTRACT} in {' or '.join(map(str, folders))}")
        self._folder = tempfile.TemporaryDirectory(prefix="troupe-skillset-")
        generated = pathlib.Path(self._folder.name)
        standard = importlib.resources.files("grpc_tools") / "_proto"
        arguments = ["protoc", f"--proto_path={proto}", f"--proto_path={standard}", f"--python_out={generated}",
                     f"--pyi_out={generated}", CONTRACT]
        if protoc.main(arguments) != 0:
            raise RuntimeError(f"protoc can't make messages of {proto / CONTRACT}")
        # protoc's types are not strict, and those who check theirs strictly shall not hear of it.
        types = generated / "troupe/host/v1/host_pb2.pyi"
        types.write_text('# mypy: disable-error-code="type-arg"\n' + types.read_text())
        for suffix in (".py", ".pyi"):
            build_data["force_include"][str(generated / f"troupe/host/v1/host_pb2{suffix}")] = (
                f"troupe_skillset/_host_pb2{suffix}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self._folder.cleanup()
