import { expect, test } from "vitest";
import { ApiError } from "../src/page/http";
import { refreshQueue } from "../src/page/refresh";

/** A server whose answers the test gives, and the waits between requests. */
function server() {
  const asked: { answer: (page: string) => void; fail: (status: number) => void }[] = [];
  const waits: number[] = [];
  const request = refreshQueue(
    () => new Promise<string>((resolve, reject) => asked.push({ answer: resolve, fail: (status) => reject(new ApiError(status, "x", "x")) })),
    async (ms) => void waits.push(ms),
  );
  return { asked, waits, request };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

test("a page is fetched after the one before was drawn, once for all who wait", async () => {
  const { asked, request } = server();
  const drawn: string[] = [];
  const [head, notes] = ["head", "notes"].map((part) => (page: string) => void drawn.push(`${part} ${page}`)) as [(page: string) => void, (page: string) => void];
  request(head);
  await settled();
  request(head);
  request(notes);
  await settled();
  expect(asked).toHaveLength(1);
  asked[0]!.answer("old");
  await settled();
  expect([drawn, asked.length]).toEqual([["head old"], 2]);
  asked[1]!.answer("new");
  await settled();
  expect([drawn, asked.length]).toEqual([["head old", "head new", "notes new"], 2]);
});

test("a page that cannot be fetched for a while is fetched again, a missing one is not", async () => {
  const { asked, waits, request } = server();
  const drawn: string[] = [];
  request((page) => drawn.push(page));
  for (const [at, status] of [503, 0, 404].entries()) {
    await settled();
    asked[at]!.fail(status);
  }
  await settled();
  expect([asked.length, drawn]).toEqual([3, []]);
  request((page) => drawn.push(page));
  await settled();
  asked[3]!.answer("page");
  await settled();
  expect([drawn, waits]).toEqual([["page"], [250, 1000, 2000, 250]]);
});
