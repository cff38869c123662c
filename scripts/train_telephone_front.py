"""Trains pocketsphinx's telephone front end on parallel wide and narrow copies of speech. No transcripts are needed.

    .venv/bin/python scripts/train_telephone_front.py --collect FOLDER
    OPENBLAS_NUM_THREADS=1 .venv/bin/python scripts/train_telephone_front.py FOLDER

The first fills FOLDER, with pip, git and flite; the second takes some five minutes of one core. The speech:

- LibriSpeech test-other, 100 utterances of 10 speakers, CC BY 4.0, from the repository resemble-ai/Resemblyzer;
- pocketsphinx 5.1.1's own test recordings, BSD, from its source distribution (pip);
- `beckett.wav`, `endgame_nagg_nell.wav` and `clone-test.wav` of the wheel moonshine-voice 0.1.5, MIT (pip);
- the prompts of the Debian packages asterisk-core-sounds-{en,es,fr,it,ru}-g722 1.6.1, CC BY-SA 3.0: five speakers, five
  languages, wide-band (up to 7 kHz); drawn at random, 12 minutes of English and 4 of each other;
- flite's voices rms, slt, awb and kal16 saying words of pocketsphinx's dictionary drawn at random.

Left out, since the shared evaluation has them: pocketsphinx's librivox, goforward and cards/005, moonshine's two_cities.
So no clip of the evaluation is in the training. Of its speakers, those of goforward and cards/005 are (under a minute);
who speaks faster-whisper's two LibriSpeech clips is not known.

Each epoch hears every clip through another telephone: level, band edges, tilt, noise, mu-law. The network learns, by
Adam on the squared error, the cepstra of the wide copy. Arithmetic is numpy's, so the same seed on the same machine
gives the same weights.
"""

import argparse
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from callreel.asr.engines.telephone_front import (
    CEPSTRA,
    CONTEXT,
    NARROW,
    WIDE,
    cepstra,
    in_context,
    live_level,
    whole_level,
)
from callreel.audio import mulaw

Floats = npt.NDArray[np.float32]
Net = list[npt.NDArray[np.float32]]

