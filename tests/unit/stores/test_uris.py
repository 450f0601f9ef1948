"""Names: which are refused, which lie beside each other, and how they are shown."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError
from nbstep_runner.session.stores import StoreSource
from nbstep_runner.stores import below, check_output, join, link_below, open_store, redact, sibling
from nbstep_runner.stores.uris import checked, scheme_of
from nbstep_runner.testing import MemorySpace, MemoryStore

REFUSED = [
    "",
    "simplecache::s3://bucket/a",
    "s3://bucket/a::gs://bucket/b",
    "file:relative.ipynb",
    "file:/absolute.ipynb",
    "gs:bucket/a",
    "javascript:alert(1)",
    "gs://bucket/../other/a",
    "gs://bucket/a/..",
    "s3://bucket/./a",
    "https://host/%2e%2e/a",
    "https://host/%252e%252e/a",
    "s3://b/%" + "25" * 20_000 + "2e",
    "sftp://host/a/..%2fb/../c",
    "file:///data/../etc/passwd",
    "out_{alpha}.ipynb",
    "gs://bucket/{run_id}.ipynb",
    "a\x00b",
    "gs://bucket/a\r\nHost: other",
    "report\u202egnp.ipynb",
    "https://ho st/a",
    'https://ho"st/a',
    "https://[::1/a",
    "https://host:port/a",
    "sftp://host:99999/a",
    "s3://[bucket/a",
]
ALLOWED = [
    "a.ipynb",
    "../up.ipynb",
    "/data/a b.ipynb",
    "./odd:name.ipynb",
    "12:30.ipynb",
    "gs://bucket/a/b..c/x.ipynb",
    "s3://bucket/key?versionId=1#x",
    "https://host/a.ipynb?range=1..5",
    "http://[::1]:8080/a.ipynb",
    "https://user:word@[2001:db8::1]/a.ipynb",
    "sftp://user@host:2222/~/a.ipynb",
]
WORD = st.text("abcXYZ019-._~!$+,", min_size=1, max_size=12)


PIECES = ("a", "/", "?", "#", "@", ":", "[", "]", "%", "%2e", "..", "::", "\u00b2", " ", "~", "1", ".ipynb", "\\")


@given(
    st.sampled_from(["", "/", "http://", "s3://", "sftp://", "memory://"]),
    st.lists(st.sampled_from(PIECES), max_size=7),
)
def test_whatever_is_typed_has_a_store_or_is_refused(scheme: str, pieces: list[str]) -> None:
    uri = scheme + "".join(pieces)
    redact(uri)
    with suppress(BadInputError):
        stores = StoreSource(StorageOptions())
        assert stores(uri) is stores(uri)


@pytest.mark.fault(38)
@pytest.mark.parametrize("uri", REFUSED)
def test_a_dangerous_name_is_refused(uri: str) -> None:
    with pytest.raises(BadInputError, match="is refused"):
        open_store(uri)


@pytest.mark.parametrize("uri", ALLOWED)
def test_a_plain_name_is_taken(uri: str) -> None:
    assert checked(uri) == uri


@pytest.mark.fault(38)
@pytest.mark.parametrize("scheme", ["nope", "zip", "tar", "simplecache", "data", "local", "dir", "reference", "gcs"])
def test_a_scheme_that_nothing_serves_is_refused(scheme: str) -> None:
    with pytest.raises(BadInputError, match=f"Nothing that is installed serves {scheme}://"):
        open_store(f"{scheme}://bucket/a")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("x/out.ipynb", "x/out.result.json"),
        ("x/OUT.IPYNB", "x/OUT.result.json"),
        ("out", "out.result.json"),
        ("model.v1", "model.v1.result.json"),
        ("gs://b/x/out.ipynb", "gs://b/x/out.result.json"),
        ("s3://b/x/what?.ipynb", "s3://b/x/what?.result.json"),
        ("https://h/x/out.ipynb?sig=a/b.ipynb#part", "https://h/x/out.result.json?sig=a/b.ipynb#part"),
        ("sftp://h/x.ipynb/out.ipynb", "sftp://h/x.ipynb/out.result.json"),
        ("x/.ipynb", "x/.ipynb.result.json"),
    ],
)
def test_a_sibling_shares_the_stem(uri: str, expected: str) -> None:
    assert sibling(uri, ".result.json") == expected


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("runs", "runs/a"),
        ("runs/", "runs/a"),
        ("", "a"),
        ("gs://b", "gs://b/a"),
        ("https://h/runs?sig=1", "https://h/runs/a?sig=1"),
    ],
)
def test_a_name_is_joined(prefix: str, expected: str) -> None:
    assert join(prefix, "a") == expected


@pytest.mark.parametrize(("uri", "scheme"), [("a", "file"), ("C:/a", "file"), ("GS://b/a", "gs"), ("a/b://c", "file")])
def test_a_scheme_is_recognised(uri: str, scheme: str) -> None:
    assert scheme_of(uri) == scheme


@pytest.mark.fault(39)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://token@host/a", "https://***@host/a"),
        ("https://user:word@host/a", "https://***@host/a"),
        ("sftp://me:word@host:22/a", "sftp://me:***@host:22/a"),
        ("sftp://me@host/a", "sftp://me@host/a"),
        ("sftp://me:wo/rd@host/a", "sftp://me:***"),
        ("https://h/a?X-Amz-Signature=abc&versionId=3", "https://h/a?X-Amz-Signature=***&versionId=***"),
        ("https://h/a?eyJhbGciOi.abc", "https://h/a?***"),
        ("https://h/a;b&c?x=1&token;y#part", "https://h/a;b&c?x=***&***;***#part"),
        ("s3://bucket/what?.ipynb", "s3://bucket/what?.ipynb"),
        ("https://h/a#access_token=abc", "https://h/a#access_token=***"),
        ("reading https://u:w@h/a: no; see https://u:w@h/b", "reading https://***@h/a: no; see https://***@h/b"),
        ("gs://bucket/a@b.ipynb", "gs://bucket/a@b.ipynb"),
        ("no address at all", "no address at all"),
        ("a" * 300_000, "a" * 300_000),
        (f"{'a' * 300_000}://me:word@host/a", f"{'a' * 300_000}://me:***@host/a"),
    ],
)
def test_secrets_are_hidden(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.fault(39)
@given(user=WORD, password=WORD, value=WORD, scheme=st.sampled_from(["https", "http", "sftp", "ftp"]))
def test_no_secret_of_any_uri_is_shown(user: str, password: str, value: str, scheme: str) -> None:
    secret, signature = f"pw{password}pw", f"sig{value}sig"
    shown = redact(f"failed: {scheme}://{user}:{secret}@host:99/a/b.ipynb?sig={signature}&x=1, twice")
    assert secret not in shown
    assert signature not in shown
    assert "host:99/a/b.ipynb" in shown


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_is_refused(text: str) -> None:
    try:
        assert checked(text) == text
    except BadInputError as error:
        assert error.hint  # noqa: PT017 - either outcome is right


@given(stem=WORD, scheme=st.sampled_from(["", "/data/", "gs://bucket/", "sftp://host/", "https://host/"]))
def test_siblings_of_two_objects_never_meet(stem: str, scheme: str) -> None:
    first, second = f"{scheme}{stem}.ipynb", f"{scheme}{stem}x.ipynb"
    assert sibling(first, ".result.json") != sibling(second, ".result.json")


@pytest.mark.parametrize(
    ("uri", "signed"),
    [
        ("https://bucket.s3.amazonaws.com/out.ipynb?X-Amz-Algorithm=AWS4&X-Amz-Signature=ab", True),
        ("https://storage.googleapis.com/b/out.ipynb?X-Goog-Signature=ab", True),
        ("https://account.blob.core.windows.net/c/out.ipynb?sv=2024&sig=ab", True),
        ("https://host/out.ipynb?token=folder", False),
        ("s3://bucket/out?sig=name", False),
        ("sig=x", False),
    ],
)
def test_an_output_that_is_signed_alone_is_refused(uri: str, signed: bool) -> None:
    if not signed:
        return check_output(uri, MemoryStore(MemorySpace()))
    with pytest.raises(BadInputError, match="signed for one object"):
        check_output(uri, MemoryStore(MemorySpace()))
    return None


@given(st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1))
def test_a_link_leads_to_the_object_that_a_name_is_stored_under(name: str) -> None:
    """A browser reads a link percent-decoded: what it then asks for is the object's name, or the URI's path."""
    for folder, decoded in (
        ("gs://bucket/out.files", False),
        ("/data/out.files", False),
        ("https://h/out.files", True),
    ):
        link, stored = link_below(folder, name), below(folder, name)
        assert link.startswith("./out.files/")
        assert ":" not in link.partition("/")[2].partition("?")[0] or decoded
        reached = folder.removesuffix("out.files") + link.removeprefix("./")
        assert (reached if decoded else unquote(reached)) == stored
