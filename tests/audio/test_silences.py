from callreel.audio.silences import Silence, Silences


def silences(*spans: tuple[int, int]) -> Silences:
    made = Silences()
    for start, end in spans:
        made.add(Silence(start, end, gap=True))
    return made


def test_covered_silences_are_found_newest_first() -> None:
    known = silences((0, 10), (20, 30), (40, 50))
    assert [silence.start for silence in known.under(25, 45, 0)] == [40, 20]
    assert known.under(10, 20, 0) == []


def test_rounding_covers_nothing() -> None:
    assert silences((20, 30)).under(0, 22, tolerance=2) == []
    assert len(silences((20, 30)).under(0, 23, tolerance=2)) == 1


def test_filled_silence_is_no_gap() -> None:
    known = silences((0, 100))
    known.shrink(known.known[0], 40, 60)
    assert known.known == (Silence(0, 40, True), Silence(60, 100, True))
    assert (known.gaps, known.gap_samples) == (2, 80)
    for silence in known.known:
        known.shrink(silence, silence.start, silence.end)
    assert len(known.known) == known.gaps == known.gap_samples == 0


def test_the_beginning_of_a_stream_is_not_counted() -> None:
    known = Silences()
    known.add(Silence(0, 100, gap=False))
    assert (known.gaps, known.gap_samples, len(known.known)) == (0, 0, 1)


def test_old_silences_are_dropped_but_stay_counted() -> None:
    known = silences(*((at, at + 1) for at in range(0, 10_000, 2)))
    assert (known.gaps, len(known.known)) == (5_000, 4_096)
