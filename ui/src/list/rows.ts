// Rows of a filtered call list, which is rendered here. The markup is the same as in calls.html.

import { el } from "../page/dom";
import { count, duration, fragment, sentence, telephone } from "../page/format";
import type { Hit, Label, ListedCall, Measures, Role } from "../page/api_types";
import { localTime } from "../page/times";

const VERDICTS = { verified: "Verified", explained: "Explained", suspect: "Suspect", imported: "Imported" } as const;

export function callRow(call: ListedCall, names: Record<Role, string>, picks = false): HTMLLIElement {
  const reason = call.verdict === "explained" || call.verdict === "suspect" ? call.reasons[0] : undefined;
  return el(
    "li.call",
    { id: `call-${call.call_id}` },
    el("p.who", {}, picks && el("input.pick", { type: "checkbox", "data-pick": call.call_id, "aria-label": `Select call of ${localTime(call.created_at)}` }), el("a", { href: `/calls/${call.call_id}` }, ...parties(call)), call.notes ? el("span.small.soft", {}, ` · ${call.notes} ${call.notes === 1 ? "note" : "notes"}`) : null),
    el("p.when", {}, el("time", { datetime: call.created_at }, localTime(call.created_at))),
    el("p.long", {}, el("span.visually-hidden", {}, "Duration "), el("span.figure", { "data-since": call.state === "live" && (call.answered_at ?? call.created_at) }, duration(call.duration_ms))),
    el("p.state", {}, badge(call), ...retentionBadge(call)),
    call.topic ? el("p.topic", {}, el("span.visually-hidden", {}, "Topic: "), call.topic) : firstWords(call),
    triageLine(call),
    measuresText(call.measures, names.agent) ? el("p.how", {}, measuresText(call.measures, names.agent)) : null,
    reason ? el("p.why", {}, sentence(reason.detail)) : null,
    call.hits?.length ? el("ul.hits", {}, ...call.hits.map((hit) => hitLine(call, hit, names)), more(call)) : null,
  );
}

function firstWords({ first_words }: ListedCall): HTMLElement | null {
  return first_words ? el("p.first-words", {}, el("span.visually-hidden", {}, "First words: "), `“${first_words}”`) : null;
}

function triageLine(call: ListedCall): HTMLElement | null {
  const { labels = [], reviewed, assigned_to } = call;
  if (!labels.length && !reviewed && !assigned_to) return null;
  return el(
    "p.labels",
    {},
    labels.length > 0 && el("span.visually-hidden", {}, "Labels: "),
    ...labels.map(labelChip),
    assigned_to ? el("span.small.soft", {}, `Assigned to ${assigned_to}`) : null,
    reviewed ? el("span.small.soft", {}, `Reviewed by ${reviewed.by}`) : null,
  );
}

export function labelChip(label: Label): HTMLElement {
  return el("span", { class: `label ${label.color}` }, label.name);
}

/** The same as on the page of the server: wording.py, measures_text. */
export function measuresText(measures: Measures | null | undefined, agent: string): string {
  if (!measures || measures.agent_ratio === null) return "";
  const parts = [`${agent} talks ${Math.round(measures.agent_ratio * 100)}%`];
  if (measures.silence_ms) parts.push(`silence ${duration(measures.silence_ms)}`);
  if (measures.interruptions) parts.push(count(measures.interruptions, "interruption"));
  return parts.join(" · ");
}

function parties(call: ListedCall): (Node | string)[] {
  const number = el("span.number", { title: call.number_name && telephone(call.number) }, call.number_name ?? telephone(call.number));
  const calls = [" ", el("span.arrow", { "aria-hidden": "true" }, "→"), el("span.visually-hidden", {}, " calls "), " "];
  return call.direction === "incoming" ? [number, ...calls, call.agent] : [call.agent, ...calls, number];
}

function badge(call: ListedCall): HTMLElement {
  if (call.state === "live") return el("span.badge.live", {}, "Live now");
  if (call.verdict) return el("span", { class: `badge ${call.verdict}` }, VERDICTS[call.verdict]);
  return el("span.badge", {}, call.state === "ended" ? "Processing" : "No verdict");
}

function retentionBadge(call: ListedCall): (Node | string)[] {
  if (call.erasing) return [" ", el("span.badge.suspect", {}, "Being erased")];
  return call.held ? [" ", el("span.badge.held", {}, "Legal hold")] : [];
}

function hitLine(call: ListedCall, hit: Hit, names: Record<Role, string>): HTMLLIElement {
  const text = hit.parts.map((part) => (part.hit ? el("mark", {}, part.text) : part.text));
  return el(
    `li.hit.${hit.role}`,
    {},
    el("a", { href: `/calls/${call.call_id}${fragment(hit.start_ms)}`, title: "Play from here" }, el("span.figure", {}, duration(hit.start_ms)), " ", el("span.party", {}, names[hit.role]), " ", el("span", {}, ...text)),
  );
}

function more(call: ListedCall): HTMLLIElement | null {
  const left = (call.hits_total ?? 0) - (call.hits?.length ?? 0);
  return left > 0 ? el("li.small.soft", {}, `${left} more in this call`) : null;
}
