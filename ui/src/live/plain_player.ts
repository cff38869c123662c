// Times in a transcript play the call from there while the page has no <call-review>: during the call and its processing.
// The URL keeps the position.

import { positionOf } from "../page/format";

export function followPlainPlayer(): void {
  document.addEventListener("click", (event) => {
    if (document.querySelector("call-review[data-ready]")) return;
    const link = (event.target as Element).closest?.<HTMLAnchorElement>('a[href^="#t="]');
    const at = link ? positionOf(link.getAttribute("href") ?? "") : null;
    if (!link || at === null) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    playFrom(at / 1000, link.closest<HTMLElement>(".turn")?.dataset.role);
  });
}

function playFrom(seconds: number, role: string | undefined): void {
  const audio =
    document.querySelector<HTMLAudioElement>("audio[data-main-audio]") ??
    document.querySelector<HTMLAudioElement>(`audio[data-role="${CSS.escape(role ?? "")}"]`) ??
    document.querySelector("audio");
  if (!audio) return;
  const seek = () => {
    audio.currentTime = seconds;
    void audio.play().catch(() => undefined);
  };
  if (audio.readyState >= HTMLMediaElement.HAVE_METADATA) return seek();
  audio.addEventListener("loadedmetadata", seek, { once: true });
  audio.preload = "metadata";
  audio.load();
}
