// <scorecard-results>: the results of a period. The server renders them in UTC first; this fetches them again in the reader's
// time zone, which the form and the CSV file then use too.

import { el } from "../page/dom";
import { errorMessage } from "../page/http";
import { fetchPage } from "../page/refresh";
import { localZone } from "../page/times";

export class ScorecardResults extends HTMLElement {
  connectedCallback(): void {
    if (this.dataset.zone !== localZone()) void this.load();
  }

  private async load(): Promise<void> {
    const query = new URLSearchParams(location.search);
    query.set("zone", localZone());
    try {
      const fresh = (await fetchPage(`/scorecards/results?${query}`)).querySelector("scorecard-results");
      if (fresh) this.replaceChildren(...fresh.childNodes);
      this.dataset.zone = localZone();
    } catch (error) {
      this.prepend(el("p.card", {}, errorMessage(error)));
    }
  }
}

customElements.define("scorecard-results", ScorecardResults);
