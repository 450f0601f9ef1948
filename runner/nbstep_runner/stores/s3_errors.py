"""What the exceptions of botocore mean: pass and retry, or the error that a user sees."""

from __future__ import annotations

from typing import Final

from botocore import exceptions
from botocore.parsers import ResponseParserError

from nbstep_runner.errors import BadInputError, OutputConflictError, StorageDeniedError
from nbstep_runner.stores.conditions import NotSupportedError
from nbstep_runner.stores.retrying import TransientError, seconds_asked
from nbstep_runner.stores.statuses import RefusedError, explained

_CONNECTION: Final = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
    ResponseParserError,
    exceptions.FlexibleChecksumError,
)
_CREDENTIALS: Final = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.SSOTokenLoadError,
    exceptions.ProfileNotFound,
)
_PASSING: Final = frozenset({
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "SlowDown",
    "XAmzContentSHA256Mismatch",
})  # fmt: skip
_DENIED: Final = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})
_DAMAGED: Final = frozenset({"SignatureDoesNotMatch", "MalformedXML"})


def translated(error: Exception, doing: str) -> Exception:
    """The error to raise in place of botocore's; other exceptions stay what they are."""
    if isinstance(error, exceptions.ClientError):
        return _answered(error, doing)
    if isinstance(error, _CREDENTIALS):
        return StorageDeniedError(
            f"No credentials for S3 were found: {str(error).rstrip('.')}.",
            hint="Give the pod a service account with a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            context=doing,
        )
    if isinstance(error, exceptions.ParamValidationError):
        return BadInputError("The name of the bucket or object is not valid.", hint="Check the name.", context=doing)
    if isinstance(error, _CONNECTION):
        return TransientError(_in_words(error))
    return error


def _answered(error: exceptions.ClientError, doing: str) -> Exception:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    response = error.response.get("ResponseMetadata", {})
    status = int(response.get("HTTPStatusCode", 0))
    if code in _PASSING:
        return TransientError(f"the store answered {code}")
    if code in _DENIED:
        return StorageDeniedError(f"The store does not accept the credentials ({code}).", context=doing)
    if code in _DAMAGED:
        return RefusedError(f"The store refuses the request ({code}).", context=doing)
    if code == "NoSuchKey" and doing.startswith("writing"):
        return OutputConflictError("The object was removed meanwhile.", context=doing)
    if status == 501:
        return NotSupportedError(code)
    asked = seconds_asked(response.get("HTTPHeaders", {}).get("retry-after"))
    return explained(status, doing, f"{code} {message}".strip(), retry_after=asked)


def _in_words(error: Exception) -> str:
    if isinstance(error, exceptions.ReadTimeoutError | exceptions.ConnectTimeoutError):
        return "the transfer stalled"
    return f"{type(error).__name__}: {str(error)[:200]}"
