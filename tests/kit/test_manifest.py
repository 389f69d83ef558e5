"""The manifest as JSON: what comes back is what went, and nothing else is believed."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graders.errors import ManifestInvalid
from graders.languages import LANGUAGES
from graders.manifest import Manifest, manifest_from_json, manifest_to_json
from sandbox.run import DeclaredTest, Isolation, Limits

ids = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
points = st.floats(min_value=0, max_value=1e6, allow_nan=False)
declared = st.builds(
    DeclaredTest,
    test_id=ids,
    title=st.text(min_size=1, max_size=300),
    max_score=points,
    visible=st.booleans(),
)
manifests = st.builds(
    Manifest,
    name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    title=st.text(min_size=1, max_size=300),
    base=st.sampled_from(sorted(LANGUAGES)),
    tier=st.sampled_from([0, 1, 2]),
    tests=st.lists(declared, max_size=5, unique_by=lambda test: test.test_id).map(tuple),
    limits=st.builds(Limits, wall_s=st.floats(min_value=0.1, max_value=3600)),
    isolation=st.none() | st.sampled_from(Isolation),
    runtime=st.sampled_from([None, "runc", "runsc"]),
    lms_points=st.none() | st.floats(min_value=0.1, max_value=1e6),
    image=st.sampled_from([None, "name@sha256:" + "0" * 64]),
    needs_files=st.lists(ids.filter(lambda name: name not in (".", "..")), max_size=3).map(tuple),
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(manifests)
def test_a_manifest_survives_the_journey(manifest):
    travelled = json.loads(json.dumps(manifest_to_json(manifest), allow_nan=False))
    assert manifest_from_json(travelled) == manifest


def good():
    manifest = Manifest(
        name="x",
        title="X",
        base="python",
        tier=0,
        tests=(DeclaredTest(test_id="a", title="A", max_score=1),),
        limits=Limits(),
    )
    return manifest_to_json(manifest)


def changed(path, value):
    obj = good()
    *way, last = path
    target = obj
    for step in way:
        target = target[step]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return obj


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (["format"], 2, "format"),
        (["format"], ..., "format"),
        (["more"], 1, "the manifest"),
        (["name"], "../x", "name"),
        (["name"], "x\n", "name"),
        (["name"], ["x"], "name"),
        (["title"], "", "title"),
        (["title"], "x" * 301, "title"),
        (["base"], "cobol", "base"),
        (["base"], [], "base"),
        (["tier"], True, "tier"),
        (["tier"], 3, "tier"),
        (["tests"], {}, "tests"),
        (["tests"], [{}], "tests[0]"),
        (["tests", 0, "id"], "a/b", "tests[0].id"),
        (["tests", 0, "max"], math.nan, "tests[0].max"),
        (["tests", 0, "max"], True, "tests[0].max"),
        (["tests", 0, "max"], "1", "tests[0].max"),
        (["tests", 0, "max"], 10**400, "tests[0].max"),
        (["tests", 0, "visible"], 1, "tests[0].visible"),
        (["tests"], good()["tests"] * 2, "tests[1]"),
        (["tests"], [{}] * 1001, "tests"),
        (["limits"], None, "limits"),
        (["limits", "wall_s"], ..., "limits"),
        (["limits", "wall_s"], 0, "limits.wall_s"),
        (["limits", "wall_s"], math.inf, "limits.wall_s"),
        (["limits", "pids"], 1.5, "limits.pids"),
        (["isolation"], "weak", "isolation"),
        (["runtime"], "kata", "runtime"),
        (["lms_points"], 0, "lms_points"),
        (["lms_points"], "10", "lms_points"),
        (["image"], "-v/:/x", "image"),
        (["image"], "a b", "image"),
        (["needs_files"], ["../a"], "needs_files"),
        (["needs_files"], [".."], "needs_files"),
        (["needs_files"], "a", "needs_files"),
    ],
)
def test_what_is_wrong_is_refused_by_name(path, value, where):
    with pytest.raises(ManifestInvalid) as caught:
        manifest_from_json(changed(path, value))
    assert caught.value.where == where


@pytest.mark.parametrize("obj", [None, [], "x", 3])
def test_what_is_no_object_is_refused(obj):
    with pytest.raises(ManifestInvalid):
        manifest_from_json(obj)
