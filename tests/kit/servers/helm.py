"""Helm as a person runs it, and the objects that a chart renders to."""

import base64
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.kit.servers.kubectl import Answer

CHART = Path(__file__).parents[3] / "charts" / "idp"

Values = Mapping[str, object]
Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Helm:
    """The program, with a home of its own. Without a kubeconfig no cluster is found."""

    executable: Path
    home: Path
    kubeconfig: Path | None = None

    def __call__(
        self, *arguments: str | Path, values: Values | None = None, within: float = 60
    ) -> Answer:
        """Run one command to its end; `values` are what `--values` reads."""
        self.home.mkdir(parents=True, exist_ok=True)
        command = [str(argument) for argument in arguments]
        if values is not None:
            command += ["--values", "-"]
        answer = subprocess.run(
            [self.executable, *command],
            input="" if values is None else json.dumps(values),
            env={
                **{name: text for name, text in os.environ.items() if name[:5] != "HELM_"},
                "HOME": str(self.home),
                "KUBECONFIG": str(self.kubeconfig or self.home / "none"),
            },
            capture_output=True,
            text=True,
            timeout=within,
        )
        return Answer(" ".join(["helm", *command]), answer.returncode, answer.stdout, answer.stderr)

    def render(
        self, values: Values, *, release: str = "kube-idp", arguments: Sequence[str] = ()
    ) -> "Rendered":
        """Return what the chart renders to, without asking a cluster."""
        answer = self("template", release, CHART, *arguments, values=values)
        return Rendered([found for found in yaml.safe_load_all(answer.check()) if found])


@dataclass(frozen=True, slots=True)
class Rendered:
    """The objects of one rendering."""

    objects: Sequence[Manifest]

    def kinds(self) -> list[str]:
        """Return the kind of each object, sorted."""
        return sorted(str(found["kind"]) for found in self.objects)

    def all(self, kind: str) -> list[Manifest]:
        """Return the objects of a kind."""
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str) -> Manifest:
        """Return the only object of a kind; raises ValueError when it is not the only one."""
        (found,) = self.all(kind)
        return found

    def pod(self) -> Manifest:
        """Return the spec of the Deployment's pods."""
        spec: Manifest = self.one("Deployment")["spec"]["template"]["spec"]
        return spec

    def container(self) -> Manifest:
        """Return the provider's container."""
        (container,) = self.pod()["containers"]
        found: Manifest = container
        return found

    def config_text(self) -> str:
        """Return the configuration file, out of its Secret."""
        return base64.b64decode(self.one("Secret")["data"]["config.yaml"]).decode()

    def config(self) -> Manifest:
        """Return the configuration."""
        found: Manifest = yaml.safe_load(self.config_text())
        return found
