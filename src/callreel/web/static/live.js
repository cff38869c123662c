// What the pages do with script: the list and a call follow what happens, without a reload.
// Everything that lasts is drawn by the server; this module fetches it again and swaps it in. Only the words of a
// running call are drawn here, and only as text, never as markup.

const GATHER_MS = 250;

// Times in the reader's own zone.

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function localTimes(root) {
  for (const time of root.querySelectorAll("time[data-local]")) {
    const moment = new Date(time.dateTime);
    time.title = time.textContent;
    time.textContent = clock.format(moment);
  }
}

function duration(ms) {
  const whole = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// The same page as the server would draw it now. Calls that come close together make one request.

function refresher(draw) {
  let waiting = null;
  return () => {
    waiting ??= setTimeout(async () => {
      waiting = null;
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
      if (!answer?.ok || answer.redirected) return;
      draw(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }, GATHER_MS);
  };
}

function isPlaying(element) {
  return [...element.querySelectorAll("audio")].some((audio) => !audio.paused || audio.currentTime > 0);
}

// A part whose player somebody uses stays; only its lights change.

function swapLights(part, other) {
  for (const light of part.querySelectorAll("[data-light]")) {
    const fresh = other.querySelector(`[data-light="${CSS.escape(light.dataset.light)}"]`);
    if (fresh) light.replaceWith(fresh);
  }
}

// The list of calls.

function followList(list) {
  const refresh = refresher((page) => {
    const fresh = page.getElementById(list.id);
    localTimes(fresh);
    const focused = document.activeElement?.closest(".call")?.id;
    list.replaceChildren(...fresh.childNodes);
    if (focused) document.getElementById(focused)?.querySelector("a")?.focus();
  });
  const events = new EventSource(list.dataset.liveList);
  for (const kind of ["call", "verdict"]) events.addEventListener(kind, refresh);
}

// One call.

class LiveTranscript {
  constructor(section, names) {
    this.names = names;
    this.list = section.querySelector("[data-finals] .turns");
    this.scroll = section.querySelector(".live-scroll");
    this.waiting = section.querySelector("[data-waiting]");
    this.level = section.querySelector("[data-level]");
    this.settled = { agent: -1, technician: -1 };
    this.partials = section.querySelector("[data-partials]");
    if (this.partials) this.partials.hidden = false;
    this.toEnd();
  }

  partial({ role, number, text }) {
    const line = this.partials?.querySelector(`[data-partial="${CSS.escape(role)}"]`);
    if (!line || number <= this.settled[role]) return;
    line.textContent = text;
    line.scrollTop = line.scrollHeight; // two lines are kept for it; of a longer text the newest show
  }

  final({ role, number, start_ms, end_ms, text }) {
    this.settled[role] = Math.max(this.settled[role], number);
    const line = this.partials?.querySelector(`[data-partial="${CSS.escape(role)}"]`);
    if (line) line.textContent = "";
    if (!text) return;
    this.waiting.hidden = true;
    const atEnd = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 48;
    const later = [...this.list.children].find((turn) => Number(turn.dataset.startMs) > start_ms);
    this.list.insertBefore(this.turn(role, start_ms, end_ms, text), later ?? null);
    if (atEnd) this.toEnd();
  }

  turn(role, startMs, endMs, text) {
    const turn = document.createElement("li");
    turn.className = "turn";
    turn.classList.add(role);
    Object.assign(turn.dataset, { role, startMs, endMs });
    const who = document.createElement("p");
    who.className = "who";
    const party = document.createElement("span");
    party.className = "party";
    party.textContent = this.names[role] ?? role;
    const at = document.createElement("a");
    at.href = `#t=${(startMs / 1000).toFixed(1)}`;
    at.title = "Listen from here";
    at.className = "figure";
    at.textContent = duration(startMs);
    who.append(party, " ", at);
    const words = document.createElement("p");
    words.className = "text";
    words.textContent = text;
    turn.append(who, words);
    return turn;
  }

  levels({ lag_ms, partials_shed, finals_waiting }) {
    if (!this.level) return;
    const said = [`Words are ${(lag_ms / 1000).toFixed(1)} s behind`];
    if (finals_waiting) said.push(`${finals_waiting} segments wait`);
    if (partials_shed) said.push(`${partials_shed} previews left out`);
    this.level.textContent = said.join(" · ");
  }

  toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }
}

function followCall(page) {
  const section = page.querySelector("[data-live-transcript]");
  const names = { agent: page.dataset.agent, technician: page.dataset.technician };
  const transcript = section && new LiveTranscript(section, names);
  const refresh = refresher((fresh) => {
    localTimes(fresh);
    for (const part of document.querySelectorAll("[data-swap]")) {
      const other = fresh.getElementById(part.id);
      if (!other || part.isEqualNode(other)) continue;
      if (isPlaying(part)) swapLights(part, other);
      else part.replaceWith(other);
    }
    const state = fresh.querySelector("[data-live-call]")?.dataset.state;
    if (state === "closed") events.close();
    if (state !== "live" && transcript?.partials) transcript.partials.hidden = true;
  });
  const events = new EventSource(page.dataset.liveCall);
  const on = (kind, act) => events.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  on("partial", (data) => transcript?.partial(data));
  on("final", (data) => transcript?.final(data));
  on("level", (data) => {
    transcript?.levels(data);
    const position = document.querySelector("[data-position]");
    if (position) position.textContent = duration(data.position_ms);
  });
  for (const kind of ["call", "layer", "recording", "stage", "transcript", "verdict"]) on(kind, refresh);
}

// Times in a transcript play the call from there; the address keeps the moment.

function playerFor(role) {
  return (
    document.querySelector("audio[data-main-audio]") ??
    document.querySelector(`audio[data-role="${CSS.escape(role ?? "")}"]`) ??
    document.querySelector("audio")
  );
}

function momentOf(hash) {
  const match = /^#t=(\d+(?:\.\d+)?)$/.exec(hash);
  return match && Number(match[1]);
}

function playFrom(seconds, role, play) {
  const audio = playerFor(role);
  if (!audio) return;
  const seek = () => {
    audio.currentTime = seconds;
    if (play) audio.play().catch(() => {});
  };
  if (audio.readyState >= HTMLMediaElement.HAVE_METADATA) return seek();
  audio.addEventListener("loadedmetadata", seek, { once: true });
  audio.preload = "metadata";
  audio.load();
}

function followPlayer() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#t="]');
    const seconds = link && momentOf(link.getAttribute("href"));
    if (seconds === null) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    playFrom(seconds, link.closest(".turn")?.dataset.role, true);
  });
  document.addEventListener(
    "timeupdate",
    ({ target }) => {
      if (!target.matches?.("audio[data-main-audio]")) return;
      const now = target.currentTime * 1000;
      for (const turn of document.querySelectorAll("#final .turn")) {
        turn.classList.toggle("playing", !target.paused && turn.dataset.startMs <= now && now < turn.dataset.endMs);
      }
    },
    true,
  );
  const seconds = momentOf(location.hash);
  if (seconds !== null) playFrom(seconds, null, false);
}

localTimes(document);
followPlayer();
const list = document.querySelector("[data-live-list]");
if (list) followList(list);
const call = document.querySelector("[data-live-call]");
if (call && call.dataset.state !== "closed") followCall(call);