WIDE_HZ = 16000
HIDDEN = 160
BATCH = 512
LIBRI_REPOSITORY = "https://github.com/resemble-ai/Resemblyzer"
LIBRI_COMMIT = "15d828edebe06bc72b9cabc8ef8ca5ab2cb457ce"
LIBRI_PATH = "audio_data/librispeech_test-other"
EVALUATED = ("librivox", "goforward", "cards/005", "two_cities", "awful", "evil", "null", "bad.wav", "vad/")
MOONSHINE_CLIPS = ("/beckett.wav", "/endgame_nagg_nell.wav", "/clone-test.wav")
PROMPT_MINUTES = {"en": 12, "es": 4, "fr": 4, "it": 4, "ru": 4}
FLITE_VOICES = ("rms", "slt", "awb", "kal16")
FLITE_SENTENCES = 50
FRESH_TELEPHONES = 6
"""Epochs for which a clip is heard through the same telephone."""
REAL_COPIES = 2
"""How often an epoch hears a recording of a person, each time through another telephone; a flite voice is heard once."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--collect", action="store_true", help="fetch the speech into FOLDER and stop")
    parser.add_argument("--libri", default=LIBRI_REPOSITORY, help="git repository to take LibriSpeech from")
    parser.add_argument("--out", type=Path, default=Path("src/callreel/engines/data/telephone_front.npz"))
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    if args.collect:
        collect(args.folder, args.libri)
    else:
        clips = read_clips(args.folder)
        net = train(clips, args.epochs, np.random.default_rng(args.seed))
        save(
            net,
            args.out,
            f"{len(clips)} clips, {args.epochs} epochs, seed {args.seed}, numpy {np.__version__}",
        )


# Speech


def collect(folder: Path, libri: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _libri(folder, libri)
    _packages(folder)
    _prompts(folder)
    _flite(folder)


def _libri(folder: Path, repository: str) -> None:
    bare = folder / "libri.git"
    subprocess.run(["git", "clone", "--bare", "--filter=blob:none", repository, bare], check=True)
    archive = subprocess.run(
        ["git", "--git-dir", bare, "archive", LIBRI_COMMIT, LIBRI_PATH], stdout=subprocess.PIPE, check=True
    )
    target = folder / "libri.tar"
    target.write_bytes(archive.stdout)
    with tarfile.open(target) as packed:
        packed.extractall(folder / "libri", filter="data")


def _packages(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(folder)]
    subprocess.run([*pip, "--no-binary", "pocketsphinx", "pocketsphinx==5.1.1"], check=True)
    subprocess.run([*pip, "moonshine-voice==0.1.5"], check=True)
    with tarfile.open(next(folder.glob("pocketsphinx-*.tar.gz"))) as packed:
        kept = [member for member in packed.getmembers() if "/test/" in member.name]
        packed.extractall(folder / "pocketsphinx", members=kept, filter="data")
    with zipfile.ZipFile(next(folder.glob("moonshine_voice-*.whl"))) as wheel:
        wheel.extractall(
            folder / "moonshine", [name for name in wheel.namelist() if name.endswith(MOONSHINE_CLIPS)]
        )


def _prompts(folder: Path) -> None:
    """Decoded from G.722; what is drawn is the same for the same packages."""
    import av  # of the extra whisper

    rng = np.random.default_rng(2)
    for language, minutes in PROMPT_MINUTES.items():
        package = f"asterisk-core-sounds-{language}-g722"
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        unpacked = folder / "prompts.deb" / language
        unpacked.mkdir(parents=True)
        subprocess.run(["dpkg-deb", "-x", next(folder.glob(f"{package}_*.deb")), unpacked], check=True)
        paths = sorted(path for path in unpacked.rglob("*.g722") if "silence" not in path.parts)
        seconds, target = 0.0, folder / "prompts" / language
        target.mkdir(parents=True)
        for at in rng.permutation(len(paths)):
            if seconds > 60 * minutes:
                break
            with av.open(str(paths[at]), format="g722") as coded:
                heard = [frame.to_ndarray()[0] for frame in coded.decode(audio=0)]
            samples = np.concatenate(heard)
            seconds += samples.size / WIDE_HZ
            soundfile.write(target / f"{at:04}.wav", samples, WIDE_HZ)


def _flite(folder: Path) -> None:
    from pocketsphinx import get_model_path

    lines = Path(get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8").splitlines()
    words = [line.split()[0] for line in lines if line[0].isalpha() and "(" not in line.split()[0]]
    rng = np.random.default_rng(1)
    (folder / "flite").mkdir(exist_ok=True)
    for voice in FLITE_VOICES:
        for number in range(FLITE_SENTENCES):
            text = " ".join(rng.choice(words, 9))
            target = folder / "flite" / f"{voice}-{number:03}.wav"
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", target], check=True)


@dataclass(frozen=True)
class Clip:
    """Wide samples at 16 kHz, full scale 1, and how often an epoch hears them."""

    wide: Floats
    copies: int


def read_clips(folder: Path) -> list[Clip]:
    """In the order of their paths."""
    clips = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in (".wav", ".flac", ".raw") and not any(part in name for part in EVALUATED):
            copies = 1 if "flite" in path.parts or "prompts" in path.parts else REAL_COPIES
            clips += [Clip(piece, copies) for piece in _pieces(_read(path))]
    for copies in (1, REAL_COPIES):
        seconds = sum(clip.wide.size for clip in clips if clip.copies == copies) / WIDE_HZ
        print(f"{seconds / 60:.1f} min heard {copies} times an epoch")
    return clips


def _read(path: Path) -> Floats:
    if path.suffix == ".raw":
        samples, rate_hz = np.fromfile(path, "<i2").astype(np.float32) / 32768, WIDE_HZ
    else:
        both, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        samples = both[:, 0]
    if rate_hz < WIDE_HZ:
        return np.zeros(0, np.float32)  # nothing to learn from
    resampled: Floats = soxr.resample(samples, rate_hz, WIDE_HZ)
    return resampled


def _pieces(samples: Floats, longest: int = 8 * WIDE_HZ) -> list[Floats]:
    """Utterances as the segmenter would give them: some seconds each."""
    if samples.size < WIDE_HZ // 2 or not np.abs(samples).max() > 0:
        return []
    loud = samples / np.abs(samples).max()
    return [piece for piece in np.array_split(loud, -(-loud.size // longest))]


# Telephones


def pair(wide: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """One clip through a telephone of its own: network inputs [frames, 171] and wide cepstra [frames, 13]."""
    wide = _padded(wide * 10 ** (rng.uniform(-20, 0) / 20), rng)
    target = cepstra(WIDE.energies(wide * 32767))
    narrow = soxr.resample(wide, WIDE_HZ, 8000)
    if rng.random() < 0.8:
        narrow = _line(narrow, rng)
    if rng.random() < 0.7:
        narrow = narrow + _noise(narrow, rng)
    coded = mulaw.decode(mulaw.encode((np.clip(narrow, -1, 1) * 32767).astype(np.int16)))
    # As it comes to the engine: up to 16 kHz in layer 2, and down again.
    there: Floats = soxr.resample(soxr.resample(coded.astype(np.float32), 8000, WIDE_HZ), WIDE_HZ, 8000)
    # As it is heard after the call, or while it goes on.
    level = whole_level if rng.random() < 0.5 else live_level
    inputs = in_context(level(NARROW.energies(there)))
    frames = min(len(inputs), len(target))
    return inputs[:frames], (target - target.mean(axis=0))[:frames]


def _padded(wide: Floats, rng: np.random.Generator) -> Floats:
    """Faint noise before and after, as the segmenter's margins have it: the mean is taken over all of it."""
    before, after = rng.integers(0, WIDE_HZ // 2, 2)
    quiet = np.float32(10 ** (rng.uniform(-80, -55) / 20))
    padded = np.concatenate([np.zeros(before), wide, np.zeros(after)])
    return (padded + quiet * rng.standard_normal(padded.size)).astype(np.float32)


def _line(narrow: Floats, rng: np.random.Generator) -> Floats:
    """Band edges of a Butterworth's magnitude and a tilt, in the frequency domain."""
    spectrum = np.fft.rfft(narrow)
    hertz = np.maximum(np.fft.rfftfreq(narrow.size, 1 / 8000), 1)
    order = rng.integers(2, 6)
    high_pass = 1 / np.sqrt(1 + (rng.uniform(50, 330) / hertz) ** (2 * order))
    low_pass = 1 / np.sqrt(1 + (hertz / rng.uniform(3200, 3950)) ** (4 * order))
    tilt = (hertz / 1000) ** rng.uniform(-0.35, 0.35)
    shaped: Floats = np.fft.irfft(spectrum * high_pass * low_pass * tilt, narrow.size).astype(np.float32)
    shaped *= np.abs(narrow).max() / max(1e-9, np.abs(shaped).max())
    return shaped


def _noise(narrow: Floats, rng: np.random.Generator) -> Floats:
    """White to pink, 15 to 45 dB under the speech."""
    noise = np.fft.rfft(rng.standard_normal(narrow.size))
    noise /= np.maximum(np.arange(noise.size), 1) ** rng.uniform(0, 0.5)
    shaped = np.fft.irfft(noise, narrow.size)
    level = np.sqrt(np.mean(narrow**2) / np.mean(shaped**2)) * 10 ** (-rng.uniform(15, 45) / 20)
    noise_there: Floats = (shaped * level).astype(np.float32)
    return noise_there


# The network


def train(clips: list[Clip], epochs: int, rng: np.random.Generator) -> Net:
    """Weights and biases, the scaling of inputs and outputs folded in."""
    held = clips[::20]
    heard = [clip for number, clip in enumerate(clips) if number % 20]
    inputs, outputs = _epoch(heard, rng)
    scale_in, scale_out = inputs.std(axis=0) + 1e-3, outputs.std(axis=0)
    check_in, check_out = _epoch(held, np.random.default_rng(0))
    sizes = (NARROW.filters * (2 * CONTEXT + 1), HIDDEN, HIDDEN, CEPSTRA)
    net = _begin(sizes, rng)
    adam = Adam(net)
    for epoch in range(epochs):
        began = time.monotonic()
        if epoch and epoch % FRESH_TELEPHONES == 0:
            inputs, outputs = _epoch(heard, rng)
        order = rng.permutation(len(inputs))
        rate = 1.5e-3 * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        for at in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[at : at + BATCH]
            adam.step(_gradients(net, inputs[batch] / scale_in, outputs[batch] / scale_out), rate)
        error = np.mean((_forward(net, check_in / scale_in)[-1] - check_out / scale_out) ** 2)
        print(f"epoch {epoch}: held-out error {error:.4f}, {time.monotonic() - began:.0f} s", flush=True)
    net[0] = net[0] / scale_in[:, None]
    net[4], net[5] = net[4] * scale_out, net[5] * scale_out
    return net


def _epoch(clips: list[Clip], rng: np.random.Generator) -> tuple[Floats, Floats]:
    pairs = [pair(clip.wide, rng) for clip in clips for _ in range(clip.copies)]
    return np.concatenate([each[0] for each in pairs]), np.concatenate([each[1] for each in pairs])


def _begin(sizes: tuple[int, ...], rng: np.random.Generator) -> Net:
    net: Net = []
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
        net.append((rng.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)).astype(np.float32))
        net.append(np.zeros(fan_out, np.float32))
    return net


