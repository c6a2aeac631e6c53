"""Where workers run: what is taken of each machine of a cluster."""

import pytest

from taglm_core.errors import ConfigError
from taglm_ray.places import find_places


def node(name, alive=True, **resources):
    """Return a machine as Ray lists it."""
    return {"NodeID": name, "Alive": alive, "Resources": resources}


def shown(places):
    """Return what each worker takes."""
    return [(place.node, place.cores, place.gpus) for place in places]


def test_without_gpus_a_worker_has_four_cores():
    """A small machine has one worker with all of its cores; one without cores has none."""
    nodes = [node("head"), node("a", CPU=16.0), node("b", CPU=2.0), node("gone", False, CPU=8.0)]
    assert shown(find_places(nodes, None)) == [("a", 4.0, 0.0)] * 4 + [("b", 2.0, 0.0)]


def test_a_gpu_has_a_worker_and_machines_without_have_none():
    """The cores of a machine are divided among its GPUs."""
    nodes = [node("a", CPU=16.0), node("b", CPU=48.0, GPU=4.0)]
    assert shown(find_places(nodes, None)) == [("b", 12.0, 1.0)] * 4


def test_the_user_says_how_many_workers_there_are():
    """They are spread over the machines; more than cores share them."""
    nodes = [node("a", CPU=6.0), node("b", CPU=1.0)]
    expected = [("a", 3.0, 0.0)] * 2 + [("b", 0.5, 0.0)] * 2
    assert shown(find_places(nodes, 4)) == expected
    assert [place.threads for place in find_places(nodes, 4)] == [3, 3, 1, 1]
    assert shown(find_places([node("g", CPU=8.0, GPU=1.0)], 2)) == [("g", 4.0, 0.5)] * 2


def test_a_cluster_without_cores_is_refused():
    """One line says what is missing."""
    with pytest.raises(ConfigError, match="no machine of the cluster has a core"):
        find_places([node("head")], None)
