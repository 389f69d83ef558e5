"""A sandboxd in a container does not take the host's root along with the engine's socket."""

import pytest

from grader_worker.errors import SettingsError
from grader_worker.sandboxd.engine_trust import is_in_container, require_trusted_engine
from sandbox.backend import BackendDescription


def described(*, hands_out_root):
    return BackendDescription(name="docker", version="1", hands_out_root=hands_out_root)


def test_an_engine_that_makes_its_users_root_is_refused_in_a_container():
    with pytest.raises(SettingsError, match="--allow-root-engine"):
        require_trusted_engine(described(hands_out_root=True), in_container=True)


@pytest.mark.parametrize(("root", "in_container"), [(False, True), (True, False), (False, False)])
def test_everything_else_is_taken(root, in_container):
    require_trusted_engine(described(hands_out_root=root), in_container=in_container)


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_containers_are_known_by_what_engines_leave_in_them(tmp_path, mark):
    assert not is_in_container({}, tmp_path)
    (tmp_path / mark).parent.mkdir(exist_ok=True)
    (tmp_path / mark).touch()
    assert is_in_container({}, tmp_path)


def test_pods_are_known_by_their_environment(tmp_path):
    assert is_in_container({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)
