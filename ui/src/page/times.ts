// Times in the reader's own zone; the server wrote them in UTC.

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function localTimes(root: ParentNode): void {
  for (const time of root.querySelectorAll<HTMLTimeElement>("time[data-local]")) {
    time.title = time.textContent ?? "";
    time.textContent = clock.format(new Date(time.dateTime));
  }
}

/** The reader's zone, for the server to count whole days in. */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

export function localTime(when: string): string {
  return clock.format(new Date(when));
}
