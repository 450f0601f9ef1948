"""What S3 says of an object, and what the exceptions of botocore mean for a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore import exceptions
from botocore.parsers import ResponseParserError

from nbstep_runner.errors import BadInputError, NbstepError, OutputConflictError, StorageDeniedError
from nbstep_runner.stores.conditions import NotSupportedError
from nbstep_runner.stores.protocol import Stat
from nbstep_runner.stores.retrying import RefusedError, TransientError, seconds_asked
from nbstep_runner.stores.statuses import NO_TLS, explained

SHA256: Final = "nbstep-sha256"
"""The metadata that an object's digest is kept in."""
TIMED: Final = "time:"
"""What a version begins with where the store tells no entity tag; no condition can name it."""
PATIENT_TRIES: Final = 3
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
    "NoSuchUpload",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "SlowDown",
    "XAmzContentSHA256Mismatch",
})  # fmt: skip
_NOT_ACCEPTED: Final = (StorageDeniedError, "The store does not accept the credentials ({said})", "")
_WRONG_KEY: Final = (
    StorageDeniedError,
    "The store does not accept the access key ({said})",
    "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile that they come from.",
)
_CLASH: Final = (RefusedError, "The name cannot be used ({said})", "Choose another name.")
"""Where objects are files: the name is a folder's, below an object's, or too long; or its folder comes and goes now."""
_MEANINGS: Final[dict[str, tuple[type[NbstepError], str, str]]] = {
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired"), _NOT_ACCEPTED),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "XAdminUserNotFound"), _WRONG_KEY),
    **dict.fromkeys(("DirectoryObjectContainsData", "KeyTooLongError", "ObjectParentIsFile"), _CLASH),
    **dict.fromkeys(("ExistingObjectIsDirectory", "ExistingObjectIsFile"), _CLASH),
    "MalformedXML": (RefusedError, "The store refuses the request ({said})", ""),
}


def version_of(answer: Mapping[str, Any], *, patient: bool = True) -> str:
    """The entity tag, without its quotes, or the mark that a proxy gives it that compresses.

    Args:
        answer: What the store says of an object.
        patient: A tag that is missing may be there at another try, as for an object that is being made; else time and
            size stand for it, as for a file that somebody put below a gateway.

    Raises:
        TransientError: There is none.
    """
    if version := str(answer.get("ETag", "")).removeprefix("W/").strip('"'):
        return version
    if patient:
        raise TransientError("the store tells of the object without its ETag")
    return f"{TIMED}{answer.get('LastModified')}:{_size(answer)}"


def _size(answer: Mapping[str, Any]) -> int:
    return int(answer.get("ContentLength", answer.get("Size", 0)))


def checksum_of(answer: Mapping[str, Any]) -> str | None:
    """``algorithm:hex``: our SHA-256, or the MD5 where the entity tag is one.

    It is none for objects in parts, nor with a key of a service or of the user.
    """
    if sha256 := answer.get("Metadata", {}).get(SHA256):
        return f"sha256:{sha256}"
    tag = str(answer.get("ETag", "")).strip('"')
    encrypted = answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer
    return f"md5:{tag}" if len(tag) == 32 and not encrypted else None


def described(uri: str, answer: Mapping[str, Any], *, patient: bool = True) -> Stat:
    """What the answer to a HEAD, or one entry of a listing, says."""
    checksum, modified = checksum_of(answer), answer.get("LastModified")
    seconds = modified.timestamp() if modified else None
    version = version_of(answer, patient=patient)
    return Stat(uri=uri, size=_size(answer), version=version, checksum=checksum, modified=seconds)


def translated(error: Exception, doing: str) -> Exception:
    """The error to raise in place of botocore's; other exceptions stay what they are."""
    if isinstance(error, exceptions.ClientError):
        return _answered(error, doing)
    meaning = error
    if isinstance(error, _CREDENTIALS):
        meaning = StorageDeniedError(
            f"No credentials for S3 were found: {str(error).rstrip('.')}.",
            hint="Give the pod a service account with a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            context=doing,
        )
    elif isinstance(error, exceptions.ParamValidationError):
        meaning = BadInputError("The name of the bucket or object is not valid.", hint="Check the name.", context=doing)
    elif isinstance(error, exceptions.SSLError) and any(mark in str(error) for mark in NO_TLS):
        hint = "Write http:// in --endpoint-url, or use the server's port for TLS."
        meaning = BadInputError("The endpoint does not speak TLS.", hint=hint, context=doing)
    elif isinstance(error, exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        hint = "If its authority is your own, name its certificates in AWS_CA_BUNDLE."
        meaning = StorageDeniedError("The certificate of the endpoint is not trusted.", hint=hint, context=doing)
    elif isinstance(error, _CONNECTION):
        meaning = TransientError(_in_words(error))
    return meaning


def _answered(error: exceptions.ClientError, doing: str) -> Exception:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    response = error.response.get("ResponseMetadata", {})
    status = int(response.get("HTTPStatusCode", 0))
    asked = seconds_asked(response.get("HTTPHeaders", {}).get("retry-after"))
    if code in _PASSING:
        return TransientError(f"the store answered {code}", retry_after=asked)
    if code in _MEANINGS:
        kind, sentence, hint = _MEANINGS[code]
        return kind(f"{sentence.format(said=code)}.", hint=hint, context=doing)
    if code == "NoSuchKey" and doing.startswith("writing"):
        return OutputConflictError("The object was removed meanwhile.", context=doing)
    if status == 501 and doing.startswith("writing"):
        return NotSupportedError(code)
    return explained(status, doing, f"{code} {message}".strip(), retry_after=asked)


def _in_words(error: Exception) -> str:
    if isinstance(error, exceptions.ReadTimeoutError | exceptions.ConnectTimeoutError):
        return "the transfer stalled"
    return f"{type(error).__name__}: {str(error)[:200]}"
