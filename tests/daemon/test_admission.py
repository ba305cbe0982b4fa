"""Which sessions are taken: limits by number, by measured load, and by what the endpoint carries."""

from __future__ import annotations

from itertools import pairwise

from solders.pubkey import Pubkey

from awm_crank.config import CrankConfig
from awm_crank.daemon.admission import Admission, LoadSample

SECOND = 1_000_000_000


def loaded(share: float, serving: int, *, slow: int = 0, limits: CrankConfig | None = None) -> Admission:
    """An Admission that has measured a load of `share` of a core over ten seconds, with `serving` sessions."""
    admission = Admission(limits or CrankConfig())
    for n in range(11):
        look = LoadSample(n * SECOND, round(n * share * SECOND), n * 60 * serving, n * slow)
        admission.sampled(look, serving=serving, opening=0)
    return admission


def test_number() -> None:
    """At most `max_sessions` sessions are taken."""
    admission = Admission(CrankConfig(max_sessions=2))
    assert admission.full(1) is None
    word, why = admission.full(2) or ("", "")
    assert word == "sessions"
    assert "crank.max_sessions" in why


def test_load() -> None:
    """A session is taken as long as there is room for the load that one session measurably takes."""
    admission = loaded(0.5, serving=5)
    assert 0.4 < admission.load <= 0.5
    assert admission.full(7) is None
    word, why = admission.full(8) or ("", "")
    assert word == "load"
    assert "crank.max_load_percent" in why
    assert loaded(0.5, 5, limits=CrankConfig(max_load_percent=0)).full(100) is None


def test_nothing_measured() -> None:
    """Before any session is served, no measurement refuses one."""
    assert Admission(CrankConfig()).full(50) is None


def test_opening_counts_for_nothing() -> None:
    """The cost of restoring a session does not count as the cost of its frames."""
    admission = loaded(0.1, serving=2)
    busy = LoadSample(12 * SECOND, 3 * SECOND, 2000, 0)
    admission.sampled(busy, serving=2, opening=1)
    assert admission.load < 0.11


def measured(admission: Admission, seconds: range, *, late: int) -> None:
    """Simulates seconds with 120 frames each, of which `late` are late."""
    for n in seconds:
        look = LoadSample(n * SECOND, n * SECOND // 10, n * 120, 300 + (n - 10) * late)
        admission.sampled(look, serving=2, opening=0)


def test_late_frames() -> None:
    """While many frames land late, a new session waits; it is taken when frames are in time again."""
    admission = loaded(0.1, serving=2, slow=30)
    assert (admission.full(2) or ("", ""))[0] == "slow"
    measured(admission, range(11, 20), late=0)
    assert admission.full(2) is None


def test_few_late_frames() -> None:
    """Three late frames in a hundred, which are normal on a busy host, keep no session out."""
    assert loaded(0.1, serving=2, slow=3).full(2) is None


def test_late_frames_do_not_keep_a_session_out_for_ever() -> None:
    """If frames stay late, one more session is admitted after ten seconds, the next one after twenty, and so on."""
    admission = loaded(0.1, serving=2, slow=30)
    taken = []
    for n in range(11, 90):
        measured(admission, range(n, n + 1), late=30)
        if admission.full(2) is None:
            admission.took()
            taken.append(n)
    assert taken[0] <= 12
    assert [b - a for a, b in pairwise(taken)] == [20, 40]


def test_kept() -> None:
    """A refused session is kept, and recognized when it comes again."""
    admission, key = Admission(CrankConfig()), Pubkey.new_unique()
    assert admission.keep(key, b"one")
    assert not admission.keep(key, b"two")
    assert admission.refused == {key: b"two"}
