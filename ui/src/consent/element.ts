// <consent-policy>: the rules and notices of the recording policy, for administrators. Edits a draft, which one button saves.

import { el, required } from "../page/dom";
import { apiError, errorMessage, get, send } from "../page/http";
import { toast } from "../page/toast";
import { describe, describeDecision, withoutWording, withRule, withWording, words, type Decision, type Policy, type Rule, type Wording } from "./policy";

const COMMAS = /,/;

export class ConsentPolicy extends HTMLElement {
  private draft: Policy = { version: 0, rules: [], notices: [], agents_may_skip: true };

  connectedCallback(): void {
    this.onSubmit("[data-rule]", (fields) => this.putRule(fields));
    this.onSubmit("[data-notice]", (fields) => this.putWording(fields));
    this.onSubmit("[data-preview]", (fields) => this.preview(fields));
    required(this, "[data-save]").addEventListener("click", () => void this.save());
    this.skip.addEventListener("change", () => this.change({ agents_may_skip: this.skip.checked }));
    this.form("[data-rule]").addEventListener("change", () => this.drawMode());
    void this.load();
  }

  private form(selector: string): HTMLFormElement {
    return required<HTMLFormElement>(this, selector);
  }

  private get skip(): HTMLInputElement {
    return required<HTMLInputElement>(this, "input[name=agents_may_skip]");
  }

