// <phrase-rules>: which words raise an alert. For supervisors and administrators.

import type { Role } from "../page/api_types";
import { el, required, roleNames } from "../page/dom";
import { count } from "../page/format";
import { errorMessage, get, send } from "../page/http";
import { attempted } from "../page/toast";

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
  /** The rule in the form; null for a new one. */
  private edited: PhraseRule | null = null;

  connectedCallback(): void {
    const { form } = this;
    required(form, "[name=trigger]").addEventListener("change", () => this.drawForm());
    form.addEventListener("reset", () => {
      this.edited = null;
      setTimeout(() => this.drawForm()); // after the fields are reset
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.save();
    });
    void this.load();
  }

  private get form(): HTMLFormElement {
    return required<HTMLFormElement>(this, "form[data-add]");
  }

  private drawForm(): void {
    required(this, "[data-within]").hidden = required<HTMLSelectElement>(this, "[name=trigger]").value !== "missing";
    required(this, "[data-form-title]").textContent = this.edited ? `Edit ${this.edited.name}` : "Add a rule";
    required(this, "[type=submit]").textContent = this.edited ? "Save rule" : "Add rule";
    required(this, "[data-cancel]").hidden = !this.edited;
  }

  private edit(rule: PhraseRule): void {
    this.edited = rule;
    const values: Record<string, string> = { ...rule, id: "", enabled: "", phrases: rule.phrases.join("\n"), role: rule.role ?? "", within_s: rule.within_s === null ? "" : String(rule.within_s) };
    for (const field of this.form.elements) {
      if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement || field instanceof HTMLTextAreaElement) field.value = values[field.name] ?? "";
    }
    this.drawForm();
    required<HTMLInputElement>(this.form, "[name=name]").focus();
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

  private async save(): Promise<void> {
    const data = new FormData(this.form);
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
    const { edited } = this;
    const saved = edited
      ? this.change(() => send("PATCH", `${ADDRESS}/${edited.id}`, body), `${body.name} saved`)
      : this.change(() => send("POST", ADDRESS, body), `${body.name} added`);
    if (await saved) this.form.reset();
  }

  private async change(request: () => Promise<unknown>, done: string): Promise<boolean> {
    const succeeded = await attempted(request, done);
    await this.load();
    return succeeded;
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
        button("Edit", () => this.edit(rule)),
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
