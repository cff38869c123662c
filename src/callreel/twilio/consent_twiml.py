"""TwiML that plays the notice about the recording, or asks for consent: on the dialled leg before the bridge, or on the
caller's leg before the dial.

The question is spoken outside of `<Gather>`, so that no key interrupts it: an answer proves that it was played to its end.
"""

from twilio.twiml.voice_response import Gather, VoiceResponse

from callreel.domain.consent import Wording

WAIT_S = 6
"""How long the carrier waits for a key or a word after the question."""

_POST = "POST"


def notice(wording: Wording, sound_url: str, next_url: str) -> str:
    """Plays the notice, then continues with the document at `next_url`."""
    response = VoiceResponse()
    _play(response, wording, sound_url)
    response.redirect(next_url, method=_POST)
    return str(response)


def question(wording: Wording, sound_url: str, answer_url: str) -> str:
    """Plays the question, waits for one key or for words, and sends them to `answer_url`, without either too."""
    response = VoiceResponse()
    _play(response, wording, sound_url)
    response.append(
        Gather(
            input="dtmf speech" if wording.yes else "dtmf",
            num_digits=1,
            timeout=WAIT_S,
            speech_timeout="auto" if wording.yes else None,
            language=wording.language if wording.yes else None,
            hints=", ".join((*wording.yes, *wording.no)) or None,
            action=answer_url,
            method=_POST,
        )
    )
    response.redirect(answer_url, method=_POST)
    return str(response)


def proceed() -> str:
    """Ends the document of the dialled leg, which is then bridged."""
    return str(VoiceResponse())


def hang_up() -> str:
    """Ends the leg."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def _play(response: VoiceResponse, wording: Wording, sound_url: str) -> None:
    if sound_url:
        response.play(sound_url)
    else:
        response.say(wording.text, language=wording.language)
