"""The way to Mechanical Turk by boto3, and what its failures mean.

Amazon closed the service on 30 September 2026. The commands stay for a successor with the same interface, and for
whoever still has access; everybody else gets one line that says so. boto3 is an optional extra, imported when a command
calls the service.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from coltran.errors import UserError

_REGION = "us-east-1"
_SANDBOX = "https://mturk-requester-sandbox.us-east-1.amazonaws.com"
_LIVE = "https://mturk-requester.us-east-1.amazonaws.com"
_CLOSED = (
    "Amazon closed Mechanical Turk on 30 September 2026: run the study by `coltran-study serve`, or on a Turkle server "
    "(`coltran-study export --format turkle`)"
)


def site(live: bool) -> str:
    """The name of one of the service's two worlds, as state files have it."""
    return "live" if live else "sandbox"


def client(live: bool):
    """A boto3 client.

    Args:
      live: whether raters are paid; else the sandbox.
    Raises:
      UserError: boto3 is missing, knows no such service any more, or finds no credentials' region.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise UserError("this needs boto3: pip install 'coltran-pipelines[mturk]'") from None
    with plain_errors():
        config = Config(retries={"mode": "standard", "max_attempts": 8}, connect_timeout=10, read_timeout=60)
        return boto3.client("mturk", region_name=_REGION, endpoint_url=_LIVE if live else _SANDBOX, config=config)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turns boto3's exceptions into one line."""
    from botocore import exceptions

    try:
        yield
    except exceptions.UnknownServiceError:
        raise UserError(f"this boto3 knows no Mechanical Turk any more. {_CLOSED}") from None
    except exceptions.ClientError as error:
        found = error.response.get("Error", {})
        text = " ".join(str(found.get("Message", "")).split()) or "no reason given"
        raise UserError(f"Mechanical Turk refused ({found.get('Code', 'unknown')}: {text}). {_CLOSED}") from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
        raise UserError(f"boto3 finds no AWS credentials (AWS_ACCESS_KEY_ID, or ~/.aws). {_CLOSED}") from None
    except exceptions.ParamValidationError as error:
        raise UserError(f"boto3 refuses the request: {' '.join(str(error).split())}") from None
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise UserError(f"Mechanical Turk cannot be reached ({' '.join(str(error).split())}). {_CLOSED}") from None
    except exceptions.BotoCoreError as error:
        raise UserError(f"boto3: {' '.join(str(error).split())}") from None
