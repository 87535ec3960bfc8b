/* An actor in C: define the four functions at the end, include this file once, and wrap what comes out (wrap.py).
 *
 * It is the canonical ABI of the component model for `engines/wasm/interface/actor.wit`, written out: names and
 * layouts are those that every tool for components gives to the world `first-actor`. */

#ifndef ACTOR_H
#define ACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *data;
    size_t size;
} bytes;

#define RUNTIME(name) __attribute__((import_module("ntwk:simple-actor/runtime"), import_name(name)))
#define ACTOR(name) __attribute__((export_name("ntwk:simple-actor/actor#" name)))

RUNTIME("log") void runtime_log(const char *line, size_t size);
RUNTIME("send") void runtime_send(const char *actor_id, size_t id_size, const char *message, size_t message_size);

/* What you define. An actor keeps nothing between two calls: all that it knows is in the state. */
bytes init(void);
bool state_contract(bytes state);
bool message_contract(bytes message, bytes state);
bytes handle(bytes message, bytes state);

/* Memory that is never given back: each call runs in a fresh instance, which is gone after it. */
static void *allocate(size_t size) {
    extern char __heap_base;
    static uintptr_t top;
    uintptr_t start = ((top ? top : (uintptr_t)&__heap_base) + 15) & ~(uintptr_t)15;
    uintptr_t held = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
    if (size > UINTPTR_MAX - 65535 - start) __builtin_trap();
    top = start + size;
    if (top > held && __builtin_wasm_memory_grow(0, (top - held + 65535) >> 16) == (size_t)-1) __builtin_trap();
    return (void *)start;
}

__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t old_size, size_t alignment, size_t size) {
    (void)alignment;
    char *fresh = allocate(size);
    for (size_t i = 0; i < old_size && i < size; i++) fresh[i] = ((char *)old)[i];
    return fresh;
}

/* A list is returned as the address of its address and size. */
static const bytes *returned(bytes result) {
    static bytes area;
    area = result;
    return &area;
}

ACTOR("init") const bytes *actor_init(void) { return returned(init()); }

ACTOR("state-contract") bool actor_state_contract(const char *state, size_t state_size) {
    return state_contract((bytes){state, state_size});
}

ACTOR("message-contract")
bool actor_message_contract(const char *message, size_t message_size, const char *state, size_t state_size) {
    return message_contract((bytes){message, message_size}, (bytes){state, state_size});
}

ACTOR("handle")
const bytes *actor_handle(const char *message, size_t message_size, const char *state, size_t state_size) {
    return returned(handle((bytes){message, message_size}, (bytes){state, state_size}));
}

#endif
