"""Asks an engine about a job that an earlier command submitted: whether it still runs, and how it ended.

A place is what `options.job_place` returned for that earlier command. It can be written as JSON beside the job's id.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from coltran.errors import UserError

RUNNING, DONE, FAILED, GONE, UNREACHABLE = "running", "done", "failed", "gone", "unreachable"
_ASK_SECONDS = 10.0  # for one request
_EVERY_SECONDS = 5.0
_GIVE_UP_SECONDS = 300.0  # how long `wait` puts up with an engine that does not answer
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_ENDS = {"DONE": DONE, "FAILED": FAILED, "CANCELLED": FAILED, "DRAINED": FAILED, "UPDATED": FAILED}


def state(job_id: str, place: Mapping[str, str]) -> str:
    """Returns the state of a submitted job.

    Args:
      job_id: the id that the engine gave it.
      place: from `options.job_place`.
    Returns:
      "running", "done", "failed" (canceled jobs too), "gone" if the engine answers and does not know the job, or
      "unreachable" if it does not answer.
    Raises:
      UserError: Dataflow answers that these credentials may not ask, or there are none.
    """
    return _dataflow_state(job_id, place) if "job_endpoint" not in place else _portable_state(job_id, place)


def wait(job_id: str, place: Mapping[str, str], *, every: float = _EVERY_SECONDS) -> str:
    """Waits until a submitted job ends, and writes each change of its state to stderr.

    Args:
      job_id, place: as in `state`.
      every: seconds between two questions.
    Returns:
      "done", "failed" or "gone"; "unreachable" if the engine has not answered for five minutes.
    """
    before, answered = "", time.monotonic()
    while True:
        now = state(job_id, place)
        if now != before:
            print(f"job {job_id}: {now}", file=sys.stderr)
        if now in (DONE, FAILED, GONE):
            return now
        if now != UNREACHABLE:
            answered = time.monotonic()
        elif time.monotonic() - answered > _GIVE_UP_SECONDS:
            return now
        before = now
        time.sleep(every)


def failure(job_id: str, place: Mapping[str, str]) -> str:
    """Returns the last error that the engine reports of a job, as the engine wrote it, or an empty text."""
    errors = _dataflow_errors(job_id, place) if "job_endpoint" not in place else _portable_errors(job_id, place)
    return errors[-1] if errors else ""


@contextlib.contextmanager
def job_service(endpoint: str) -> Iterator[Any]:
    """Opens the job service (a gRPC stub) of a portable engine, such as `localhost:8099`."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2_grpc

    with grpc.insecure_channel(endpoint) as channel:
        yield beam_job_api_pb2_grpc.JobServiceStub(channel)


def _portable_state(job_id: str, place: Mapping[str, str]) -> str:
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2

    with job_service(place["job_endpoint"]) as service:
        try:
            found = service.GetState(beam_job_api_pb2.GetJobStateRequest(job_id=job_id), timeout=_ASK_SECONDS)
        except grpc.RpcError as error:
            # Prism and the Python service answer UNKNOWN for a job that they do not know, with its id in the text.
            unknown = error.code() == grpc.StatusCode.NOT_FOUND or job_id in (error.details() or "")
            return GONE if unknown else UNREACHABLE
    return _ENDS.get(beam_job_api_pb2.JobState.Enum.Name(found.state), RUNNING)


def _portable_errors(job_id: str, place: Mapping[str, str]) -> list[str]:
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2 as api

    found: list[str] = []
    with job_service(place["job_endpoint"]) as service, contextlib.suppress(grpc.RpcError):
        for message in service.GetMessageStream(api.JobMessagesRequest(job_id=job_id), timeout=_ASK_SECONDS):
            response = message.message_response
            if response.importance == api.JobMessage.JOB_MESSAGE_ERROR:
                found.append(response.message_text)
    return found


def _dataflow_state(job_id: str, place: Mapping[str, str]) -> str:
    from google.api_core import exceptions
    from google.cloud import dataflow_v1beta3 as dataflow

    request = dataflow.GetJobRequest(project_id=place["project"], location=place["region"], job_id=job_id)
    with _credentials_named(place):
        try:
            job = _dataflow_client("JobsV1Beta3", place).get_job(request, timeout=_ASK_SECONDS)
        except exceptions.NotFound:
            return GONE
        except (exceptions.ServerError, exceptions.RetryError, OSError):
            return UNREACHABLE
    return _ENDS.get(job.current_state.name.removeprefix("JOB_STATE_"), RUNNING)


def _dataflow_errors(job_id: str, place: Mapping[str, str]) -> list[str]:
    from google.cloud import dataflow_v1beta3 as dataflow

    request = dataflow.ListJobMessagesRequest(
        project_id=place["project"],
        location=place["region"],
        job_id=job_id,
        minimum_importance=dataflow.JobMessageImportance.JOB_MESSAGE_ERROR,
    )
    with _credentials_named(place):
        messages = _dataflow_client("MessagesV1Beta3", place).list_job_messages(request, timeout=_ASK_SECONDS)
        return [message.message_text for message in messages]


@contextlib.contextmanager
def _credentials_named(place: Mapping[str, str]) -> Iterator[None]:
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, RefreshError

    where = f"Dataflow in project {place['project']}, region {place['region']}"
    try:
        yield
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise UserError(f"{where}: these credentials may not ask about jobs ({error.message})") from error
    except (DefaultCredentialsError, RefreshError) as error:
        raise UserError(
            f"{where}: no credentials to ask about jobs; run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS"
        ) from error


def _dataflow_client(service: str, place: Mapping[str, str]) -> Any:
    """Makes the vendor's client of one of Dataflow's services, as Beam makes it for the submission."""
    import google.auth
    from google.auth import credentials as google_credentials, impersonated_credentials
    from google.cloud import dataflow_v1beta3 as dataflow

    credentials = google_credentials.AnonymousCredentials() if "no_auth" in place else google.auth.default(SCOPES)[0]
    if account := place.get("impersonate_service_account"):
        *delegates, target = account.split(",")
        credentials = impersonated_credentials.Credentials(credentials, target, SCOPES, delegates=delegates)
    endpoint = place.get("dataflow_endpoint", "").rstrip("/")
    local = "localhost" in endpoint  # a stand-in for the service, which speaks REST
    return getattr(dataflow, f"{service}Client")(
        credentials=credentials,
        client_options={"api_endpoint": endpoint if local else endpoint.partition("://")[2]} if endpoint else None,
        transport="rest" if local else None,
    )
