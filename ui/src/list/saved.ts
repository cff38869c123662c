// Saved filters above the list of calls: links with the whole filter, which also work for other people.

import { el, required } from "../page/dom";
import { get, send } from "../page/http";
import { attempted, toast } from "../page/toast";

interface SavedFilter {
  id: number;
  name: string;
  query: string;
}

/** Follow the saved filters in `root`. Returns what to call after the filters changed; `query` is their query string. */
export function followSaved(root: HTMLElement, query: () => string): () => void {
  const list = required(root, "[data-saved]");
  const form = required<HTMLFormElement>(root, "form[data-save]");
  const name = required<HTMLInputElement>(form, "[name=name]");

  const change = (request: () => Promise<unknown>, done: string) =>
    attempted(async () => {
      await request();
      const { filters } = await get<{ filters: SavedFilter[] }>("/api/v1/filters");
      list.replaceChildren(...filters.map(item));
    }, done);

  list.addEventListener("click", (event) => {
    const id = (event.target as Element).closest<HTMLElement>("[data-forget]")?.dataset.forget;
    if (id) void change(() => send("DELETE", `/api/v1/filters/${id}`), "Filter deleted");
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = name.value.trim();
    if (chosen && (await change(() => send("POST", "/api/v1/filters", { name: chosen, query: query() }), `${chosen} saved`))) form.reset();
  });
  required(form, "[data-copy]").addEventListener("click", () => {
    navigator.clipboard.writeText(new URL(`/${query()}`, location.href).href).then(
      () => toast("Link copied"),
      () => toast("The browser does not allow copying. Copy the address of this page."),
    );
  });
  const update = () => {
    form.hidden = !query();
  };
  update();
  return update;
}

function item(one: SavedFilter): HTMLLIElement {
  return el(
    "li",
    {},
    el("a.chip", { href: `/?${one.query}` }, one.name),
    el("button.link", { type: "button", "data-forget": one.id, "aria-label": `Delete saved filter ${one.name}` }, "×"),
  );
}
