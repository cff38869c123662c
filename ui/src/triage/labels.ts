// <team-labels>: the team's list of labels. For supervisors and administrators.

import type { Label } from "../page/api_types";
import { el, required } from "../page/dom";
import { count } from "../page/format";
import { errorMessage, get, send } from "../page/http";
import { localTime } from "../page/times";
import { attempted, toast } from "../page/toast";
import { labelChip } from "../list/rows";

interface ListedLabel extends Label {
  calls: number;
  /** The version in force; null without instructions. */
  instructions: number | null;
}

interface Version {
  version: number;
  text: string;
  by: string;
  at: string;
}

export class TeamLabels extends HTMLElement {
  /** The label whose instructions are open, and the version that is edited: 0 without any. */
  private instructed: { label: ListedLabel; base: number } | null = null;

  connectedCallback(): void {
    const form = this.form;
    const panel = required(this, "[data-instructions]");
    required(panel, "[data-close]").addEventListener("click", () => this.closeInstructions());
    required(panel, "form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.saveInstructions();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { name, color } = Object.fromEntries(new FormData(form)) as Record<string, string>;
      void this.change(() => send("POST", "/api/v1/labels", { name, color }), `${name} added`).then((saved) => {
        if (saved) form.reset();
        required<HTMLInputElement>(form, "[name=name]").focus();
      });
    });
    void this.load();
  }

  private get form(): HTMLFormElement {
    return required<HTMLFormElement>(this, "form[data-add]");
  }

  private get colors(): string[] {
    return [...this.form.querySelectorAll<HTMLInputElement>("[name=color]")].map((one) => one.value);
  }

  private async load(): Promise<void> {
    const body = required(this, "tbody");
    try {
      const { labels } = await get<{ labels: ListedLabel[] }>("/api/v1/labels");
      const empty = el("tr", {}, el("td", { colspan: 5, class: "soft" }, "No labels yet."));
      body.replaceChildren(...(labels.length ? labels.map((one) => this.row(one)) : [empty]));
    } catch (error) {
      body.replaceChildren(el("tr", {}, el("td", { colspan: 5 }, errorMessage(error))));
    }
  }

  private async change(request: () => Promise<unknown>, done: string): Promise<boolean> {
    const succeeded = await attempted(request, done);
    await this.load();
    return succeeded;
  }

  private row(label: ListedLabel): HTMLTableRowElement {
    const address = `/api/v1/labels/${label.id}`;
    const color = el("select", { "aria-label": `Color of ${label.name}` }, ...this.colors.map((one) => el("option", { value: one, selected: one === label.color }, one)));
    color.addEventListener("change", () => void this.change(() => send("PATCH", address, { color: color.value }), `${label.name} is ${color.value}`));
    const name = el("th", { scope: "row" }, labelChip(label));
    return el(
      "tr",
      { "data-label": label.id },
      name,
      el("td", {}, color),
      el("td", {}, label.calls ? el("a", { href: `/?label=${label.id}` }, label.calls.toLocaleString("en")) : "0"),
      el("td", {}, el("button.link", { type: "button", "aria-label": `${label.instructions === null ? "Add" : `Version ${label.instructions}`}: Instructions of ${label.name}`, onclick: () => void this.openInstructions(label) }, label.instructions === null ? "Add" : `Version ${label.instructions}`)),
      el(
        "td",
        {},
        el(
          "p.row",
          {},
          el("button.link", { type: "button", "aria-label": `Rename ${label.name}`, onclick: () => this.openEditor(name, label) }, "Rename"),
          el("button.link", { type: "button", "aria-label": `Delete ${label.name}`, onclick: () => this.removeLabel(label) }, "Delete"),
        ),
      ),
    );
  }

  private removeLabel(label: ListedLabel): void {
    if (label.calls && !confirm(`Delete ${label.name}? ${count(label.calls, "call")} will lose this label.`)) return;
    void this.change(() => send("DELETE", `/api/v1/labels/${label.id}`), `${label.name} deleted`);
  }

  private async openInstructions(label: ListedLabel): Promise<void> {
    let versions: Version[];
    try {
      ({ versions } = await get<{ versions: Version[] }>(`/api/v1/labels/${label.id}/instructions`));
    } catch (error) {
      return toast(errorMessage(error));
    }
    this.instructed = { label, base: versions[0]?.version ?? 0 };
    const panel = required(this, "[data-instructions]");
    required(panel, "h2").textContent = `Instructions of ${label.name}`;
    const lines = versions.map((one) => el("li.small", { value: one.version }, el("p.grow", {}, el("span.soft", {}, `Version ${one.version} by ${one.by}, `, el("time", { datetime: one.at }, localTime(one.at)), ": "), one.text || "No instructions.")));
    required(panel, "[data-versions]").replaceChildren(...lines);
    required(panel, "details").hidden = !lines.length;
    panel.hidden = false;
    const field = required<HTMLTextAreaElement>(panel, "textarea");
    field.value = versions[0]?.text ?? "";
    field.focus();
  }

  private async saveInstructions(): Promise<void> {
    if (!this.instructed) return;
    const { label, base } = this.instructed;
    const { value } = required<HTMLTextAreaElement>(this, "[data-instructions] textarea");
    if (await this.change(() => send("PUT", `/api/v1/labels/${label.id}/instructions`, { base, text: value }), `Instructions of ${label.name} saved`)) this.closeInstructions();
  }

  private closeInstructions(): void {
    required(this, "[data-instructions]").hidden = true;
    const { label } = this.instructed ?? {};
    this.instructed = null;
    this.querySelector<HTMLElement>(`[data-label="${label?.id}"] [aria-label^="Instructions"]`)?.focus();
  }

  private openEditor(cell: HTMLElement, label: ListedLabel): void {
    const longest = required<HTMLInputElement>(this.form, "[name=name]").maxLength;
    const field = el("input", { value: label.name, maxlength: longest, required: true, "aria-label": `New name of ${label.name}` });
    const form = el("form.inline", {}, field, el("button.button.quiet", {}, "Save"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.change(() => send("PATCH", `/api/v1/labels/${label.id}`, { name: field.value }), `Renamed to ${field.value.trim()}`);
    });
    field.addEventListener("keydown", (event) => event.key === "Escape" && void this.load());
    cell.replaceChildren(form);
    field.focus();
  }
}

customElements.define("team-labels", TeamLabels);
