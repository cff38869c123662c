// <redaction-form>: fills the form for a new redaction from the words that a person selects in the transcript.

import { required } from "../page/dom";

export class RedactionForm extends HTMLElement {
  private readonly disconnected = new AbortController();

  connectedCallback(): void {
    document.addEventListener("selectionchange", () => this.fill(), { signal: this.disconnected.signal });
  }

  disconnectedCallback(): void {
    this.disconnected.abort();
  }

  private fill(): void {
    const selection = document.getSelection();
    const turns = document.querySelector('[data-view="final"]');
    if (!selection || selection.isCollapsed || !turns) return;
    const words = [...turns.querySelectorAll<HTMLElement>(".word")].filter((word) => selection.containsNode(word, true));
    const role = words[0]?.closest<HTMLElement>(".turn")?.dataset.role;
    const mine = words.filter((word) => word.closest<HTMLElement>(".turn")?.dataset.role === role);
    if (!role || !mine.length) return;
    this.field("role").value = role;
    this.field("start_s").value = seconds(mine[0]!.dataset.startMs);
    this.field("end_s").value = seconds(mine.at(-1)!.dataset.endMs);
    required<HTMLDetailsElement>(document, "#redact-more").open = true;
  }

  private field(name: string): HTMLInputElement {
    return required<HTMLInputElement>(this, `[name=${name}]`);
  }
}

function seconds(ms: string | undefined): string {
  return (Number(ms) / 1000).toFixed(3);
}

customElements.define("redaction-form", RedactionForm);
