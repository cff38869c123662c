// <phone-book>: names for numbers. For supervisors and administrators.

import { el, need } from "../page/dom";
import { telephone } from "../page/format";
import { get, send, words } from "../page/http";
import { say } from "../page/say";
import { check, cursorAfter, NumberCheck, showProblem, type CheckedNumber } from "../softphone/number";

interface Technician {
  id: number;
  name: string;
  number: string;
}

interface Answer {
  named: Technician[];
  recent: { number: string; name: string | null }[];
}

export class PhoneBook extends HTMLElement {
  private readonly check = new NumberCheck((checked) => this.show(checked));

  connectedCallback(): void {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.add();
    });
    this.number.addEventListener("input", () => this.check.typed(this.number.value));
    void this.load();
  }

  private get form(): HTMLFormElement {
    return need<HTMLFormElement>(this, "form");
  }

  private get number(): HTMLInputElement {
    return need<HTMLInputElement>(this.form, "[name=number]");
  }

  private async load(): Promise<void> {
    const body = need(this, "tbody");
    try {
      const { named, recent } = await get<Answer>("/api/technicians");
      const empty = el("tr", {}, el("td", { colspan: 3, class: "soft" }, "No number has a name yet."));
      body.replaceChildren(...(named.length ? named.map((one) => this.row(one)) : [empty]));
      const unnamed = recent.filter((one) => !one.name);
      const box = need(this, "[data-unnamed]");
      box.hidden = !unnamed.length;
      need(box, "ul").replaceChildren(...unnamed.map((one) => el("li", {}, this.chip(one.number))));
    } catch (error) {
      body.replaceChildren(el("tr", {}, el("td", { colspan: 3 }, words(error))));
    }
  }

  private async add(): Promise<void> {
    const name = need<HTMLInputElement>(this.form, "[name=name]");
    const said = name.value.trim();
    const kept = await this.act(() => send("POST", "/api/technicians", { name: said, number: this.number.value }), `${said} is in the phone book`);
    if (!kept) return;
    this.form.reset();
    this.show(null);
    name.focus();
  }

  private async act(change: () => Promise<unknown>, done: string): Promise<boolean> {
    try {
      await change();
    } catch (error) {
      say(words(error));
      return false;
    }
    say(done);
    await this.load();
    return true;
  }

  private show(checked: CheckedNumber | null): void {
    showProblem(need(this, "[data-number-problem]"), checked);
    this.number.setAttribute("aria-invalid", String(Boolean(checked && !checked.valid)));
    const shown = checked?.valid ? checked.international : null;
    if (!shown || shown === this.number.value) return;
    const cursor = cursorAfter(this.number.value, this.number.selectionStart ?? this.number.value.length, shown);
    this.number.value = shown;
    if (document.activeElement === this.number) this.number.setSelectionRange(cursor, cursor);
  }

  private chip(number: string): HTMLButtonElement {
    const choose = async () => {
      this.number.value = number;
      need<HTMLInputElement>(this.form, "[name=name]").focus();
      this.show(await check(number).catch(() => null));
    };
    return el("button.chip", { type: "button", onclick: () => void choose() }, telephone(number));
  }

  private row(one: Technician): HTMLTableRowElement {
    const row = el("tr", { "data-technician": one.id });
    const remove = () => void this.act(() => send("DELETE", `/api/technicians/${one.id}`), `${one.name} is out of the phone book; the calls stay`);
    row.append(
      el("th", { scope: "row" }, one.name),
      el("td.figure", {}, el("a", { href: `/?number=${encodeURIComponent(one.number)}`, title: "The calls with this number" }, telephone(one.number))),
      el(
        "td",
        {},
        el(
          "p.row",
          {},
          el("button.link", { type: "button", "aria-label": `Change ${one.name}`, onclick: () => this.edit(row, one) }, "Change"),
          el("button.link", { type: "button", "aria-label": `Remove ${one.name}`, onclick: remove }, "Remove"),
        ),
      ),
    );
    return row;
  }

  private edit(row: HTMLTableRowElement, one: Technician): void {
    const field = (name: string, value: string, label: string) => el("input", { name, value, required: true, maxlength: 100, autocomplete: "off", "aria-label": label });
    const [name, number] = [field("name", one.name, "Name"), field("number", telephone(one.number), "Number")];
    const back = () => row.replaceWith(this.row(one));
    const form = el("form.inline", {}, name, number, el("button.button.quiet", {}, "Keep"), el("button.link", { type: "button", onclick: back }, "Leave as it was"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.act(() => send("PATCH", `/api/technicians/${one.id}`, { name: name.value.trim(), number: number.value }), `${name.value.trim()} is kept`);
    });
    form.addEventListener("keydown", (event) => event.key === "Escape" && back());
    row.replaceChildren(el("td", { colspan: 3 }, form));
    name.focus();
  }
}

customElements.define("phone-book", PhoneBook);
