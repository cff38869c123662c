// Times in the reader's time zone; the server renders them in UTC.

const formatter = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const seconds = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export function localizeTimes(root: ParentNode): void {
  for (const time of root.querySelectorAll<HTMLTimeElement>("time[data-local]")) {
    time.title = time.textContent ?? "";
    time.textContent = time.dataset.local === "second" ? seconds.format(new Date(time.dateTime)) : localTime(time.dateTime);
  }
}

/** The reader's time zone, in which the server counts days. */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

export function localTime(when: string): string {
  return formatter.format(new Date(when));
}
