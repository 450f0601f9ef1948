"""HTTP requests with the care that addresses from outside need.

Every address is checked before it is connected to, also after a redirect; the connection goes to the checked address.
Credentials of a URI go to its own server alone. Bodies come as they are stored, so that their length can be checked.
"""

from __future__ import annotations

import base64
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import Thread
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from nbstep_runner.errors import BadInputError
from nbstep_runner.stores import content
from nbstep_runner.stores.addresses import checked_addresses
from nbstep_runner.stores.pace import Pace, allowed
from nbstep_runner.stores.protocol import Source
from nbstep_runner.stores.retrying import TransientError, Try
from nbstep_runner.stores.uris import checked, redact

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 10
_SMALL: Final = 1 << 16
_KEPT: Final = httpx.Limits(max_connections=None, max_keepalive_connections=64)
"""Connections that stay open between requests: a list of runs looks into many folders at once."""
_READS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, as its store means it.

    Attributes:
        held: Called after the head has been sent, before the body is.
    """

    method: str
    uri: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Source | None = None
    held: Callable[[], None] | None = None


class HttpClient:
    """Connections to any number of servers, kept open between requests."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    @contextmanager
    def answer(self, ask: Ask, attempt: Try) -> Iterator[httpx.Response]:
        """The answer of the server that has the object, its body not read yet; redirects of reads are followed.

        Raises:
            BadInputError: An address is refused, or redirects do not end.
            TransientError: A name does not resolve.
            httpx.TransportError: No address could be connected to, or the connection failed.
        """
        at = replace(ask, uri=checked(ask.uri), headers={**ask.headers, **_authorization(ask.uri)})
        for _ in range(_MOST_REDIRECTS):
            response = self._send(at, attempt)
            try:
                target = _target(at, response)
                if target is None:
                    yield response
                    return
            finally:
                _release(response)
            at = _moved(at, target)
        raise BadInputError(f"{redact(ask.uri)} is redirected without end.", hint="Name the final address.")

    def _send(self, ask: Ask, attempt: Try) -> httpx.Response:
        url = httpx.URL(ask.uri).copy_with(userinfo=b"", fragment=None)
        if not url.host:
            raise BadInputError(f"{redact(ask.uri)} names no server.", hint="Write https://host/folder/name.")
        if _has_proxy(url):
            self._check_what_resolves(url)
            return _answered(self._proxied, _built(self._proxied, ask, url, attempt), ask)
        addresses = checked_addresses(url.host, _port(url), allow_private=self._allow_private)
        for address in addresses[:-1]:
            try:
                return self._connect(ask, url, address, attempt)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return self._connect(ask, url, addresses[-1], attempt)

    def _connect(self, ask: Ask, url: httpx.URL, address: str, attempt: Try) -> httpx.Response:
        request = _built(self._direct, ask, url.copy_with(host=address), attempt)
        request.headers["Host"] = url.netloc.decode()
        request.extensions["sni_hostname"] = url.host  # the certificate has to be the name's, not the address's
        return _answered(self._direct, request, ask)

    def _check_what_resolves(self, url: httpx.URL) -> None:
        """The proxy resolves the name again and decides; what is known here to be private is refused all the same."""
        try:
            checked_addresses(url.host, _port(url), allow_private=self._allow_private)
        except TransientError:
            return

    @cached_property
    def _certificates(self) -> ssl.SSLContext:
        return httpx.create_ssl_context(trust_env=True)  # SSL_CERT_FILE may name a company's own authority

    @cached_property
    def _direct(self) -> httpx.Client:
        return httpx.Client(trust_env=False, verify=self._certificates, cookies=_no_cookies(), limits=_KEPT)

    @cached_property
    def _proxied(self) -> httpx.Client:
        return httpx.Client(trust_env=True, verify=self._certificates, cookies=_no_cookies(), limits=_KEPT)