def _forward(net: Net, inputs: Floats) -> list[Floats]:
    """What each layer gives, the inputs first."""
    values = [inputs]
    for at in range(0, len(net), 2):
        made = values[-1] @ net[at] + net[at + 1]
        values.append(made if at == len(net) - 2 else np.maximum(made, 0))
    return values


def _gradients(net: Net, inputs: Floats, outputs: Floats) -> Net:
    """Of the mean squared error, in the order of `net`."""
    values = _forward(net, inputs)
    slope: Floats = (values[-1] - outputs) * np.float32(2 / outputs.size)
    found: Net = []
    for at in range(len(net) - 2, -1, -2):
        before = values[at // 2]
        found = [before.T @ slope, np.asarray(slope.sum(axis=0)), *found]
        slope = (slope @ net[at].T) * (before > 0)
    return found


class Adam:
    """Kingma and Ba, 2015, with their constants."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._mean = [np.zeros_like(part) for part in net]
        self._square = [np.zeros_like(part) for part in net]
        self._steps = 0

    def step(self, gradients: Net, rate: float) -> None:
        self._steps += 1
        for at, slope in enumerate(gradients):
            self._mean[at] += 0.1 * (slope - self._mean[at])
            self._square[at] += 0.001 * (slope**2 - self._square[at])
            mean = self._mean[at] / (1 - 0.9**self._steps)
            square = self._square[at] / (1 - 0.999**self._steps)
            self._net[at] -= (rate * mean / (np.sqrt(square) + 1e-8)).astype(np.float32)


def save(net: Net, path: Path, made_of: str) -> None:
    layers = {f"{'wb'[at % 2]}{at // 2}": part.astype(np.float16) for at, part in enumerate(net)}
    made = f"scripts/train_telephone_front.py: {made_of}"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, made=np.array(made), **layers)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
