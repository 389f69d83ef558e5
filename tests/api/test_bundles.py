"""Bundles: bytes by their digest, for whoever may have them."""

from __future__ import annotations

import io

import pytest

from tests.api.callers import BUNDLE, OTHER, Site, digest_of, problem_of, publication
from xqueue_server.models.account import Role
from xqueue_server.models.grader import MAX_BUNDLE_BYTES
from xqueue_server.storage import bundles

PATH = f"/bundles/{digest_of(BUNDLE)}"


def test_a_bundle_comes_back_byte_for_byte(site: Site) -> None:
    stored = site.author.put_bundle()
    assert stored.status_code == 201
    assert stored.get_json() == {
        "digest": f"sha256:{digest_of(BUNDLE)}",
        "size_bytes": len(BUNDLE),
    }
    got = site.author.call("GET", PATH)
    assert (got.status_code, got.get_data()) == (200, BUNDLE)
    assert got.content_type == "application/octet-stream"
    assert "immutable" in got.headers["Cache-Control"]


def test_the_same_bundle_again_is_no_news_for_the_one_who_stored_it(site: Site) -> None:
    again = [site.author.put_bundle().status_code for _ in range(2)]
    stranger = site.token("stranger", Role.AUTHOR, queue=OTHER)
    assert again == [201, 200]
    assert stranger.put_bundle().status_code == 201  # does not tell that it was there
    assert site.desk.count("bundles") == 1


def test_bytes_that_are_not_those_of_the_digest_are_refused(site: Site) -> None:
    problem_of(site.author.call("PUT", PATH, data=BUNDLE + b"!"), 409, "digest-mismatch")
    assert site.desk.count("bundles") == 0


@pytest.mark.parametrize("name", ["a" * 63, "A" * 64, "..", "g" * 64, "sha256:" + "a" * 64])
def test_a_name_that_is_no_digest_is_refused(site: Site, name: str) -> None:
    problem_of(site.author.call("PUT", f"/bundles/{name}", data=b"x"), 422, "invalid")
    problem_of(site.author.call("GET", f"/bundles/{name}"), 404, "not-found")


def test_the_largest_bundle_is_taken_and_a_byte_more_is_not(site: Site) -> None:
    largest = b"\0" * MAX_BUNDLE_BYTES
    assert site.author.put_bundle(largest).status_code == 201
    problem_of(site.author.put_bundle(largest + b"!"), 413, "too-large")


def test_a_bundle_of_unannounced_length_has_the_same_limit(site: Site) -> None:
    for extra, status in ((0, 201), (1, 413)):
        content = b"\0" * (MAX_BUNDLE_BYTES + extra)
        response = site.author.call(
            "PUT",
            f"/bundles/{digest_of(content)}",
            input_stream=io.BytesIO(content),
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert response.status_code == status


def test_a_bundle_that_ends_early_is_malformed_even_if_its_digest_fits(site: Site) -> None:
    response = site.author.call(
        "PUT",
        PATH,
        input_stream=io.BytesIO(BUNDLE),
        environ_overrides={"CONTENT_LENGTH": str(len(BUNDLE) + 1), "wsgi.input_terminated": True},
    )
    problem_of(response, 400, "malformed")
    assert site.desk.count("bundles") == 0


def test_a_client_that_has_the_bundle_is_told_so(site: Site) -> None:
    site.author.put_bundle()
    etag = site.author.call("GET", PATH).headers["ETag"]
    again = site.author.call("GET", PATH, headers={"If-None-Match": etag})
    assert (again.status_code, again.get_data()) == (304, b"")


def test_a_worker_gets_bundles_of_its_queues_only(site: Site) -> None:
    site.author.put_bundle()
    problem_of(site.worker.call("GET", PATH), 404, "not-found")
    site.author.publish()
    assert site.worker.call("GET", PATH).get_data() == BUNDLE
    elsewhere = site.password(site.account("elsewhere", Role.GRADER, queue=OTHER))
    theirs, absent = (elsewhere.call("GET", p) for p in (PATH, f"/bundles/{'0' * 64}"))
    assert (
        problem_of(theirs, 404, "not-found")["detail"]
        == (problem_of(absent, 404, "not-found")["detail"])
    )


def test_knowing_a_digest_is_not_having_the_bundle(site: Site) -> None:
    site.author.publish()
    thief = site.token("thief", Role.AUTHOR, queue=OTHER)
    refused = thief.call("POST", "/graders", json=publication(queue=OTHER))
    assert "stored" in problem_of(refused, 422, "invalid")["detail"]
    problem_of(thief.call("GET", PATH), 404, "not-found")


def test_whoever_authors_nothing_can_not_store_bundles(site: Site) -> None:
    problem_of(site.worker.put_bundle(), 403, "forbidden")
    problem_of(site.nobody.put_bundle(), 401, "not-signed-in")
    assert site.desk.count("bundles") == 0


def test_an_account_can_not_fill_the_database_with_bundles(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xqueue_server.authoring.publishing.MOST_UNUSED_BUNDLES", 2)
    site.author.publish()
    for content in (b"one", b"two"):
        assert site.author.put_bundle(content).status_code == 201
    refused = site.author.put_bundle(b"three")
    problem_of(refused, 429, "too-many")
    assert int(refused.headers["Retry-After"]) > 0
    site.author.publish(content=b"two")


def test_a_bundle_that_nobody_publishes_goes_after_a_day_and_others_stay(site: Site) -> None:
    site.author.publish()
    site.author.put_bundle(b"unused")
    site.desk.clock.advance(bundles.UNUSED_KEPT_S - 1)
    with site.storage.write() as tx:
        assert bundles.remove_unused(tx) == 0
    site.desk.clock.advance(2)
    with site.storage.write() as tx:
        assert bundles.remove_unused(tx) == 1
        assert bundles.content_of(tx, digest_of(BUNDLE)) == BUNDLE
    problem_of(site.author.call("GET", f"/bundles/{digest_of(b'unused')}"), 404, "not-found")
