"""Clients' keys: what the map holds of them, and what becomes of them."""

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import gateway_keys
from ansible_collections.rackstart.cluster.plugins.module_utils.gateway_keys import Key, KeyProblem

from rackstart import key as wrapper

NOW = 1_000
A, B, C = (digit * 64 for digit in "abc")
ANNA = Key(A, "anna", expires=0, rate=60, models=("tiny", "org/big:1"), created=10)
BERT = Key(B, "bert", created=20)


def test_a_map_is_read_as_it_was_written() -> None:
    text = gateway_keys.text([ANNA, BERT])
    assert text == f"{A} anna|0|60|,tiny,org/big:1,|10\n{B} bert|0|0|*|20\n"
    assert gateway_keys.read(f"# comment\n\n{text}") == [ANNA, BERT]


@pytest.mark.parametrize(
    "wrong", [A, f"{A} anna|0|0|*", f"{A} anna|x|0|*|0", f"{A[1:]} anna|0|0|*|0", f"{A} anna|-1|0|*|0", f"{A} |0|0|*|0"]
)
def test_a_line_that_is_none_is_named(wrong: str) -> None:
    with pytest.raises(KeyProblem, match="line 2 of the keys"):
        gateway_keys.read(f"{gateway_keys.line(BERT)}\n{wrong}\n")


@pytest.mark.parametrize(
    "key", [replace(ANNA, client="a b"), replace(ANNA, client="a,b"), replace(ANNA, models=("a|b",)), replace(ANNA, models=("a,b",))]
)
def test_what_would_be_read_as_something_else_is_refused(key: Key) -> None:
    with pytest.raises(KeyProblem):
        gateway_keys.added([], key, NOW)


def test_a_client_has_one_key() -> None:
    assert gateway_keys.added([BERT], ANNA, NOW) == [BERT, ANNA]
    with pytest.raises(KeyProblem, match="rotate it"):
        gateway_keys.added([ANNA], replace(ANNA, sha256=C), NOW)
    expired = replace(ANNA, expires=NOW)
    assert gateway_keys.added([expired], replace(ANNA, sha256=C), NOW) == [replace(ANNA, sha256=C)]


def test_a_client_that_is_revoked_has_none() -> None:
    assert gateway_keys.revoked([ANNA, replace(ANNA, sha256=C), BERT], "anna") == [BERT]
    with pytest.raises(KeyProblem, match="no client carl has a key; clients: anna, bert"):
        gateway_keys.revoked([ANNA, BERT], "carl")


@pytest.mark.parametrize(
    ("expires", "overlap", "ends"), [(0, 60, NOW + 60), (NOW + 5, 60, NOW + 5), (NOW + 90, 60, NOW + 60), (0, 0, None)]
)
def test_a_rotated_key_goes_on_for_the_overlap(expires: int, overlap: int, ends: int | None) -> None:
    keys = gateway_keys.rotated([replace(ANNA, expires=expires), BERT], Key(C, "anna"), overlap, NOW)
    old = [key for key in keys if key.sha256 == A]
    assert [key.expires for key in old] == ([] if ends is None else [ends])
    [new] = [key for key in keys if key.sha256 == C]
    assert (new.client, new.rate, new.models, new.expires, new.created) == ("anna", 60, ANNA.models, expires, NOW)
    assert BERT in keys


@pytest.mark.parametrize("given", [{"expires": NOW + 500}, {"rate": 5}, {"models": ("big",)}])
def test_a_rotated_key_may_differ_from_the_one_before(given: dict[str, Any]) -> None:
    before = replace(ANNA, expires=NOW + 90)
    [old, new] = gateway_keys.rotated([before], Key(C, "anna", **given), 60, NOW)
    assert new == replace(before, sha256=C, created=NOW, **given)
    assert old == replace(before, expires=NOW + 60)


def test_a_key_of_one_s_own_is_kept_beside_those_of_others() -> None:
    own = Key(C, "rackstart")
    keys = gateway_keys.ensured([ANNA], own)
    assert keys == [ANNA, own]
    assert gateway_keys.ensured(keys, replace(own, created=NOW)) == keys
    assert gateway_keys.ensured(keys, Key(B, "rackstart")) == [ANNA, Key(B, "rackstart")]


def test_both_sides_mean_the_same_client_by_rackstart_s_own() -> None:
    assert gateway_keys.OWN == wrapper.OWN
