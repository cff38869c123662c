// <my-account>: the person's password, sessions and API tokens. A new token is shown once.

import { el, required } from "../page/dom";
import { errorMessage, get, send } from "../page/http";
import { attempted, toast } from "../page/toast";
import { localTime } from "../page/times";

interface TokenRow {
  id: number;
  name: string;
  scopes: string[];
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export class MyAccount extends HTMLElement {
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
      void this.createToken(form);
    });
    if (form) void this.loadTokens();
  }

  private async signOutEverywhere(): Promise<void> {
    try {
      await send("POST", "/api/v1/people/me/sign-out-everywhere");
      location.assign("/sign-in");
    } catch (error) {
      toast(errorMessage(error));
    }
  }

  private async changePassword(form: HTMLFormElement): Promise<void> {
    const request = () => send("POST", "/api/v1/people/me/password", Object.fromEntries(new FormData(form)));
    if (await attempted(request, "Password changed. Your other sessions have ended.")) form.reset();
  }

  private async loadTokens(): Promise<void> {
    const list = required(this, "[data-tokens]");
    try {
      const { tokens } = await get<{ tokens: TokenRow[] }>("/api/v1/tokens");
      list.replaceChildren(...(tokens.length ? tokens.map((token) => this.row(token)) : [el("li.soft", {}, "No API tokens.")]));
    } catch (error) {
      list.replaceChildren(el("li", {}, errorMessage(error)));
    }
  }

  private async createToken(form: HTMLFormElement): Promise<void> {
    const data = new FormData(form);
    const body = { name: data.get("name"), scopes: data.getAll("scopes"), days: data.get("days") ? Number(data.get("days")) : null };
    try {
      const created = await send<TokenRow & { token: string }>("POST", "/api/v1/tokens", body);
      const shown = required(this, "[data-new-token]");
      shown.replaceChildren(el("p", {}, "Copy the token now. It will not be shown again."), el("p", {}, el("code", {}, created.token)));
      shown.hidden = false;
      form.reset();
      await this.loadTokens();
    } catch (error) {
      toast(errorMessage(error));
    }
  }

  private row(token: TokenRow): HTMLLIElement {
    const used = token.last_used_at ? `last used ${localTime(token.last_used_at)}` : "never used";
    const expiry = token.expires_at ? `expires ${localTime(token.expires_at)}` : "no expiry";
    const remove = async () => {
      await attempted(() => send("DELETE", `/api/v1/tokens/${token.id}`), `Token ${token.name} removed`);
      await this.loadTokens();
    };
    return el("li.note", {}, el("strong", {}, token.name), el("p.small.soft", {}, `${token.scopes.join(", ")} · ${expiry} · ${used}`), el("button.link", { type: "button", onclick: () => void remove() }, "Remove"));
  }
}

customElements.define("my-account", MyAccount);
