"""The parts of a call's page as values, to compare a page that was open for long with one that is opened now."""

from typing import Any

from playwright.sync_api import Page

_PARTS = r"""() => {
    const shape = node => {
        if (node.nodeType === Node.TEXT_NODE) return node.data.replace(/\s+/g, " ").trim();
        if (node.nodeType !== Node.ELEMENT_NODE || node.hidden) return "";
        node.getAttribute("style") || node.removeAttribute("style"); // a screenshot leaves an empty one
        const attributes = [...node.attributes].map(({ name, value }) => `${name}=${value}`).sort().join(" ");
        return [`${node.localName} ${attributes}`, ...[...node.childNodes].map(shape).filter(child => child !== "")];
    };
    const parts = [...document.querySelectorAll("#head, [data-live-call] > .column > *")];
    return Object.fromEntries(parts.filter(part => part.id !== "accesses").map(part => {
        part = part.cloneNode(true);
        part.normalize();
        return [part.id, shape(part)];
    }));
}"""


def parts_of_call(page: Page) -> dict[str, Any]:
    """Each part by its id, in their order, as nested lists without what is hidden; also without who opened the page, which a reload changes."""
    found: dict[str, Any] = page.evaluate(_PARTS)
    return found
