/* A member of the room that repeats every question. {"enter": true} sends it into the room. */

#include "json.h"

static bytes state_of(int64_t repeated) {
    char *start = allocate(64);
    return (bytes){start, (size_t)(write_number(start, "{\"repeated\":", repeated, "}") - start)};
}

static void say(const char *before, bytes text, const char *after) {
    char *start = allocate(text.size + 64), *end = start;
    while (*before) *end++ = *before++;
    for (size_t i = 0; i < text.size; i++) *end++ = text.data[i];
    while (*after) *end++ = *after++;
    runtime_send("room", 4, start, (size_t)(end - start));
}

bytes init(void) { return state_of(0); }

bool state_contract(bytes state) {
    int64_t repeated;
    return read_integer(state, "repeated", &repeated) && repeated >= 0;
}

bool message_contract(bytes message, bytes state) {
    (void)state;
    return find(message, "enter") || find(message, "text");
}

bytes handle(bytes message, bytes state) {
    int64_t repeated;
    bytes text;
    if (!read_integer(state, "repeated", &repeated)) __builtin_trap();
    if (find(message, "enter")) say("{\"join\":\"parrot", (bytes){NULL, 0}, "\"}");
    if (!read_text(message, "text", &text) || !text.size || text.data[text.size - 1] != '?') return state;
    text.size--;
    say("{\"say\":\"", text, "!\"}");
    return state_of(repeated + 1);
}
