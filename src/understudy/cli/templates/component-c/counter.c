/* A counter. Its state is {"count": n}; the message {"add": 2} adds to it, and {"add": 2, "tell": ACTOR} sends the new
 * count to another actor too. */

#include "json.h"

static bytes state_of(int64_t count) {
    char *start = allocate(64);
    return (bytes){start, (size_t)(write_number(start, "{\"count\":", count, "}") - start)};
}

bytes init(void) { return state_of(0); }

bool state_contract(bytes state) {
    int64_t count;
    return read_integer(state, "count", &count) && count >= 0;
}

bool message_contract(bytes message, bytes state) {
    int64_t add;
    bytes tell;
    (void)state;
    return read_integer(message, "add", &add) && (!find(message, "tell") || read_text(message, "tell", &tell));
}

bytes handle(bytes message, bytes state) {
    int64_t add, count;
    if (!read_integer(message, "add", &add) || !read_integer(state, "count", &count)) __builtin_trap();
    if (count + add > MOST) __builtin_trap();
    bytes after = state_of(count + add), tell;
    char line[80], *end = write_number(line, "added ", add, "");
    end = write_number(end, ", the count is ", count + add, "");
    runtime_log(line, (size_t)(end - line));
    if (read_text(message, "tell", &tell)) runtime_send(tell.data, tell.size, after.data, after.size);
    return after;
}
