/* A JSON reader for flat objects: numbers (bare or as decimal strings), base58 keys or arrays of 32 numbers; anything
 * else is skipped. Reads in place, no recursion. Functions return 0, or InvalidArguments. */
#pragma once
#include "errors.h"
#include "sbf.h"

typedef struct { const u8 *p, *end; } Json;

INLINE void json_space(Json *j) {
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\t' || *j->p == '\r')) j->p++;
}

INLINE bool json_take(Json *j, u8 c) {
    json_space(j);
    if (j->p >= j->end || *j->p != c) return 0;
    j->p++;
    return 1;
}

/* Skips a string after its opening quote. `text` gets its raw bytes, with escapes unchanged. */
NOINLINE u64 json_string(Json *j, Slice *text) {
    text->data = j->p;
    for (; j->p < j->end; j->p++) {
        if (*j->p == '"') {
            text->len = j->p++ - text->data;
            return 0;
        }
        if (*j->p == '\\') j->p++;
    }
    return InvalidArguments;
}

/* Reads the next key of the object and its colon. `first` on the first call; key->data is 0 after the last key. */
NOINLINE u64 json_key(Json *j, Slice *key, bool first) {
    key->data = 0;
    if (json_take(j, '}')) return 0;
    REQUIRE(first || json_take(j, ','), InvalidArguments);
    REQUIRE(json_take(j, '"'), InvalidArguments);
    TRY(json_string(j, key));
    return json_take(j, ':') ? 0 : InvalidArguments;
}

/* Skips any value. */
NOINLINE u64 json_skip(Json *j) {
    u64 depth = 0;
    Slice ignored;
    do {
        json_space(j);
        REQUIRE(j->p < j->end, InvalidArguments);
        u8 c = *j->p++;
        if (c == '"') {
            TRY(json_string(j, &ignored));
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            REQUIRE(depth, InvalidArguments);
            depth--;
        } else if (c == ',' || c == ':') {
            REQUIRE(depth, InvalidArguments);
        } else {
            while (j->p < j->end && *j->p != ',' && *j->p != ':' && *j->p != '}' && *j->p != ']' && *j->p != '"') j->p++;
        }
    } while (depth);
    return 0;
}

typedef struct { u64 magnitude; bool negative; } Number;

/* Reads an integer, bare or in quotes. A fraction or exponent is left over, which the caller then refuses. */
NOINLINE u64 json_number(Json *j, Number *out) {
    bool quoted = json_take(j, '"');
    out->negative = j->p < j->end && *j->p == '-';
    if (out->negative) j->p++;
    out->magnitude = 0;
    const u8 *start = j->p;
    while (j->p < j->end && *j->p >= '0' && *j->p <= '9') {
        u64 digit = *j->p++ - '0';
        REQUIRE(out->magnitude <= (0xffffffffffffffffULL - digit) / 10, InvalidArguments);
        out->magnitude = out->magnitude * 10 + digit;
    }
    REQUIRE(j->p > start, InvalidArguments);
    if (quoted) {
        REQUIRE(j->p < j->end && *j->p == '"', InvalidArguments);
        j->p++;
    }
    return 0;
}

/* Base58, canonical, exactly 32 bytes. */
NOINLINE u64 base58_key(const Slice *text, u8 *out) {
    u32 limbs[8] = {0}; /* little-endian */
    u64 ones = 0;
    bool leading = 1;
    for (u64 i = 0; i < text->len; i++) {
        u64 c = text->data[i], digit;
        /* 1-9 A-H J-N P-Z a-k m-z */
        if (c >= '1' && c <= '9') digit = c - '1';
        else if (c >= 'A' && c <= 'Z' && c != 'I' && c != 'O') digit = c - 'A' + 9 - (c > 'I') - (c > 'O');
        else if (c >= 'a' && c <= 'z' && c != 'l') digit = c - 'a' + 33 - (c > 'l');
        else return InvalidArguments;
        leading = leading && digit == 0;
        ones += leading;
        u64 carry = digit;
        for (u64 k = 0; k < 8; k++) {
            carry += (u64)limbs[k] * 58;
            limbs[k] = (u32)carry;
            carry >>= 32;
        }
        REQUIRE(carry == 0, InvalidArguments);
    }
    u64 zeros = 0;
    leading = 1;
    for (u64 i = 0; i < 32; i++) {
        out[i] = limbs[7 - i / 4] >> (24 - 8 * (i % 4));
        leading = leading && out[i] == 0;
        zeros += leading;
    }
    return zeros == ones ? 0 : InvalidArguments;
}

/* A public key: base58 string or array of 32 numbers. */
NOINLINE u64 json_pubkey(Json *j, u8 *out) {
    if (json_take(j, '"')) {
        Slice text;
        TRY(json_string(j, &text));
        return base58_key(&text, out);
    }
    REQUIRE(json_take(j, '['), InvalidArguments);
    for (u64 i = 0; i < 32; i++) {
        Number number;
        REQUIRE(i == 0 || json_take(j, ','), InvalidArguments);
        json_space(j);
        TRY(json_number(j, &number));
        REQUIRE(!number.negative && number.magnitude <= 255, InvalidArguments);
        out[i] = number.magnitude;
    }
    return json_take(j, ']') ? 0 : InvalidArguments;
}

/* An unsigned integer of `size` bytes (1, 2, 4, 8), stored little-endian. */
NOINLINE u64 json_unsigned(Json *j, u8 *out, u64 size) {
    Number number;
    json_space(j);
    TRY(json_number(j, &number));
    REQUIRE(!number.negative || number.magnitude == 0, InvalidArguments);
    REQUIRE(size == 8 || number.magnitude >> (8 * size) == 0, InvalidArguments);
    for (u64 i = 0; i < size; i++) out[i] = number.magnitude >> (8 * i);
    return 0;
}

/* A signed byte. */
NOINLINE u64 json_i8(Json *j, u8 *out) {
    Number number;
    json_space(j);
    TRY(json_number(j, &number));
    REQUIRE(number.magnitude <= (number.negative ? 128 : 127), InvalidArguments);
    *out = number.negative ? -number.magnitude : number.magnitude;
    return 0;
}

/* Whether a key's name equals a literal. */
#define JSON_IS(key, literal) \
    ((key).len == sizeof(literal) - 1 && json_equal((key).data, (const u8 *)(literal), sizeof(literal) - 1))
INLINE bool json_equal(const u8 *a, const u8 *b, u64 len) {
    for (u64 i = 0; i < len; i++)
        if (a[i] != b[i]) return 0;
    return 1;
}
