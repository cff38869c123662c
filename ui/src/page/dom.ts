// Elements from plain values. Text stays text: nothing here reads markup.

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>;

/** `el("button.quiet", { type: "button", onclick }, "Mute")`: a tag with classes, attributes or listeners, children. */
export function el<K extends keyof HTMLElementTagNameMap>(spec: K | `${K}.${string}`, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const [tag, ...classes] = spec.split(".");
  const made = document.createElement(tag as K);
  if (classes.length) made.className = classes.join(" ");
  set(made, attributes);
  made.append(...kept(children));
  return made;
}

/** As `el`, for drawings. */
export function svg<K extends keyof SVGElementTagNameMap>(spec: K | `${K}.${string}`, attributes: Attributes = {}, ...children: Child[]): SVGElementTagNameMap[K] {
  const [tag, ...classes] = spec.split(".");
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag as K);
  if (classes.length) made.setAttribute("class", classes.join(" "));
  set(made, attributes);
  made.append(...kept(children));
  return made;
}

function set(made: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.replace(/^on/, ""), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
}

function kept(children: Child[]): (Node | string)[] {
  return children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false);
}

/** The one element that a template promises. */
export function need<T extends Element = HTMLElement>(root: ParentNode, selector: string): T {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}
