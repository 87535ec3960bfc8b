// A member of the room that counts what is said, and tells it to who asks "how many?". {"enter": true} sends it in.

import { send } from "ntwk:simple-actor/runtime";

const encode = (value) => new TextEncoder().encode(JSON.stringify(value));
const read = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

export const actor = {
  init: () => encode({ heard: 0 }),

  stateContract: (state) => Number.isSafeInteger(read(state).heard),

  messageContract(message) {
    const { enter, text } = read(message);
    return enter !== undefined || typeof text === "string";
  },

  handle(message, state) {
    const { enter, text } = read(message);
    let { heard } = read(state);
    if (enter !== undefined) send("room", encode({ join: "clerk" }));
    if (text !== undefined) heard += 1;
    if (text === "how many?") send("room", encode({ say: `I heard ${heard} lines.` }));
    return encode({ heard });
  },
};
