// What the entries of an outbox mean.
import assert from "node:assert/strict";
import { test } from "node:test";
import { afterMark, standing, touched } from "../../../static/roll_call/rules.js";

let seq = 0;
const entry = (order, more = {}) => ({
  seq: (seq += 1), owner: "ravi", camp: "hosur", status: "waiting", tried: false, said: "",
  order: { action: "mark", person: "asha", camp: "hosur", ...order }, ...more,
});
const present = (more) => entry({ state: "present", base: "expected", base_role: "volunteer" }, more);
const EXPECTED = { state: "expected", role: "volunteer", signedUp: true };
const wanted = (state, more = {}) => ({ action: "mark", person: "asha", state, ...more });

test("a first mark says what the phone believed to stand", () => {
  const { remove, replace, order } = afterMark([], wanted("present"), EXPECTED);
  assert.deepEqual(remove, []);
  assert.equal(replace, undefined);
  assert.deepEqual(order, { ...wanted("present"), base: "expected", base_role: "volunteer" });
});

test("a changed mind replaces the mark that was not sent, and keeps what it stood on", () => {
  const last = present();
  const { replace, order } = afterMark([last], wanted("absent"), { state: "present", role: "volunteer" });
  assert.equal(replace, last);
  assert.equal(order.base, "expected");
  assert.equal(order.state, "absent");
});

test("a mark that ends as it began is not sent at all", () => {
  const last = present();
  assert.deepEqual(afterMark([last], wanted("expected"), EXPECTED), { remove: [last] });
});

test("what they had said themselves is where taking back ends", () => {
  const last = entry({ state: "present", base: "excused", base_role: "volunteer" });
  assert.deepEqual(afterMark([last], wanted("expected"), EXPECTED), { remove: [last] });
  const unconfirmed = entry({ state: "present", base: "excused", unconfirmed: true });
  assert.equal(afterMark([unconfirmed], wanted("expected"), EXPECTED).replace, unconfirmed);
});

test("an entry that may have arrived is followed, not changed", () => {
  const tried = present({ tried: true });
  const { remove, replace, order } = afterMark([tried], wanted("expected"), { state: "present", role: "volunteer" });
  assert.deepEqual(remove, []);
  assert.equal(replace, undefined);
  assert.equal(order.unconfirmed, true);
  assert.equal(order.base, "present");
});

test("a mark after something done to the whole list does not replace what was before it", () => {
  const last = present();
  const everyone = entry({ action: "everyone", person: undefined, people: ["asha"] });
  const { replace, order } = afterMark([last, everyone], wanted("absent"), { state: "present", role: "volunteer" });
  assert.equal(replace, undefined);
  assert.equal(order.unconfirmed, true);
});

test("somebody added here and taken back has never been heard of", () => {
  const added = entry({ action: "add", name: "Zoya Khan" });
  const left = entry({ action: "leave", at: "now" });
  assert.deepEqual(afterMark([added, left], wanted("expected"), EXPECTED), { remove: [added, left] });
});

test("who is not present any more has no leaving time", () => {
  const left = entry({ action: "leave", at: "11:10" });
  assert.deepEqual(afterMark([left], wanted("absent"), EXPECTED).remove, [left]);
  assert.deepEqual(afterMark([left], wanted("present", { camp_role: "doctor" }), EXPECTED).remove, []);
});

test("a new mark answers the question that was open", () => {
  const asked = present({ status: "asked" });
  assert.deepEqual(afterMark([asked], wanted("absent"), EXPECTED).remove, [asked]);
});

test("where somebody stands counts everything in that waits, in its order", () => {
  const others = [entry({ person: "imran", state: "absent" })];
  assert.equal(standing("asha", EXPECTED, others).waiting, false);
  const doctor = entry({ state: "present", camp_role: "doctor" });
  const left = entry({ action: "leave", at: "11:10" });
  const now = standing("asha", EXPECTED, [...others, doctor, left]);
  assert.deepEqual([now.state, now.role, now.left, now.waiting], ["present", "doctor", "11:10", true]);
  const open = present({ status: "asked" });
  assert.equal(standing("asha", EXPECTED, [open]).open, open);
  assert.equal(standing("asha", EXPECTED, [open]).state, "expected");
});

test("who had not signed up and is taken back is not on the list", () => {
  const back = entry({ state: "expected" });
  assert.equal(standing("asha", { state: "present", role: "volunteer" }, [back]).state, "");
  assert.equal(standing("asha", { state: "present", role: "volunteer", signedUp: true }, [back]).state, "expected");
});

test("everyone, closing and opening again concern whom they name", () => {
  const everyone = entry({ action: "everyone", person: undefined, people: ["asha"] });
  const close = entry({ action: "close", person: undefined });
  const reopen = entry({ action: "reopen", person: undefined });
  assert.equal(standing("asha", EXPECTED, [everyone, close]).state, "present");
  assert.equal(standing("imran", EXPECTED, [everyone, close]).state, "absent");
  assert.equal(standing("imran", { state: "absent", role: "volunteer", presumed: true }, [reopen]).state, "expected");
  assert.equal(standing("imran", { state: "absent", role: "volunteer" }, [reopen]).state, "absent");
  assert.equal(standing("imran", EXPECTED, [close, reopen]).state, "expected");
  assert.deepEqual([...touched([everyone], () => ["all"])], ["asha"]);
  assert.deepEqual([...touched([close], () => ["all"])], ["all"]);
});

test("a new camp role keeps the leaving time that the server said", () => {
  const known = { state: "present", role: "doctor", left: "20:51" };
  const now = standing("asha", known, [entry({ state: "present", camp_role: "coordinator" })]);
  assert.deepEqual([now.role, now.left], ["coordinator", "20:51"]);
});
