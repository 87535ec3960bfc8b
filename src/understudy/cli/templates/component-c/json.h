/* As much JSON as the examples need: the fields of one object, integers, and texts without escapes. */

#ifndef JSON_H
#define JSON_H

#include "actor.h"

/* Nobody needs all of it. */
#pragma clang diagnostic ignored "-Wunused-function"

#define MOST 9007199254740991 /* what every reader of JSON keeps exactly */

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static const char *skip_space(const char *at, const char *end) {
    while (at < end && is_space(*at)) at++;
    return at;
}

/* The closing quote of the string whose first character is at `at`. */
static const char *end_of_string(const char *at, const char *end) {
    while (at < end && *at != '"') at += *at == '\\' ? 2 : 1;
    return at < end ? at : end;
}

static bool equals(const char *at, const char *end, const char *name) {
    while (at < end && *name && *at == *name) at++, name++;
    return at == end && !*name;
}

/* Where the value of a field of a JSON object begins; null without the field. */
static const char *find(bytes json, const char *name) {
    const char *end = json.data + json.size, *at = skip_space(json.data, end);
    bool at_key = false;
    if (at == end || *at != '{') return NULL;
    for (int depth = 0; at < end; at++) {
        if (*at == '"') {
            const char *start = at + 1;
            at = end_of_string(start, end);
            if (depth == 1 && at_key && equals(start, at, name)) {
                const char *colon = skip_space(at + 1, end);
                return colon < end && *colon == ':' ? skip_space(colon + 1, end) : NULL;
            }
            at_key = false;
        } else if (*at == '{' || *at == '[') {
            depth++;
            at_key = *at == '{';
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (*at == ',') {
            at_key = true;
        }
    }
    return NULL;
}

static bool read_integer(bytes json, const char *name, int64_t *number) {
    const char *at = find(json, name), *end = json.data + json.size;
    if (!at) return false;
    bool negative = at < end && *at == '-';
    at += negative;
    const char *first = at;
    for (*number = 0; at < end && *at >= '0' && *at <= '9'; at++) {
        *number = *number * 10 + (*at - '0');
        if (*number > MOST) return false;
    }
    if (at == first || at == end || (!is_space(*at) && *at != ',' && *at != '}')) return false;
    if (negative) *number = -*number;
    return true;
}

/* The text of a field; false if it is no plain text. */
static bool read_text(bytes json, const char *name, bytes *text) {
    const char *at = find(json, name), *end = json.data + json.size;
    if (!at || at == end || *at != '"') return false;
    const char *close = end_of_string(at + 1, end);
    for (const char *c = at; c < close; c++)
        if (*c == '\\') return false;
    *text = (bytes){at + 1, (size_t)(close - at - 1)};
    return close < end;
}

/* Writes `before`, a number and `after`; the result is where it ends. */
static char *write_number(char *at, const char *before, int64_t number, const char *after) {
    char digits[20];
    int count = 0;
    while (*before) *at++ = *before++;
    if (number < 0) *at++ = '-';
    for (uint64_t rest = number < 0 ? -number : number; rest || !count; rest /= 10) digits[count++] = '0' + rest % 10;
    while (count) *at++ = digits[--count];
    while (*after) *at++ = *after++;
    return at;
}

#endif
