// <weekly-report>: the report of a week. The server renders it in UTC first; this fetches it again in the reader's time zone,
// in which the linked lists count days too.

import { el, required } from "../page/dom";
import { errorMessage } from "../page/http";
import { fetchPage } from "../page/refresh";
import { localZone } from "../page/times";
import { updatePart } from "../page/update";

export class WeeklyReport extends HTMLElement {
  connectedCallback(): void {
    if (required(this, "[data-report]").dataset.zone !== localZone()) void this.load();
  }

  private async load(): Promise<void> {
    const query = new URLSearchParams(location.search);
    query.set("zone", localZone());
    try {
      updatePart(required(this, "[data-report]"), required((await fetchPage(`/report?${query}`)).body, "[data-report]"));
    } catch (error) {
      this.prepend(el("p.card", {}, errorMessage(error)));
    }
  }
}

customElements.define("weekly-report", WeeklyReport);
