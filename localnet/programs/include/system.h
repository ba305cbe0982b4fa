/* What the three systems share: the call (bolt_execute or execute), the checks of the components they are handed, and
 * the return data. accounts[0] is the authority, whose signature World has checked; the components follow. A system
 * changes nothing itself: it returns every component's new struct, and World writes them. */
#pragma once
#include "accounts.h"
#include "awm_layout.h"
#include "json.h"

#define MAX_ACCOUNTS 8
#define AUTHORITY 0
#define SESSION 1

/* The arguments, which follow discriminator and length. */
INLINE u64 system_args(const Input *input, Slice *args) {
    REQUIRE(input->len >= 8, InstructionUnknown);
    u64 disc = ld64(input->data);
    REQUIRE(disc == IX_BOLT_EXECUTE || disc == IX_EXECUTE, InstructionUnknown);
    REQUIRE(input->len >= 12 && ld32(input->data + 8) == input->len - 12 && input->len > 12, InvalidArguments);
    args->data = input->data + 12;
    args->len = input->len - 12;
    return 0;
}

INLINE u64 check_owned(const Account *a, const u8 *owner, u64 disc, u64 size) {
    REQUIRE(key_eq(a->owner, owner) && a->data_len >= size && ld64(a->data) == disc, InvalidAccount);
    return 0;
}

/* Checks that each component belongs to its program, and that all are of one entity. */
INLINE u64 check_two(const Account *accounts, u64 n, u64 buffer) {
    REQUIRE(n > buffer, InvalidAccount);
    TRY(check_owned(&accounts[SESSION], ID_SESSION_STATE, DISC_SessionState, sizeof(SessionState)));
    TRY(check_owned(&accounts[buffer], ID_INPUT_BUFFER, DISC_InputBuffer, sizeof(InputBuffer)));
    REQUIRE(key_eq(accounts[buffer].data + OFF(InputBuffer, entity), accounts[SESSION].data + OFF(SessionState, entity)),
            EntityMismatch);
    return 0;
}

#define HIDDEN 2
#define BUFFER 3
#define LOG 4

NOINLINE u64 check_four(const Account *accounts, u64 n) {
    REQUIRE(n > LOG, InvalidAccount);
    TRY(check_two(accounts, n, BUFFER));
    TRY(check_owned(&accounts[HIDDEN], ID_HIDDEN_STATE, DISC_HiddenState, sizeof(HiddenState)));
    TRY(check_owned(&accounts[LOG], ID_FRAME_LOG, DISC_FrameLog, sizeof(FrameLog)));
    const u8 *entity = accounts[SESSION].data + OFF(SessionState, entity);
    REQUIRE(key_eq(accounts[HIDDEN].data + OFF(HiddenState, entity), entity) &&
                key_eq(accounts[LOG].data + OFF(FrameLog, entity), entity),
            EntityMismatch);
    return 0;
}

/* Return data: Borsh Vec<bytes>, one entry a component. */
typedef struct { u8 bytes[1024]; u8 *end; } Output;

INLINE void output_begin(Output *out, u32 entries) {
    st32(out->bytes, entries);
    out->end = out->bytes + 4;
}

/* Appends a copy of the component's struct. The result + OFF(T, field) is the address of that field. */
NOINLINE u8 *output_struct(Output *out, const Account *component, u64 size) {
    u8 *entry = out->end;
    st32(entry, size - 8);
    copy(entry + 4, component->data + 8, size - 8);
    out->end = entry + 4 + size - 8;
    return entry + 4 - 8;
}

INLINE u64 output_send(const Output *out) {
    sol_set_return_data(out->bytes, out->end - out->bytes);
    return 0;
}

typedef struct { u8 *session, *hidden, *buffer, *log; } Structs;

INLINE void output_four(Output *out, const Account *accounts, Structs *s) {
    output_begin(out, 4);
    s->session = output_struct(out, &accounts[SESSION], sizeof(SessionState));
    s->hidden = output_struct(out, &accounts[HIDDEN], sizeof(HiddenState));
    s->buffer = output_struct(out, &accounts[BUFFER], sizeof(InputBuffer));
    s->log = output_struct(out, &accounts[LOG], sizeof(FrameLog));
}

/* Whether the arguments are JSON and not binary: the first byte that is not white space decides. */
INLINE bool is_json(const Slice *args, Json *json) {
    json->p = args->data;
    json->end = args->data + args->len;
    return json_take(json, '{');
}

/* Checks that only white space follows the object. */
INLINE u64 json_end(Json *json) {
    json_space(json);
    return json->p == json->end ? 0 : InvalidArguments;
}

/* The arguments in binary, `size` bytes: unchanged, or as `parse` writes them from JSON into `parsed`. */
INLINE u64 args_of_either(const Input *input, u64 size, u64 (*parse)(Json *, u8 *), u8 *parsed, const u8 **args) {
    Slice raw;
    TRY(system_args(input, &raw));
    Json json;
    if (is_json(&raw, &json)) {
        *args = parsed;
        return parse(&json, parsed);
    }
    *args = raw.data;
    REQUIRE(raw.len == size && raw.data[0] == 1, InvalidArguments);
    return 0;
}
