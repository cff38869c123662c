// Brings a part of the page to what is to be shown now. What both have in common stays as it is, so a click that has begun,
// the focus, a selection, open details and text that a person types survive the update.

import { Idiomorph } from "idiomorph";

/** Custom elements whose content the server renders. All others draw their content, so they are replaced and start again. */
const RENDERED_BY_SERVER = ["call-analysis", "call-triage", "erase-progress", "redaction-form"];

/** Update `shown` to `fresh`, which may be changed by this. */
export function updatePart(shown: Element, fresh: Element): void {
  if ([shown, ...shown.querySelectorAll("*")].some(drawsItself)) return shown.replaceWith(fresh);
  // The script of a custom element is loaded here, so new forms in it can be used at once.
  if (isCustom(shown)) for (const form of fresh.querySelectorAll<HTMLElement>("form[inert]")) form.inert = false;
  const around = focusedIn(shown);
  Idiomorph.morph(shown, fresh, {
    callbacks: {
      beforeNodeMorphed: (old, now) => !(isField(old) && isTyped(old) && old.value !== (now as Field).value),
      beforeNodeRemoved: (old) => !(old instanceof Element && [...old.querySelectorAll("details[open] *")].some((one) => isField(one) && isTyped(one))),
      beforeAttributeUpdated: (name) => name !== "open",
    },
  });
  keepPlace(around);
}

/** Let `parent` have these children. Those that it has already are not moved. */
export function arrange(parent: Element, children: Element[]): void {
  for (const old of [...parent.children]) if (!children.includes(old)) old.remove();
  children.forEach((child, at) => child === parent.children[at] || parent.insertBefore(child, parent.children[at] ?? null));
}

/** Run `change`, which may move the focused element to another place in the page: it keeps the focus. */
export function keepFocus(change: () => void): void {
  const focused = document.activeElement;
  change();
  if (focused instanceof HTMLElement && focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
}

/** Call this when a form is sent: from now on its fields follow the server again. */
export function markSent(form: HTMLElement, sent = true): void {
  form.toggleAttribute("data-sent", sent);
}

/** The focused element and what contains it, the innermost first. */
function focusedIn(part: Element): HTMLElement[] {
  const found: HTMLElement[] = [];
  for (let one = document.activeElement; one instanceof HTMLElement && part.contains(one); one = one.parentElement) found.push(one);
  return found;
}

/** If the focused button has gone, focus what was around it, and not the button in its place, which a second press would press. */
function keepPlace([focused, ...around]: HTMLElement[]): void {
  if (!focused || focused.isConnected) return;
  const place = around.find((one) => one.isConnected);
  if (!place) return;
  if (!place.hasAttribute("tabindex")) place.tabIndex = -1;
  place.focus({ preventScroll: true });
}

type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

function isField(node: Node): node is Field {
  return node instanceof HTMLInputElement || node instanceof HTMLSelectElement || node instanceof HTMLTextAreaElement;
}

/** Whether a person changed the field and has not sent it. */
function isTyped(field: Field): boolean {
  return !field.form?.hasAttribute("data-sent") && field.value !== originalValue(field);
}

function originalValue(field: Field): string {
  if (!(field instanceof HTMLSelectElement)) return field.defaultValue;
  return ([...field.options].find((option) => option.defaultSelected) ?? field.options[0])?.value ?? "";
}

function isCustom(element: Element): boolean {
  return element.localName.includes("-");
}

function drawsItself(element: Element): boolean {
  return isCustom(element) && !RENDERED_BY_SERVER.includes(element.localName);
}
