"""The limit on failed sign-ins, with a manual clock."""

from callreel.web.auth.attempts import AttemptLimit


def test_waits_after_the_limit_until_the_oldest_failure_is_past() -> None:
    limit = AttemptLimit(limit=3, window_s=60)
    for second in (0.0, 10.0, 20.0):
        assert limit.wait_s("ada", second) == 0
        limit.failed("ada", second)
    assert limit.wait_s("ada", 30.0) == 30.0
    assert limit.wait_s("bob", 30.0) == 0
    assert limit.wait_s("ada", 60.0) == 0


def test_success_forgets_failures() -> None:
    limit = AttemptLimit(limit=1, window_s=60)
    limit.failed("ada", 0)
    limit.succeeded("ada")
    assert limit.wait_s("ada", 1) == 0


def test_keys_are_bounded() -> None:
    limit = AttemptLimit(limit=1, window_s=60, max_keys=2)
    for key in ("a", "b", "c"):
        limit.failed(key, 0)
    assert [limit.wait_s(key, 1) > 0 for key in ("a", "b", "c")] == [False, True, True]
