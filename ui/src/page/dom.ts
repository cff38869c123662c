// Builds elements from plain values. Text stays text: nothing here parses markup.

import type { Role } from "./api_types";

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>;

/** `el("button.quiet", { type: "button", onclick }, "Mute")`: a tag with classes, attributes or listeners, children. */
export function el<K extends keyof HTMLElementTagNameMap>(spec: K | `${K}.${string}`, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag as K);
  if (classes.length) element.className = classes.join(" ");
  setAttributes(element, attributes);
  element.append(...withoutGaps(children));
  return element;
}

/** The same for SVG elements. */
export function svg<K extends keyof SVGElementTagNameMap>(spec: K | `${K}.${string}`, attributes: Attributes = {}, ...children: Child[]): SVGElementTagNameMap[K] {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag as K);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  setAttributes(element, attributes);
  element.append(...withoutGaps(children));
  return element;
}

function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
}

function withoutGaps(children: Child[]): (Node | string)[] {
  return children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false).map((child) => (typeof child === "string" ? closed(child) : child));
}

/** Text with its marks of direction closed, so that a name cannot turn around what stands beside it. */
export function closed(text: string): string {
  return text + "\u2069".repeat(text.match(/[\u2066-\u2068]/g)?.length ?? 0) + "\u202c".repeat(text.match(/[\u202a\u202b\u202d\u202e]/g)?.length ?? 0);
}

/** The element for `selector`, which the page's template must contain. */
export function required<T extends Element = HTMLElement>(root: ParentNode, selector: string): T {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}

/** Whether the person may see the settings page, and so can act on advice about the server. */
export function isAdministrator(): boolean {
  return document.querySelector("nav a[href='/settings']") !== null;
}

/** The display names of the two roles, which templates put on elements as data-agent and data-technician. */
export function roleNames(element: HTMLElement): Record<Role, string> {
  return { agent: element.dataset.agent || "Agent", technician: element.dataset.technician || "Technician" };
}
