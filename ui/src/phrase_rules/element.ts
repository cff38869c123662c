// <phrase-rules>: which words raise an alert. For supervisors and administrators.

import type { Role } from "../page/api_types";
import { el, required, roleNames } from "../page/dom";
import { count } from "../page/format";
import { errorMessage, get, send } from "../page/http";
import { toast } from "../page/toast";

interface PhraseRule {
  id: number;
  name: string;
  kind: "words" | "regex";
  phrases: string[];
  role: Role | null;
  number_prefix: string;
  trigger: "said" | "missing";
  within_s: number | null;
  enabled: boolean;
}

const ADDRESS = "/api/v1/phrase-rules";

export class PhraseRules extends HTMLElement {
  connectedCallback(): void {
    const form = required<HTMLFormElement>(this, "form[data-add]");
    const trigger = required<HTMLSelectElement>(form, "[name=trigger]");
    const within = required(form, "[data-within]");
    const follow = () => (within.hidden = trigger.value !== "missing");
    trigger.addEventListener("change", follow);
    form.addEventListener("reset", () => setTimeout(follow));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.add(form);
    });
    void this.load();
  }

  private async load(): Promise<void> {
    const list = required(this, "[data-rules]");
    try {
      const { rules } = await get<{ rules: PhraseRule[] }>(ADDRESS);
      list.replaceChildren(...(rules.length ? rules.map((rule) => this.item(rule)) : [el("li.soft", {}, "No rules yet.")]));
    } catch (error) {
      list.replaceChildren(el("li", {}, errorMessage(error)));
    }
  }

  private async add(form: HTMLFormElement): Promise<void> {
    const data = new FormData(form);
    const text = (name: string) => String(data.get(name) ?? "").trim();
    const missing = text("trigger") === "missing";
    const body = {
      name: text("name"),
      phrases: text("phrases").split("\n").map((line) => line.trim()).filter(Boolean),
      kind: text("kind"),
      role: text("role") || null,
      trigger: text("trigger"),
      within_s: missing && text("within_s") ? Number(text("within_s")) : null,
      number_prefix: text("number_prefix"),
    };
    if (await this.change(() => send("POST", ADDRESS, body), `${body.name} added`)) form.reset();
  }

  private async change(request: () => Promise<unknown>, done: string): Promise<boolean> {
    try {
      await request();
      toast(done);
      return true;
    } catch (error) {
      toast(errorMessage(error));
      return false;
    } finally {
      await this.load();
    }
  }

  private item(rule: PhraseRule): HTMLLIElement {
    const path = `${ADDRESS}/${rule.id}`;
    const button = (label: string, onclick: () => void) => el("button.link", { type: "button", onclick, "aria-label": `${label}: ${rule.name}` }, label);
    return el(
      "li.endpoint",
      {},
      el("p.row", {}, el("strong", {}, rule.name), el("span.badge.plain", {}, rule.enabled ? "enabled" : "disabled")),
      el("p.small.soft", {}, condition(rule, roleNames(this))),
      el("details", {}, el("summary.small", {}, count(rule.phrases.length, rule.kind === "regex" ? "regular expression" : "phrase")), el("ul.reasons", {}, ...rule.phrases.map((phrase) => el("li", {}, el("code", {}, phrase))))),
      el(
        "p.row",
        {},
        button(rule.enabled ? "Disable" : "Enable", () => void this.change(() => send("PATCH", path, { enabled: !rule.enabled }), rule.enabled ? `${rule.name} disabled` : `${rule.name} enabled`)),
        button("Remove", () => void this.change(() => send("DELETE", path), `${rule.name} removed`)),
      ),
    );
  }
}

function condition({ role, trigger, within_s, number_prefix }: PhraseRule, names: Record<Role, string>): string {
  const party = role ? names[role] : "either party";
  const said = trigger === "said" ? `said by ${party}` : `not said by ${party}${within_s === null ? "" : ` in the first ${within_s} s`}`;
  return number_prefix ? `${said} · numbers that begin with ${number_prefix}` : said;
}

customElements.define("phrase-rules", PhraseRules);
