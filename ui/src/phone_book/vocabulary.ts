// <custom-vocabulary>: terms that speech recognition should expect, one per line. Saves changes to the list in the page.

import { required } from "../page/dom";
import { errorMessage, get, send } from "../page/http";
import { toast } from "../page/toast";
import { mergePhrases, phrasesOf } from "./phrases";

interface Vocabulary {
  phrases: string[];
}

export class CustomVocabulary extends HTMLElement {
  private saved: string[] = [];

  connectedCallback(): void {
    this.saved = phrasesOf(this.field.value);
    const form = required<HTMLFormElement>(this, "form");
    required<HTMLButtonElement>(form, "button").disabled = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.save();
    });
  }

  private get field(): HTMLTextAreaElement {
    return required<HTMLTextAreaElement>(this, "textarea");
  }

  private async save(): Promise<void> {
    try {
      const { phrases: now } = await get<Vocabulary>("/api/v1/vocabulary");
      const { phrases } = await send<Vocabulary>("PUT", "/api/v1/vocabulary", { phrases: mergePhrases(this.saved, phrasesOf(this.field.value), now) });
      this.saved = phrases;
      this.field.value = phrases.join("\n");
      toast("Vocabulary saved. It applies from the next call.");
    } catch (error) {
      toast(errorMessage(error));
    }
  }
}

customElements.define("custom-vocabulary", CustomVocabulary);
