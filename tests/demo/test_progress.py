"""The state that results from a call's events, and its display."""

import io

from rich.console import Console

from callreel.demo import summary
from callreel.demo.progress import Line, Progress
from callreel.demo.screen import Screen, clock


def progress_after(*events: tuple[str, dict[str, object]]) -> Progress:
    progress = Progress()
    for kind, data in events:
        progress.apply(kind, data)  # type: ignore[arg-type]
    return progress


FINAL = ("final", {"role": "agent", "start_ms": 61_500, "text": "good morning"})


def test_final_replaces_its_partial() -> None:
    progress = progress_after(
        ("partial", {"role": "agent", "text": "good mor"}),
        ("partial", {"role": "technician", "text": "yes"}),
        FINAL,
    )
    assert progress.lines == [Line("agent", 61_500, "good morning")]
    assert progress.partials == {"technician": "yes"}


def test_final_without_words_adds_no_line() -> None:
    assert progress_after(("final", {"role": "agent", "start_ms": 0, "text": ""})).lines == []


def test_call_is_finished_with_a_verdict_or_a_parked_stage() -> None:
    assert not progress_after(
        ("call", {"state": "ended"}), ("stage", {"stage": "download", "state": "parked"})
    ).closed
    assert progress_after(("call", {"state": "ended"}), ("call", {"state": "closed"})).closed
    assert progress_after(("stage", {"stage": "compare", "state": "parked"})).closed


def test_legs_layers_recording_and_levels_are_stored() -> None:
    progress = progress_after(
        ("call", {"leg": "technician", "status": "ringing"}),
        ("layer", {"layer": "live_8k", "role": "agent", "state": "recording"}),
        ("recording", {"state": "in_progress"}),
        ("level", {"position_ms": 500, "lag_ms": 20.4, "finals_waiting": None}),
        ("something-new", {"state": "?"}),
    )
    assert progress.legs == {"technician": "ringing"}
    assert progress.layers == {("live_8k", "agent"): "recording"}
    assert progress.recording == "in_progress"
    assert (progress.position_ms, progress.lag_ms, progress.finals_waiting) == (500, 20, 0)


def test_without_a_terminal_each_change_is_printed_once() -> None:
    stream = io.StringIO()
    progress = progress_after(
        ("call", {"state": "live"}), FINAL, ("partial", {"role": "agent", "text": "may change"})
    )
    with Screen(Console(file=stream, width=80)) as screen:
        screen.step("calling")
        screen.show(progress)
        screen.show(progress)
        progress.apply("verdict", {"verdict": "verified"})
        screen.show(progress)
    assert stream.getvalue().splitlines() == [
        "calling",
        "01:01  agent      good morning",
        "  call live",
        "  verdict verified",
    ]


def test_terminal_shows_partials() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, height=30, force_terminal=True, color_system=None)
    with Screen(console) as screen:
        screen.step("starting")
        screen.step("calling")
        screen.show(
            progress_after(
                ("call", {"state": "live"}), FINAL, ("partial", {"role": "agent", "text": "may change"})
            )
        )
    shown = stream.getvalue()
    assert "✓ starting" in shown
    assert "01:01  agent      good morning" in shown
    assert "may change …" in shown


def test_position_is_shown_as_minutes_and_seconds() -> None:
    assert [clock(ms) for ms in (0, 59_999, 60_000, 3_600_000)] == ["00:00", "00:59", "01:00", "60:00"]


def test_summary_reports_everything_and_what_is_missing() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    layer = {
        "layer": "live_8k",
        "role": "agent",
        "path": "a/b.wav",
        "rate_hz": 8000,
        "channels": 1,
        "duration_ms": 1500,
        "sha256": "ab" * 32,
    }
    summary.show(
        console,
        {
            "turns": [{"role": "agent", "start_ms": 0, "end_ms": 1, "text": "hello [bold]there[/bold]"}],
            "layers": [layer, {**layer, "role": None, "sha256": None}],
            "verdict": "explained",
            "reasons": [{"code": "late", "role": "agent", "detail": "the stream began late"}],
            "cost": {"currency": "USD", "total": 0.02, "items": [{"name": "recording", "amount": 0.02}]},
        },
    )
    shown = stream.getvalue()
    assert "00:00  agent      hello [bold]there[/bold]" in shown
    assert "1.50 s  sha256 abababababab…" in shown
    assert "not closed" in shown
    assert "Verdict: explained\n  agent: the stream began late" in shown
    assert "0.02 USD (recording 0.02)" in shown
    stream.truncate(0)
    summary.show(console, {"turns": [], "layers": [], "verdict": None, "reasons": [], "cost": None})
    assert "No final transcript." in stream.getvalue()
    assert "Verdict: none yet" in stream.getvalue()
