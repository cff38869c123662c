// Times in the reader's time zone; the server renders them in UTC.

const formatter = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function localizeTimes(root: ParentNode): void {
  for (const time of root.querySelectorAll<HTMLTimeElement>("time[data-local]")) {
    time.title = time.textContent ?? "";
    time.textContent = localTime(time.dateTime);
  }
}

/** The reader's time zone, in which the server counts days. */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

export function localTime(when: string): string {
  return formatter.format(new Date(when));
}