  private onSubmit(selector: string, handle: (fields: FormData) => unknown): void {
    const form = this.form(selector);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await handle(new FormData(form));
      } catch (error) {
        toast(errorMessage(error));
      }
    });
  }

  private async load(): Promise<void> {
    try {
      this.show(await get<Policy>("/api/v1/consent"));
    } catch (error) {
      required(this, "[data-rules]").replaceChildren(el("li", {}, errorMessage(error)));
    }
  }

  private show(policy: Policy): void {
    const { version, rules, notices, agents_may_skip } = policy;
    this.draft = { version, rules, notices, agents_may_skip };
    required(this, "[data-version]").textContent = version ? `Version ${version}` : "No policy saved yet";
    this.draw();
    this.setChanged(false);
  }

  private change(part: Partial<Policy>): void {
    this.draft = { ...this.draft, ...part };
    this.draw();
    this.setChanged(true);
  }

  private setChanged(changed: boolean): void {
    required<HTMLButtonElement>(this, "[data-save]").disabled = !changed;
    required(this, "[data-changed]").hidden = !changed;
  }

  private get body(): object {
    const { rules, notices, ...rest } = this.draft;
    const sent = (rule: Rule) => ({ ...rule, language: rule.language || null });
    return { ...rest, rules: rules.map(sent), notices: notices.map(({ name, wordings }) => ({ name, wordings })) };
  }

  private async save(): Promise<void> {
    try {
      this.show(await send<Policy>("PUT", "/api/v1/consent", this.body));
      toast("Policy saved. It applies from the next call.");
    } catch (error) {
      toast(errorMessage(error));
    }
  }

  private putRule(fields: FormData): void {
    const text = (name: string) => String(fields.get(name) ?? "").trim();
    const mode = text("mode") as Rule["mode"];
    const rule: Rule = {
      name: text("name"),
      mode,
      notice: mode === "announce" || mode === "ask" ? text("notice") : "",
      on_decline: text("on_decline") as Rule["on_decline"],
      language: text("language") || null,
      direction: (text("direction") || null) as Rule["direction"],
      prefixes: words(text("prefixes")).map((one) => one.replace(/[().-]/g, "")),
      countries: words(text("countries").toUpperCase()),
      requirement: (text("requirement") || null) as Rule["requirement"],
      agents: words(text("agents")),
    };
    this.change({ rules: withRule(this.draft.rules, rule) });
    this.form("[data-rule]").reset();
    this.drawMode();
  }

  private async putWording(fields: FormData): Promise<void> {
    const text = (name: string) => String(fields.get(name) ?? "").trim();
    const file = fields.get("file") as File;
    const sound = file.size ? (await upload(file)).sha256 : "";
    const wording: Wording = { language: text("language"), text: text("text"), sound, yes: words(text("yes"), COMMAS), no: words(text("no"), COMMAS) };
    this.change({ notices: withWording(this.draft.notices, text("name"), wording) });
    this.form("[data-notice]").reset();
  }

  private async preview(fields: FormData): Promise<void> {
    const call = Object.fromEntries(fields);
    const decision = await send<Decision>("POST", "/api/v1/consent/preview", { ...call, policy: this.body });
    required(this, "[data-result]").replaceChildren(...describeDecision(decision).map((line) => el("p", {}, line)));
  }

  private draw(): void {
    const { rules, notices, agents_may_skip } = this.draft;
    const list = rules.map((rule, at) => this.ruleRow(rule, at));
    required(this, "[data-rules]").replaceChildren(...(list.length ? list : [el("li.soft", {}, "No rules: every call is recorded without a notice.")]));
    const rows = notices.flatMap(({ name, version, wordings }) => wordings.map((wording) => this.wordingRow(name, version, wording)));
    required(this, "[data-notices]").replaceChildren(...rows);
    required(this, "select[name=notice]").replaceChildren(...notices.map(({ name }) => el("option", { value: name }, name)));
    this.skip.checked = agents_may_skip;
    this.drawMode();
  }

  private drawMode(): void {
    const { value } = required<HTMLSelectElement>(this, "select[name=mode]");
    for (const part of this.querySelectorAll<HTMLElement>("[data-with-notice]")) part.hidden = value !== "announce" && value !== "ask";
    required(this, "[data-when-asked]").hidden = value !== "ask";
  }

  private ruleRow(rule: Rule, at: number): HTMLLIElement {
    const { rules } = this.draft;
    const up = () => this.change({ rules: [...rules.slice(0, at - 1), rule, rules[at - 1]!, ...rules.slice(at + 1)] });
    const actions = [
      at ? el("button.link", { type: "button", "aria-label": `Move ${rule.name} up`, onclick: up }, "Up") : null,
      el("button.link", { type: "button", "aria-label": `Change ${rule.name}`, onclick: () => this.editRule(rule) }, "Change"),
      el("button.link", { type: "button", "aria-label": `Remove ${rule.name}`, onclick: () => this.change({ rules: rules.filter((one) => one !== rule) }) }, "Remove"),
    ];
    return el("li", {}, el("strong", {}, rule.name), ` ${describe(rule)}`, el("p.row", {}, ...actions));
  }

  private editRule(rule: Rule): void {
    const form = this.form("[data-rule]");
    const values = { ...rule, prefixes: rule.prefixes.join(" "), countries: rule.countries.join(" "), agents: rule.agents.join(" ") };
    fill(form, values);
    this.drawMode();
    required<HTMLInputElement>(form, "input[name=name]").focus();
  }

  private wordingRow(name: string, version: number | undefined, wording: Wording): HTMLLIElement {
    const edit = () => {
      fill(this.form("[data-notice]"), { name, ...wording, yes: wording.yes.join(", "), no: wording.no.join(", "), sound: "" });
      required<HTMLTextAreaElement>(this, "textarea").focus();
    };
    const remove = () => this.change({ notices: withoutWording(this.draft.notices, name, wording.language) });
    return el(
      "li",
      {},
      el("strong", {}, name),
      ` ${wording.language}${version ? `, version ${version}` : ""}: ${wording.text}`,
      wording.sound && el("audio", { controls: true, preload: "none", src: `/notices/${wording.sound}.wav`, "aria-label": `${name}, ${wording.language}` }),
      el("p.row", {}, el("button.link", { type: "button", "aria-label": `Change ${name}, ${wording.language}`, onclick: edit }, "Change"), el("button.link", { type: "button", "aria-label": `Remove ${name}, ${wording.language}`, onclick: remove }, "Remove")),
    );
  }
}

function fill(form: HTMLFormElement, values: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(values)) {
    const field = form.elements.namedItem(name);
    if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement || field instanceof HTMLTextAreaElement) field.value = String(value ?? "");
  }
}

async function upload(file: File): Promise<{ sha256: string }> {
  const response = await fetch("/api/v1/consent/sounds", { method: "POST", headers: { Accept: "application/json", "Content-Type": "audio/wav" }, body: file });
  const text = await response.text();
  if (!response.ok) throw apiError(response.status, text);
  return JSON.parse(text) as { sha256: string };
}

customElements.define("consent-policy", ConsentPolicy);
