// <settings-search>: shows only the settings whose name, value or description contains all typed words.

import { required } from "../page/dom";
import { count } from "../page/format";

export class SettingsSearch extends HTMLElement {
  connectedCallback(): void {
    this.hidden = false;
    const field = required<HTMLInputElement>(this, "input");
    field.addEventListener("input", () => this.filter(field.value));
  }

  private filter(typed: string): void {
    const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const section of document.querySelectorAll<HTMLElement>("[data-settings]")) {
      const rows = [...section.querySelectorAll<HTMLElement>(".settings > div")];
      for (const row of rows) row.hidden = !words.every((word) => row.textContent!.toLowerCase().includes(word));
      const shown = rows.filter((row) => !row.hidden).length;
      section.hidden = !shown;
      found += shown;
    }
    const result = found ? `${count(found, "setting")} found` : "No matching settings. Search for fewer words.";
    required(this, "[data-found]").textContent = words.length ? result : "";
  }
}

customElements.define("settings-search", SettingsSearch);
