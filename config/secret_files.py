"""Secrets in files: `NAME_FILE=/run/secrets/name` stands for the variable NAME, as in the images of Docker.

What a container is started with is shown by `docker inspect` and to everybody who may read a pod's definition; what is
in a file is not.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from config.errors import ConfigurationError

SUFFIX = "_FILE"
#: The variables that may hold a password, of ours, of Flower's and of the S3 archive's.
SECRETS = (
    "TRUNKLINE_REDIS_URL",
    "TRUNKLINE_BROKER_URL",
    "FLOWER_BASIC_AUTH",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)


def read_secret_files(environment: MutableMapping[str, str]) -> None:
    """Set each of `SECRETS` that is unset or empty and whose file is named, without the file's last line break.

    Raises ConfigurationError for a file that cannot be read or is empty.
    """
    for name in SECRETS:
        path = environment.get(name + SUFFIX, "")
        if not path or environment.get(name):
            continue
        try:
            secret = Path(path).read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigurationError(f"{name}{SUFFIX}: cannot read {path}: {reason}.") from error
        if not secret:
            raise ConfigurationError(f"{name}{SUFFIX}: {path} is empty.")
        environment[name] = secret
