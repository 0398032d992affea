// The outbox in a database: order, owners, answers that are lost, refusals and questions.
import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import * as outbox from "../../../static/roll_call/outbox.js";

const CAMP = "hosur";
const EXPECTED = { state: "expected", role: "volunteer" };
let heard = 0;

const mark = (person, state, stands = EXPECTED) => outbox.mark({ action: "mark", camp: CAMP, person, state }, stands);
const people = async () => (await outbox.all()).map(({ order }) => [order.person, order.state]);
const outcome = ({ order }, became, more = {}) => ({ id: order.id, outcome: became, said: "", question: "", ...more });

beforeEach(async () => {
  await outbox.open("ravi", () => { heard += 1; });
  await outbox.drop(await outbox.all());
});

test("entries are kept in their order, and each change is told", async () => {
  const before = heard;
  await mark("asha", "present");
  await mark("imran", "absent");
  await mark("asha", "excused");
  assert.deepEqual(await people(), [["asha", "excused"], ["imran", "absent"]]);
  assert.equal(heard - before, 3);
});

test("each order has an id of its own, and a changed mind a new one", async () => {
  await mark("asha", "present");
  const [first] = await outbox.all();
  await mark("asha", "absent");
  const [second] = await outbox.all();
  assert.equal(second.seq, first.seq);
  assert.notEqual(second.order.id, first.order.id);
  assert.match(second.order.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("the oldest are taken first, and are not changed any more", async () => {
  for (const person of ["asha", "imran", "zoya"]) await mark(person, "present");
  const batch = await outbox.take(2);
  assert.deepEqual(batch.map(({ order }) => order.person), ["asha", "imran"]);
  await mark("asha", "expected", { state: "present", role: "volunteer" });
  const [first, , , last] = await outbox.all();
  assert.equal(first.order.id, batch[0].order.id);
  assert.deepEqual([last.order.state, last.order.unconfirmed], ["expected", true]);
});

test("a lost answer leaves the entry waiting, and it is sent again with the same id", async () => {
  await mark("asha", "present");
  const [sent] = await outbox.take(25);
  assert.deepEqual(await outbox.record([sent], []), []);
  const [again] = await outbox.take(25);
  assert.equal(again.order.id, sent.order.id);
});

test("what is done goes; what is refused or asked stays with what was said", async () => {
  for (const person of ["asha", "imran", "zoya"]) await mark(person, "present");
  const batch = await outbox.take(25);
  await outbox.record(batch, [
    outcome(batch[0], "done"),
    outcome(batch[1], "refused", { said: "switched off", question: "<p>Not saved</p>" }),
    outcome(batch[2], "asked", { said: "Meera marked excused", question: "<p>Which?</p>" }),
  ]);
  const left = await outbox.all();
  assert.deepEqual(left.map(({ status, said }) => [status, said]), [
    ["refused", "switched off"],
    ["asked", "Meera marked excused"],
  ]);
  assert.deepEqual(await outbox.take(25), []); // questions are not sent again by themselves
});

test("an answer to an entry that was replaced meanwhile is no answer to the new one", async () => {
  await mark("asha", "present");
  const [sent] = await outbox.take(25);
  const other = { ...sent, order: { ...sent.order, id: "another" } };
  await outbox.record([other], [outcome(other, "done")]);
  assert.equal((await outbox.all()).length, 1);
});

test("another person's entries are neither shown nor sent, and stay", async () => {
  await mark("asha", "present");
  await outbox.open("meera", () => {});
  assert.deepEqual(await outbox.all(), []);
  assert.deepEqual(await outbox.take(25), []);
  await outbox.open("ravi", () => {});
  assert.deepEqual(await people(), [["asha", "present"]]);
});

test("a leaving time takes the place of the last one that was not sent", async () => {
  const leave = (at) => outbox.leave({ action: "leave", camp: CAMP, person: "asha", at });
  await leave("11:10");
  await leave("11:20");
  assert.deepEqual((await outbox.all()).map(({ order }) => order.at), ["11:20"]);
  await outbox.take(25);
  await leave("11:30");
  assert.deepEqual((await outbox.all()).map(({ order }) => order.at), ["11:20", "11:30"]);
});

test("a question of the former version, which came without words to show, is asked again", async () => {
  await mark("asha", "present");
  const [sent] = await outbox.take(25);
  await outbox.record([sent], [outcome(sent, "asked", { said: "Meera marked excused" })]);
  assert.deepEqual(await outbox.take(25), []);
  await outbox.open("ravi", () => {});
  assert.equal((await outbox.take(25))[0].order.id, sent.order.id);
});

test("rows that the server sent are kept until the page is newer", async () => {
  await outbox.keepRow(CAMP, "asha", { at: 10, html: "old" });
  await outbox.keepRow(CAMP, "imran", { at: 30, html: "new" });
  await outbox.keepRow("elsewhere", "zoya", { at: 30, html: "other" });
  assert.deepEqual(await outbox.rowsSince(CAMP, 20), [{ at: 30, html: "new" }]);
  assert.equal((await outbox.rowsSince(CAMP, 0)).length, 1);
});
