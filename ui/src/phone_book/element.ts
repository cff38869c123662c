// <phone-book>: names for phone numbers. For supervisors and administrators.

import { el, required } from "../page/dom";
import { telephone } from "../page/format";
import { errorMessage, get, send } from "../page/http";
import { attempted } from "../page/toast";
import { checkNumber, NumberCheck, showCheckedNumber, type CheckedNumber } from "../softphone/number";

interface Entry {
  id: number;
  name: string;
  number: string;
}

interface PhoneBookPage {
  named: Entry[];
  recent: { number: string; name: string | null }[];
}

export class PhoneBook extends HTMLElement {
  private readonly numberCheck = new NumberCheck((checked) => this.showNumber(checked));

  connectedCallback(): void {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.add();
    });
    this.number.addEventListener("input", () => this.numberCheck.typed(this.number.value));
    void this.load();
  }

  private get form(): HTMLFormElement {
    return required<HTMLFormElement>(this, "form");
  }

  private get number(): HTMLInputElement {
    return required<HTMLInputElement>(this.form, "[name=number]");
  }

  private async load(): Promise<void> {
    const body = required(this, "tbody");
    try {
      const { named, recent } = await get<PhoneBookPage>("/api/v1/technicians");
      const empty = el("tr", {}, el("td", { colspan: 3, class: "soft" }, "The phone book is empty."));
      body.replaceChildren(...(named.length ? named.map((one) => this.row(one)) : [empty]));
      const unnamed = recent.filter((one) => !one.name);
      const box = required(this, "[data-unnamed]");
      box.hidden = !unnamed.length;
      required(box, "ul").replaceChildren(...unnamed.map((one) => el("li", {}, this.chip(one.number))));
    } catch (error) {
      body.replaceChildren(el("tr", {}, el("td", { colspan: 3 }, errorMessage(error))));
    }
  }

  private async add(): Promise<void> {
    const name = required<HTMLInputElement>(this.form, "[name=name]");
    const added = name.value.trim();
    const saved = await this.change(() => send("POST", "/api/v1/technicians", { name: added, number: this.number.value }), `${added} added`);
    if (!saved) return;
    this.form.reset();
    this.showNumber(null);
    name.focus();
  }

  private async change(request: () => Promise<unknown>, done: string): Promise<boolean> {
    const succeeded = await attempted(request, done);
    if (succeeded) await this.load();
    return succeeded;
  }

  private showNumber(checked: CheckedNumber | null): void {
    showCheckedNumber(this.number, required(this, "[data-number-problem]"), checked);
  }

  private chip(number: string): HTMLButtonElement {
    const choose = async () => {
      this.number.value = number;
      required<HTMLInputElement>(this.form, "[name=name]").focus();
      this.showNumber(await checkNumber(number).catch(() => null));
    };
    return el("button.chip", { type: "button", onclick: () => void choose() }, telephone(number));
  }

  private row(one: Entry): HTMLTableRowElement {
    const row = el("tr", { "data-technician": one.id });
    const remove = () => void this.change(() => send("DELETE", `/api/v1/technicians/${one.id}`), `${one.name} removed. The calls are kept.`);
    row.append(
      el("th", { scope: "row" }, one.name),
      el("td.figure", {}, el("a", { href: `/?number=${encodeURIComponent(one.number)}`, title: "Calls with this number" }, telephone(one.number))),
      el(
        "td",
        {},
        el(
          "p.row",
          {},
          el("button.link", { type: "button", "aria-label": `Edit ${one.name}`, onclick: () => this.edit(row, one) }, "Edit"),
          el("button.link", { type: "button", "aria-label": `Remove ${one.name}`, onclick: remove }, "Remove"),
        ),
      ),
    );
    return row;
  }

  private edit(row: HTMLTableRowElement, one: Entry): void {
    const field = (name: string, value: string, label: string) => el("input", { name, value, required: true, maxlength: 100, autocomplete: "off", "aria-label": label });
    const [name, number] = [field("name", one.name, "Name"), field("number", telephone(one.number), "Number")];
    const cancel = () => row.replaceWith(this.row(one));
    const form = el("form.inline", {}, name, number, el("button.button.quiet", {}, "Save"), el("button.link", { type: "button", onclick: cancel }, "Cancel"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.change(() => send("PATCH", `/api/v1/technicians/${one.id}`, { name: name.value.trim(), number: number.value }), `${name.value.trim()} saved`);
    });
    form.addEventListener("keydown", (event) => event.key === "Escape" && cancel());
    row.replaceChildren(el("td", { colspan: 3 }, form));
    name.focus();
  }
}

customElements.define("phone-book", PhoneBook);
