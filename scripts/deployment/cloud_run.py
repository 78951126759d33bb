"""Google Cloud: secrets in Secret Manager, functions as services, a worker as a pool, ticks by Cloud Scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scripts.deployment.commands import Commands
from scripts.deployment.services import PREFIX, WORKER, Service

PORT = 8080
STARTUP_PROBE = (
    f"httpGet.path=/health,httpGet.port={PORT},periodSeconds=1,timeoutSeconds=1,failureThreshold=60"
)
LIVENESS_PROBE = (
    f"httpGet.path=/health,httpGet.port={PORT},periodSeconds=30,timeoutSeconds=5,failureThreshold=3"
)
MAY_READ = "roles/secretmanager.secretAccessor"


@dataclass(frozen=True, slots=True)
class CloudRun:
    """One project and region, and the image that runs there as `account`."""

    commands: Commands
    image: str
    region: str
    project: str
    account: str

    def keep_secret(self, name: str, value: str) -> str:
        """Put `value` into Secret Manager where its last version is another; the reference `secret:version`."""
        secret = f"{PREFIX}-{name.lower().replace('_', '-')}"
        if self.commands.look_up(self._gcloud("secrets", "describe", secret)) is None:
            self.commands.run(self._gcloud("secrets", "create", secret, "--replication-policy=automatic"))
        last = self._gcloud("secrets", "versions", "access", "latest", f"--secret={secret}")
        if self.commands.look_up(last) != value:
            self.commands.run(
                self._gcloud("secrets", "versions", "add", secret, "--data-file=-"), secret_input=value
            )
        member = f"--member=serviceAccount:{self.account}"
        self.commands.run(
            self._gcloud("secrets", "add-iam-policy-binding", secret, member, f"--role={MAY_READ}")
        )
        return f"{secret}:{self._find_version(secret)}"

    def deploy(self, service: Service, references: Mapping[str, str]) -> None:
        """Make or update one service, or the pool of workers."""
        secrets = ",".join(f"{name}={references[name]}" for name in service.secrets)
        with self.commands.private_file(service.variables) as file:
            flags = [
                f"--image={self.image}",
                f"--region={self.region}",
                f"--service-account={self.account}",
                f"--cpu={service.size.cpu}",
                f"--memory={service.size.memory}",
                f"--env-vars-file={file}",
                f"--set-secrets={secrets}" if secrets else "--clear-secrets",
            ]
            kind = _worker_flags(service) if service.function == WORKER else _service_flags(service)
            self.commands.run(self._gcloud(*kind, *flags))

    def find_url(self, service: Service) -> str:
        """Where a service is reached."""
        place = (service.name, f"--region={self.region}", "--format=value(status.url)")
        url = self.commands.look_up(self._gcloud("run", "services", "describe", *place))
        return url or f"https://{service.name}-<project number>.{self.region}.run.app"

    def schedule(self, url: str, secret: str, timeout_seconds: int) -> None:
        """Have Cloud Scheduler POST a tick to the scheduler at `url` each minute."""
        job, place = f"{PREFIX}-tick", f"--location={self.region}"
        known = self.commands.look_up(self._gcloud("scheduler", "jobs", "describe", job, place))
        verb, headers = ("create", "--headers") if known is None else ("update", "--update-headers")
        # Headers hold the secret; gcloud reads flags from a file too.
        with self.commands.private_file({headers: {"X-Scheduler-Secret": secret}}) as file:
            flags = [
                "--schedule=* * * * *",
                "--time-zone=Etc/UTC",
                f"--uri={url}",
                "--http-method=post",
                f"--attempt-deadline={timeout_seconds}s",
                "--max-retry-attempts=0",
                f"--flags-file={file}",
            ]
            self.commands.run(self._gcloud("scheduler", "jobs", verb, "http", job, place, *flags))

    def _find_version(self, secret: str) -> str:
        argv = self._gcloud("secrets", "versions", "describe", "latest", f"--secret={secret}")
        name = self.commands.look_up([*argv, "--format=value(name)"])
        return (name or "<version>").rpartition("/")[2]

    def _gcloud(self, *arguments: str) -> list[str]:
        return ["gcloud", *arguments, f"--project={self.project}", "--quiet"]


def _service_flags(service: Service) -> list[str]:
    # Every function checks who calls it itself: users by their session, schedulers and senders by their secret.
    return [
        "run",
        "deploy",
        service.name,
        "--allow-unauthenticated",
        "--cpu-boost",
        f"--port={PORT}",
        f"--timeout={service.timeout_seconds}",
        f"--concurrency={service.size.concurrency}",
        f"--min-instances={service.size.min}",
        f"--max-instances={service.size.max}",
        f"--startup-probe={STARTUP_PROBE}",
        f"--liveness-probe={LIVENESS_PROBE}",
    ]


def _worker_flags(service: Service) -> list[str]:
    command = ["--command=python", "--args=-m,shared.scheduler.worker"]
    return ["beta", "run", "worker-pools", "deploy", service.name, *command, f"--scaling={service.size.min}"]
