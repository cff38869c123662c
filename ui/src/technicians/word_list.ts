// <word-list>: words that engines should expect, one a line. The server drew the list; this keeps what was changed in it.

import { need } from "../page/dom";
import { get, send, words } from "../page/http";
import { say } from "../page/say";
import { merged, phrasesOf } from "./phrases";

interface Answer {
  phrases: string[];
}

export class WordList extends HTMLElement {
  private known: string[] = [];

  connectedCallback(): void {
    this.known = phrasesOf(this.field.value);
    const form = need<HTMLFormElement>(this, "form");
    need<HTMLButtonElement>(form, "button").disabled = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.keep();
    });
  }

  private get field(): HTMLTextAreaElement {
    return need<HTMLTextAreaElement>(this, "textarea");
  }

  private async keep(): Promise<void> {
    try {
      const { phrases: now } = await get<Answer>("/api/vocabulary");
      const { phrases } = await send<Answer>("PUT", "/api/vocabulary", { phrases: merged(this.known, phrasesOf(this.field.value), now) });
      this.known = phrases;
      this.field.value = phrases.join("\n");
      say("The words are kept; engines get them when they begin next");
    } catch (error) {
      say(words(error));
    }
  }
}

customElements.define("word-list", WordList);
