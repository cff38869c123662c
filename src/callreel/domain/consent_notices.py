"""The notices of the first policy: an announcement and a question, in four languages. Administrators change them at will."""

from typing import Final

from callreel.domain.consent import Notice, Policy, Wording

ANNOUNCEMENT: Final = Notice(
    "Announcement",
    (
        Wording("en-US", "This call is recorded and transcribed."),
        Wording("de-DE", "Dieses Gespräch wird aufgezeichnet und verschriftlicht."),
        Wording("fr-FR", "Cet appel est enregistré et transcrit."),
        Wording("es-ES", "Esta llamada se graba y se transcribe."),
    ),
)
QUESTION: Final = Notice(
    "Question",
    (
        Wording(
            "en-US",
            "We would like to record and transcribe this call. Press 1 or say yes to agree. Press 2 or say no to decline.",
            yes=("yes", "I agree", "okay"),
            no=("no", "not", "don't"),
        ),
        Wording(
            "de-DE",
            "Wir möchten dieses Gespräch aufzeichnen und verschriftlichen. Drücken Sie die 1 oder sagen Sie ja, wenn Sie"
            " einverstanden sind. Drücken Sie die 2 oder sagen Sie nein, wenn nicht.",
            yes=("ja", "einverstanden"),
            no=("nein", "nicht"),
        ),
        Wording(
            "fr-FR",
            "Nous souhaitons enregistrer et transcrire cet appel. Appuyez sur 1 ou dites oui pour accepter. Appuyez sur 2 ou"
            " dites non pour refuser.",
            yes=("oui", "d'accord"),
            no=("non", "pas"),
        ),
        Wording(
            "es-ES",
            "Queremos grabar y transcribir esta llamada. Pulse 1 o diga sí para aceptar. Pulse 2 o diga no para rechazar.",
            yes=("sí", "de acuerdo"),
            no=("no",),
        ),
    ),
)
FIRST_POLICY: Final = Policy(notices=(ANNOUNCEMENT, QUESTION))
"""In force until an administrator saves another one: no rules, so every call is recorded without a notice."""
