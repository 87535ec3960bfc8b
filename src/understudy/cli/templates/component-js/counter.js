// A counter. Its state is {"count": n}; the message {"add": 2} adds to it, and {"add": 2, "tell": ACTOR} sends the new
// count to another actor too.

import { log, send } from "ntwk:simple-actor/runtime";

const encode = (value) => new TextEncoder().encode(JSON.stringify(value));

// The JSON object; empty if the bytes are something else.
function read(bytes) {
  try {
    const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return value !== null && typeof value === "object" ? value : {};
  } catch {
    return {};
  }
}

export const actor = {
  init: () => encode({ count: 0 }),

  stateContract(state) {
    const { count } = read(state);
    return Number.isSafeInteger(count) && count >= 0;
  },

  messageContract(message) {
    const { add, tell = "" } = read(message);
    return Number.isSafeInteger(add) && typeof tell === "string";
  },

  handle(message, state) {
    const { add, tell } = read(message);
    const count = read(state).count + add;
    if (!Number.isSafeInteger(count)) throw new RangeError("the count is too large");
    const after = encode({ count });
    log(`added ${add}, the count is ${count}`);
    if (tell !== undefined) send(tell, after);
    return after;
  },
};
