/* System submit-input: a player's controller for the coming frame, or the one after. */
#include "system.h"

typedef InputArgs Args;

#define INPUT_KEYS 9

/* Returns the position of a controller key in the input, or -1. */
INLINE i64 controller_index(const Slice *key) {
    if (JSON_IS(*key, "stick_x")) return 0;
    if (JSON_IS(*key, "stick_y")) return 1;
    if (JSON_IS(*key, "c_stick_x")) return 2;
    if (JSON_IS(*key, "c_stick_y")) return 3;
    if (JSON_IS(*key, "trigger_l")) return 4;
    if (JSON_IS(*key, "trigger_r")) return 5;
    if (JSON_IS(*key, "buttons")) return 6;
    if (JSON_IS(*key, "buttons_ext")) return 7;
    return -1;
}

NOINLINE u64 parse_json(Json *json, u8 *args) {
    Slice key;
    u64 seen = 0; /* bits 0..7: the JSON keys of the controller; bit 8: the key `player` */
    st32(args + OFF(Args, frame), 0);
    for (bool first = 1;; first = 0) {
        TRY(json_key(json, &key, first));
        if (!key.data) break;
        i64 index = controller_index(&key);
        if (index >= 0) {
            u8 *out = args + OFF(Args, input) + index;
            TRY(index < 4 ? json_i8(json, out) : json_unsigned(json, out, 1));
            seen |= 1ULL << index;
        } else if (JSON_IS(key, "player")) {
            TRY(json_pubkey(json, args + OFF(Args, player)));
            seen |= 1 << 8;
        } else if (JSON_IS(key, "frame")) {
            TRY(json_unsigned(json, args + OFF(Args, frame), 4));
        } else {
            TRY(json_skip(json));
        }
    }
    REQUIRE(seen == (1 << INPUT_KEYS) - 1, InvalidArguments);
    return json_end(json);
}

__attribute__((used)) u64 entrypoint(const u8 *in) {
    Account accounts[MAX_ACCOUNTS];
    Input input = parse_input(in, accounts, MAX_ACCOUNTS);
    u8 parsed[sizeof(Args)];
    const u8 *args;
    TRY(args_of_either(&input, sizeof(Args), parse_json, parsed, &args));
    TRY(check_two(accounts, input.n, 2));
    const u8 *state = accounts[SESSION].data, *player = args + OFF(Args, player);
    REQUIRE(key_eq(player, accounts[AUTHORITY].key), MissingSignature);
    REQUIRE(state[OFF(SessionState, status)] == STATUS_ACTIVE, NotActive);
    bool second = key_eq(player, state + OFF(SessionState, player2));
    REQUIRE(second || key_eq(player, state + OFF(SessionState, player1)), NotAPlayer);

    Output out;
    output_begin(&out, 2);
    output_struct(&out, &accounts[SESSION], sizeof(SessionState));
    u8 *buffer = output_struct(&out, &accounts[2], sizeof(InputBuffer));
    u32 coming = ld32(state + OFF(SessionState, frame)) + 1, frame = ld32(args + OFF(Args, frame));
    if (ld32(buffer + OFF(InputBuffer, frame)) != coming) {
        st32(buffer + OFF(InputBuffer, frame), coming);
        st16(buffer + OFF(InputBuffer, p1_ready), 0);
        st16(buffer + OFF(InputBuffer, next_p1_ready), 0);
        zero(buffer + OFF(InputBuffer, next_player1), 16);
    }
    u8 *ready = buffer + OFF(InputBuffer, p1_ready) + second;
    bool now = frame == 0 ? !*ready : frame == coming;
    REQUIRE(now || frame == 0 || frame == coming + 1, InputFrameMismatch);
    REQUIRE(!now || !*ready, InputAlreadyGiven);
    if (now) {
        st64(buffer + OFF(InputBuffer, player1) + 8 * second, ld64(args + OFF(Args, input)));
        *ready = 1;
    } else {
        st64(buffer + OFF(InputBuffer, next_player1) + 8 * second, ld64(args + OFF(Args, input)));
        buffer[OFF(InputBuffer, next_p1_ready) + second] = 1;
    }
    return output_send(&out);
}