def _no_cookies() -> CookieJar:
    """A jar that takes none: one server's cookies could go to another that shares its address."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def body_of(response: httpx.Response) -> bytes:
    """The whole body as it was sent; see :func:`pieces_of`."""
    return content.gathered(pieces_of(response))


def pieces_of(response: httpx.Response) -> Iterator[bytes]:
    """The body as it was sent, its length checked.

    Raises:
        BadInputError: The server does not say where the body ends.
        TransientError: It trickles; see :mod:`nbstep_runner.stores.pace`.
    """
    if "Content-Length" not in response.headers and "chunked" not in response.headers.get("Transfer-Encoding", ""):
        raise BadInputError(
            "The server does not say how long the object is, so a part of it could be taken for the whole.",
            hint="Serve it with Content-Length.",
        )
    pace = Pace()
    for piece in response.iter_raw():
        pace.arrived(len(piece))
        yield piece


def _answered(client: httpx.Client, request: httpx.Request, ask: Ask) -> httpx.Response:
    """The answer to a request, its body not read yet.

    httpx bounds the time between two bytes alone, so a thread sends and waits; one that is given up is left to itself.

    Raises:
        TransientError: Neither the body goes up nor the answer's head comes down at the rate of :func:`pieces_of`.
        httpx.TransportError: The connection failed.
    """
    seconds = allowed(0 if ask.body is None else content.size_of(ask.body))
    answer: Future[httpx.Response] = Future()

    def send() -> None:
        try:
            response = client.send(request, stream=True)
        except Exception as error:  # noqa: BLE001 - whoever waits has to learn of it, whatever it is
            with suppress(InvalidStateError):
                answer.set_exception(error)
            return
        try:
            answer.set_result(response)
        except InvalidStateError:
            response.close()

    try:
        Thread(target=send, name="nbstep-http", daemon=True).start()
    except RuntimeError:  # the limit of processes leaves no room for a thread
        send()
    try:
        return answer.result(seconds)
    except TimeoutError:
        if not answer.cancel():
            return answer.result()
        raise TransientError(f"the server has not answered in {seconds:.0f} s") from None


def _built(client: httpx.Client, ask: Ask, url: httpx.URL, attempt: Try) -> httpx.Request:
    headers = {"Accept-Encoding": "identity", "User-Agent": _user_agent(), **ask.headers}
    body: bytes | Iterator[bytes] | None = None
    if ask.body is not None:
        body = ask.body if isinstance(ask.body, bytes) and not ask.held else _streamed(ask.body, ask.held)
        headers["Content-Length"] = str(content.size_of(ask.body))
    return client.build_request(ask.method, url, headers=headers, content=body, timeout=attempt.idle)


def _streamed(body: Source, held: Callable[[], None] | None) -> Iterator[bytes]:
    if held:
        held()
    yield from content.chunks(body)


def _user_agent() -> str:
    from nbstep_runner import __version__  # the package imports its stores

    return f"nbstep/{__version__}"


def _release(response: httpx.Response) -> None:
    """Leave the connection to the next request, where that costs little; the body of an error is never used."""
    length = response.headers.get("Content-Length", "")
    if not response.is_stream_consumed and length.isdecimal() and int(length) <= _SMALL:
        with suppress(httpx.TransportError):
            response.read()
    response.close()


def _target(ask: Ask, response: httpx.Response) -> str | None:
    """Where a read is redirected to.

    Raises:
        BadInputError: A write is redirected, or the target is not HTTP, or less safe.
    """
    location = response.headers.get("Location")
    if response.status_code not in _REDIRECTS or not location:
        return None
    if ask.method not in _READS:
        raise BadInputError(f"{redact(ask.uri)} is redirected, and writes are not.", hint="Name the final address.")
    try:
        target = urljoin(ask.uri, location)
        schemes = urlsplit(ask.uri).scheme.lower(), urlsplit(target).scheme.lower()
    except ValueError as error:
        raise BadInputError(f"{redact(ask.uri)} is redirected to no address.", hint="Name the final one.") from error
    if schemes[1] not in {"http", "https"} or schemes == ("https", "http"):
        raise BadInputError(f"{redact(ask.uri)} is redirected to {redact(target)}, which is refused.", hint="Name it.")
    return checked(target)


def _moved(ask: Ask, target: str) -> Ask:
    """The same read elsewhere; another server does not get the credentials."""
    if urlsplit(ask.uri)[:2] == urlsplit(target)[:2]:
        return replace(ask, uri=target)
    headers = {name: value for name, value in ask.headers.items() if name != "Authorization"}
    return replace(ask, uri=target, headers={**headers, **_authorization(target)})


def _authorization(uri: str) -> dict[str, str]:
    parts = urlsplit(uri)
    if not parts.username and not parts.password:
        return {}
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _has_proxy(url: httpx.URL) -> bool:
    proxies = urllib.request.getproxies()
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not urllib.request.proxy_bypass(url.host)


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
