/* System session-lifecycle: CREATE, JOIN, END. */
#include "system.h"

typedef LifecycleArgs Args;

#define NUMBER_KEYS 8
#define ALL_KEYS 10

/* Reads a numeric key's value into its place; `bit` is set to that key's bit. */
#define NUMERIC(name, position) \
    if (JSON_IS(*key, #name)) { *bit = (position); return json_unsigned(json, args + OFF(Args, name), sizeof(((Args *)0)->name)); }

NOINLINE u64 parse_value(Json *json, const Slice *key, u8 *args, u64 *bit) {
    *bit = ALL_KEYS; /* optional or unknown */
    NUMERIC(action, 0)
    NUMERIC(character, 1)
    NUMERIC(stage, 2)
    NUMERIC(max_frames, 3)
    NUMERIC(seed, 4)
    NUMERIC(d_inner, 5)
    NUMERIC(d_state, 6)
    NUMERIC(num_layers, 7)
    if (JSON_IS(*key, "writer")) return json_pubkey(json, args + OFF(Args, writer));
    if (JSON_IS(*key, "invited")) return json_pubkey(json, args + OFF(Args, invited));
    if (JSON_IS(*key, "challenge_s")) return json_unsigned(json, args + OFF(Args, challenge_s), 2);
    if (JSON_IS(*key, "player")) {
        *bit = NUMBER_KEYS;
        return json_pubkey(json, args + OFF(Args, player));
    }
    if (JSON_IS(*key, "model")) {
        *bit = NUMBER_KEYS + 1;
        return json_pubkey(json, args + OFF(Args, model));
    }
    return json_skip(json);
}

NOINLINE u64 parse_json(Json *json, u8 *args) {
    Slice key;
    u64 seen = 0, bit;
    zero(args, sizeof(Args));
    st16(args + OFF(Args, challenge_s), CHALLENGE_S);
    for (bool first = 1;; first = 0) {
        TRY(json_key(json, &key, first));
        if (!key.data) break;
        TRY(parse_value(json, &key, args, &bit));
        seen |= 1ULL << bit;
    }
    REQUIRE((seen & ((1 << ALL_KEYS) - 1)) == (1 << ALL_KEYS) - 1, InvalidArguments);
    return json_end(json);
}

/* Checks that the other three components are as initialize() made them, without a trace of an earlier match. */
INLINE u64 check_pristine(const Structs *s) {
    const u8 *hidden = s->hidden, *log = s->log;
    REQUIRE(key_zero(hidden + OFF(HiddenState, writer)), WriterAlreadyBound);
    REQUIRE(ld32(hidden + OFF(HiddenState, data_size)) == 0 && ld32(hidden + OFF(HiddenState, epoch)) == 0 &&
                key_zero(hidden + OFF(HiddenState, chain_hash)) &&
                ld32(s->buffer + OFF(InputBuffer, frame)) == 0 &&
                ld16(log + OFF(FrameLog, capacity)) == 0 && key_zero(log + OFF(FrameLog, session)),
            AlreadyCreated);
    return 0;
}

/* Only the key that paid for the session may create it, so that nobody else can between initialize and CREATE. */
NOINLINE u64 create_session(const u8 *args, const Structs *s) {
    u8 *state = s->session;
    REQUIRE(state[OFF(SessionState, status)] == STATUS_CREATED && key_zero(state + OFF(SessionState, player1)),
            AlreadyCreated);
    REQUIRE(args[OFF(Args, character)] <= MAX_CHARACTER && args[OFF(Args, stage)] <= MAX_STAGE, OutOfRange);
    REQUIRE(key_eq(state + OFF(SessionState, payer), args + OFF(Args, player)), PayerMismatch);
    TRY(check_pristine(s));
    i64 now = unix_time();
    state[OFF(SessionState, status)] = STATUS_WAITING_PLAYERS;
    copy(state + OFF(SessionState, player1), args + OFF(Args, player), 32);
    copy(state + OFF(SessionState, model), args + OFF(Args, model), 32);
    state[OFF(SessionState, stage)] = args[OFF(Args, stage)];
    state[OFF(SessionState, players[0].character)] = args[OFF(Args, character)];
    st32(state + OFF(SessionState, max_frames), ld32(args + OFF(Args, max_frames)));
    st64(state + OFF(SessionState, seed), ld64(args + OFF(Args, seed)));
    st64(state + OFF(SessionState, created_at), now);
    st64(state + OFF(SessionState, last_update), now);
    copy(state + OFF(SessionState, invited), args + OFF(Args, invited), 32);
    st16(state + OFF(SessionState, challenge_s), ld16(args + OFF(Args, challenge_s)));
    u8 *hidden = s->hidden;
    hidden[OFF(HiddenState, num_layers)] = args[OFF(Args, num_layers)];
    st16(hidden + OFF(HiddenState, d_inner), ld16(args + OFF(Args, d_inner)));
    st16(hidden + OFF(HiddenState, d_state), ld16(args + OFF(Args, d_state)));
    copy(hidden + OFF(HiddenState, writer), args + OFF(Args, writer), 32);
    return 0;
}

INLINE void start_position(u8 *player, i32 x, u8 facing) {
    u8 character = player[OFF(PlayerState, character)];
    zero(player, sizeof(PlayerState));
    st32(player + OFF(PlayerState, x), (u32)x);
    st16(player + OFF(PlayerState, shield_strength), START_SHIELD_STRENGTH);
    player[OFF(PlayerState, stocks)] = START_STOCKS;
    player[OFF(PlayerState, facing)] = facing;
    player[OFF(PlayerState, on_ground)] = START_ON_GROUND;
    st16(player + OFF(PlayerState, action_state), START_ACTION_STATE);
    player[OFF(PlayerState, jumps_left)] = START_JUMPS_LEFT;
    player[OFF(PlayerState, character)] = character;
}

/* SHA-256("awm:genesis:v1" ‖ session key ‖ model ‖ stage ‖ seed ‖ max_frames ‖ players), hashed again with the
 * cartridge's hash. pin_cartridge does that step where it comes after JOIN. */
NOINLINE void genesis(const u8 *session_key, const u8 *state, u8 *hidden) {
    u8 *out = hidden + OFF(HiddenState, chain_hash), *cartridge = hidden + OFF(HiddenState, cartridge_hash);
    Slice parts[7] = {
        LITERAL(TAG_GENESIS),
        {session_key, 32},
        {state + OFF(SessionState, model), 32},
        {state + OFF(SessionState, stage), 1},
        {state + OFF(SessionState, seed), 8},
        {state + OFF(SessionState, max_frames), 4},
        {state + OFF(SessionState, players), 64},
    };
    sol_sha256(parts, 7, out);
    if (!key_zero(cartridge)) genesis_of_cartridge(out, cartridge);
}

NOINLINE u64 join_session(const u8 *args, const Structs *s, const u8 *session_key) {
    u8 *state = s->session, *hidden = s->hidden, *buffer = s->buffer, *log = s->log;
    REQUIRE(state[OFF(SessionState, status)] == STATUS_WAITING_PLAYERS, NotWaiting);
    REQUIRE(!key_eq(args + OFF(Args, player), state + OFF(SessionState, player1)), SamePlayer);
    REQUIRE(key_zero(state + OFF(SessionState, invited)) ||
                key_eq(state + OFF(SessionState, invited), args + OFF(Args, player)),
            NotInvited);
    REQUIRE(args[OFF(Args, character)] <= MAX_CHARACTER, OutOfRange);
    state[OFF(SessionState, status)] = STATUS_ACTIVE;
    copy(state + OFF(SessionState, player2), args + OFF(Args, player), 32);
    st32(state + OFF(SessionState, frame), 0);
    st64(state + OFF(SessionState, last_update), unix_time());
    state[OFF(SessionState, players[1].character)] = args[OFF(Args, character)];
    start_position(state + OFF(SessionState, players[0]), START_X_1, START_FACING_1);
    start_position(state + OFF(SessionState, players[1]), START_X_2, START_FACING_2);
    st32(hidden + OFF(HiddenState, frame), 0);
    zero(hidden + OFF(HiddenState, feedback), 16);
    genesis(session_key, state, hidden);
    st32(buffer + OFF(InputBuffer, frame), 1);
    zero(buffer + OFF(InputBuffer, player1), 16);
    st16(buffer + OFF(InputBuffer, p1_ready), 0);
    zero(buffer + OFF(InputBuffer, next_player1), 18);
    st16(log + OFF(FrameLog, write_index), 0);
    st32(log + OFF(FrameLog, total_frames), 0);
    copy(log + OFF(FrameLog, session), session_key, 32);
    return 0;
}

/* Checks that the session is abandoned, so that its accounts would otherwise hold their lamports for ever. */
NOINLINE u64 check_idle(const u8 *state, bool writer) {
    bool waiting = state[OFF(SessionState, status)] == STATUS_WAITING_PLAYERS;
    i64 silent = seconds_since((i64)ld64(state + OFF(SessionState, last_update)));
    if (silent >= ABANDONED_S) return 0;
    REQUIRE(writer, NotAPlayer);
    u32 frames = ld32(state + OFF(SessionState, frame)) - ld32(state + OFF(SessionState, last_fresh));
    REQUIRE(silent >= (waiting ? WAITING_LIMIT_S : IDLE_LIMIT_S) || frames >= IDLE_FRAMES, NotIdle);
    return 0;
}

/* A player may always end the session; the writer if it is abandoned; anybody a week after everyone has left. */
NOINLINE u64 end_session(const u8 *args, const Structs *s) {
    u8 *state = s->session, status = state[OFF(SessionState, status)];
    const u8 *who = args + OFF(Args, player);
    REQUIRE(status == STATUS_WAITING_PLAYERS || status == STATUS_ACTIVE, NotActive);
    if (!key_eq(who, state + OFF(SessionState, player1)) && !key_eq(who, state + OFF(SessionState, player2))) {
        TRY(check_idle(state, key_eq(who, s->hidden + OFF(HiddenState, writer))));
    }
    state[OFF(SessionState, status)] = STATUS_ENDED;
    st64(state + OFF(SessionState, last_update), unix_time());
    return 0;
}

__attribute__((used)) u64 entrypoint(const u8 *in) {
    Account accounts[MAX_ACCOUNTS];
    Input input = parse_input(in, accounts, MAX_ACCOUNTS);
    u8 parsed[sizeof(Args)];
    const u8 *args;
    TRY(args_of_either(&input, sizeof(Args), parse_json, parsed, &args));
    TRY(check_four(accounts, input.n));
    REQUIRE(key_eq(args + OFF(Args, player), accounts[AUTHORITY].key), MissingSignature);
    Output out;
    Structs structs;
    output_four(&out, accounts, &structs);
    u8 action = args[OFF(Args, action)];
    if (action == ACTION_CREATE) TRY(create_session(args, &structs));
    else if (action == ACTION_JOIN) TRY(join_session(args, &structs, accounts[SESSION].key));
    else if (action == ACTION_END) TRY(end_session(args, &structs));
    else return InvalidArguments;
    return output_send(&out);
}
