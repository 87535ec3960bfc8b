"""What a verdict names of several problems, and what it means that a block could not be read."""

from __future__ import annotations

from understudy.kernel.verdict import INTACT, MATCH, MISMATCH, UNVERIFIABLE, Problem, Verdict, reading_problem, worse
from understudy.objects.ids import Id, raw_id
from understudy.store.errors import Corrupt, Missing


def test_what_can_not_be_read_is_damage_unless_it_is_only_not_here():
    gone, damaged = Missing(Id(raw_id(b"x"))), Corrupt("broken", Id(raw_id(b"y")))
    assert reading_problem(gone, whole=True).verdict == MISMATCH
    assert reading_problem(gone, whole=False).verdict == UNVERIFIABLE
    assert reading_problem(damaged, whole=False).verdict == MISMATCH


def test_a_mismatch_goes_before_what_is_unverifiable_and_a_lower_step_before_a_higher():
    cut, wrong, later = (
        Problem(verdict=verdict, cause="x", reason="y", height=height)
        for verdict, height in ((UNVERIFIABLE, 1), (MISMATCH, 5), (MISMATCH, 9))
    )
    assert worse(cut, later) is later
    assert worse(later, wrong) is wrong
    assert worse(None, cut) is cut
    assert worse(None, None) is None


def test_only_a_match_and_what_is_intact_are_well():
    found = {
        word: Verdict(verdict=word, actor="a", head="h", height=0).ok
        for word in (MATCH, INTACT, MISMATCH, UNVERIFIABLE)
    }
    assert found == {MATCH: True, INTACT: True, MISMATCH: False, UNVERIFIABLE: False}


def test_what_could_not_be_read_is_named():
    gone = Id(raw_id(b"x"))
    assert reading_problem(Missing(gone), whole=False).path == str(gone)
    assert reading_problem(Corrupt("broken", gone), whole=True).path == str(gone)
