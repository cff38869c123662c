// <people-admin>: who may sign in, and what they may do. For administrators.

import { el, need } from "../page/dom";
import { get, send, words } from "../page/http";
import { say } from "../page/say";
import { localTime } from "../page/times";

interface PersonRow {
  id: number;
  name: string;
  role: string;
  identity: string;
  disabled: boolean;
  created_at: string;
}

const USER_ROLES = ["agent", "supervisor", "administrator"];

export class PeopleAdmin extends HTMLElement {
  connectedCallback(): void {
    const form = need<HTMLFormElement>(this, "form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const body = Object.fromEntries(new FormData(form));
      void this.act(() => send("POST", "/api/people", body), `${String(body.name)} may sign in now`).then((done) => done && form.reset());
    });
    void this.load();
  }

  private async load(): Promise<void> {
    const body = need(this, "tbody");
    try {
      const { people } = await get<{ people: PersonRow[] }>("/api/people");
      body.replaceChildren(...people.map((person) => this.row(person)));
    } catch (error) {
      body.replaceChildren(el("tr", {}, el("td", { colspan: 5 }, words(error))));
    }
  }

  private async act(change: () => Promise<unknown>, done: string): Promise<boolean> {
    try {
      await change();
      say(done);
      await this.load();
      return true;
    } catch (error) {
      say(words(error));
      await this.load();
      return false;
    }
  }

  private row(person: PersonRow): HTMLTableRowElement {
    const patch = (change: object, done: string) => void this.act(() => send("PATCH", `/api/people/${person.id}`, change), done);
    const role = el("select", { "aria-label": `Role of ${person.name}` }, ...USER_ROLES.map((one) => el("option", { value: one, selected: one === person.role }, one)));
    role.addEventListener("change", () => patch({ role: role.value }, `${person.name} is ${role.value} now`));
    const toggle = el("button.link", { type: "button", onclick: () => patch({ disabled: !person.disabled }, person.disabled ? `${person.name} may sign in again` : `${person.name} is signed out and may not sign in`) }, person.disabled ? "Let in again" : "Disable");
    const password = el("button.link", { type: "button", onclick: () => this.askPassword(password, (value) => patch({ password: value }, `${person.name} has a new password and is signed out everywhere`)) }, "New password");
    return el(
      "tr",
      { class: person.disabled ? "soft" : "" },
      el("th", { scope: "row" }, person.name, person.disabled ? " (disabled)" : ""),
      el("td", {}, role),
      el("td", {}, el("code", {}, person.identity)),
      el("td", {}, localTime(person.created_at)),
      el("td", {}, el("p.row", {}, password, toggle)),
    );
  }

  private askPassword(button: HTMLElement, keep: (value: string) => void): void {
    const field = el("input", { type: "password", autocomplete: "new-password", minlength: 10, required: true, "aria-label": "New password" });
    const form = el("form.inline", {}, field, el("button.button.quiet", {}, "Keep"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      keep(field.value);
    });
    button.replaceWith(form);
    field.focus();
  }
}

customElements.define("people-admin", PeopleAdmin);
