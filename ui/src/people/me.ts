// <my-access>: one's own sessions and API tokens. A new token is shown once.

import { el, need } from "../page/dom";
import { get, send, words } from "../page/http";
import { say } from "../page/say";
import { localTime } from "../page/times";

interface TokenRow {
  id: number;
  name: string;
  scopes: string[];
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export class MyAccess extends HTMLElement {
  connectedCallback(): void {
    this.querySelector("[data-sign-out-everywhere]")?.addEventListener("click", () => void this.signOutEverywhere());
    const password = this.querySelector<HTMLFormElement>("form[data-password]");
    password?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.changePassword(password);
    });
    const form = this.querySelector<HTMLFormElement>("form[data-token]");
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.make(form);
    });
    if (form) void this.load();
  }

  private async signOutEverywhere(): Promise<void> {
    try {
      await send("POST", "/api/people/me/sign-out-everywhere");
      location.assign("/sign-in");
    } catch (error) {
      say(words(error));
    }
  }

  private async changePassword(form: HTMLFormElement): Promise<void> {
    try {
      await send("POST", "/api/people/me/password", Object.fromEntries(new FormData(form)));
      form.reset();
      say("Your password is changed; your other sessions are over");
    } catch (error) {
      say(words(error));
    }
  }

  private async load(): Promise<void> {
    const list = need(this, "[data-tokens]");
    try {
      const { tokens } = await get<{ tokens: TokenRow[] }>("/api/tokens");
      list.replaceChildren(...(tokens.length ? tokens.map((token) => this.row(token)) : [el("li.soft", {}, "You have no tokens.")]));
    } catch (error) {
      list.replaceChildren(el("li", {}, words(error)));
    }
  }

  private async make(form: HTMLFormElement): Promise<void> {
    const data = new FormData(form);
    const body = { name: data.get("name"), scopes: data.getAll("scopes"), days: data.get("days") ? Number(data.get("days")) : null };
    try {
      const made = await send<TokenRow & { token: string }>("POST", "/api/tokens", body);
      const shown = need(this, "[data-new-token]");
      shown.replaceChildren(el("p", {}, "Copy it now; it is not shown again:"), el("p", {}, el("code", {}, made.token)));
      shown.hidden = false;
      form.reset();
      await this.load();
    } catch (error) {
      say(words(error));
    }
  }

  private row(token: TokenRow): HTMLLIElement {
    const used = token.last_used_at ? `last used ${localTime(token.last_used_at)}` : "never used";
    const until = token.expires_at ? `until ${localTime(token.expires_at)}` : "until it is removed";
    const remove = async () => {
      try {
        await send("DELETE", `/api/tokens/${token.id}`);
        say(`${token.name} is worth nothing now`);
      } catch (error) {
        say(words(error));
      }
      await this.load();
    };
    return el("li.note", {}, el("strong", {}, token.name), el("p.small.soft", {}, `${token.scopes.join(", ")} · ${until} · ${used}`), el("button.link", { type: "button", onclick: () => void remove() }, "Remove"));
  }
}

customElements.define("my-access", MyAccess);
