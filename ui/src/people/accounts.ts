// <user-accounts>: who may sign in, and with which role. For administrators.

import { el, required } from "../page/dom";
import { errorMessage, get, send } from "../page/http";
import { attempted } from "../page/toast";
import { localTime } from "../page/times";

interface Account {
  id: number;
  name: string;
  role: string;
  identity: string;
  disabled: boolean;
  second_factor: boolean;
  local: boolean;
  created_at: string;
}

const USER_ROLES = ["agent", "supervisor", "administrator"];

export class UserAccounts extends HTMLElement {
  connectedCallback(): void {
    const form = this.querySelector("form"); // absent where local accounts are switched off
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      const body = Object.fromEntries(new FormData(form));
      void this.change(() => send("POST", "/api/v1/people", body), `${String(body.name)} added`).then((done) => done && form.reset());
    });
    void this.load();
  }

  private async load(): Promise<void> {
    const body = required(this, "tbody");
    try {
      const { people } = await get<{ people: Account[] }>("/api/v1/people");
      const empty = el("tr", {}, el("td", { colspan: 5, class: "soft" }, "No accounts yet."));
      body.replaceChildren(...(people.length ? people.map((person) => this.row(person)) : [empty]));
    } catch (error) {
      body.replaceChildren(el("tr", {}, el("td", { colspan: 5 }, errorMessage(error))));
    }
  }

  private async change(request: () => Promise<unknown>, done: string): Promise<boolean> {
    const succeeded = await attempted(request, done);
    await this.load();
    return succeeded;
  }

  private row(person: Account): HTMLTableRowElement {
    const patch = (fields: object, done: string) => void this.change(() => send("PATCH", `/api/v1/people/${person.id}`, fields), done);
    const role = el("select", { "aria-label": `Role of ${person.name}` }, ...USER_ROLES.map((one) => el("option", { value: one, selected: one === person.role }, one)));
    role.addEventListener("change", () => patch({ role: role.value }, `${person.name} now has the role ${role.value}`));
    const toggle = el("button.link", { type: "button", onclick: () => patch({ disabled: !person.disabled }, person.disabled ? `${person.name} enabled` : `${person.name} disabled and signed out`) }, person.disabled ? "Enable" : "Disable");
    const password = el("button.link", { type: "button", onclick: () => this.editPassword(password, (value) => patch({ password: value }, `Password of ${person.name} changed; all sessions ended`)) }, "Set password");
    const reset = person.second_factor
      ? el("button.link", { type: "button", onclick: () => void this.change(() => send("DELETE", `/api/v1/people/${person.id}/second-factor`), `Second factor of ${person.name} removed; all sessions ended`) }, "Reset second factor")
      : "";
    return el(
      "tr",
      { class: person.disabled ? "soft" : "" },
      el("th", { scope: "row" }, person.name, person.disabled ? " (disabled)" : ""),
      el("td", {}, role),
      el("td", {}, el("code", {}, person.identity)),
      el("td", {}, localTime(person.created_at)),
      el("td", {}, el("p.row", {}, person.local ? password : el("span.soft", {}, "Single sign-on"), reset, toggle)),
    );
  }

  private editPassword(button: HTMLElement, save: (value: string) => void): void {
    const field = el("input", { type: "password", autocomplete: "new-password", minlength: 10, required: true, "aria-label": "New password" });
    const form = el("form.inline", {}, field, el("button.button.quiet", {}, "Save"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      save(field.value);
    });
    button.replaceWith(form);
    field.focus();
  }
}

customElements.define("user-accounts", UserAccounts);
