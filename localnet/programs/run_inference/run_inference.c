/* System run-inference: the writer's next frame, compared and set, hashed and logged. */
#include "system.h"

typedef FrameArgs Args;

/* Checks a frame's input: the one that the buffer holds or, where none came, the held or the neutral one. */
INLINE u64 check_input(const u8 *buffer, const u8 *args, u64 player) {
    bool ready = buffer[OFF(InputBuffer, p1_ready) + player];
    u64 used = ld64(args + OFF(Args, inputs) + 8 * player), held = ld64(buffer + OFF(InputBuffer, player1) + 8 * player);
    u8 source = args[OFF(Args, sources) + player];
    REQUIRE(source == SOURCE_NEUTRAL ? !ready && used == 0
                                     : source == (ready ? SOURCE_FRESH : SOURCE_HELD) && used == held,
            InputMismatch);
    return 0;
}

/* Checks that both structs are in the contract's ranges, and that the character has not changed. */
INLINE u64 check_player(const u8 *p, const u8 *before, const u8 *f) {
    REQUIRE(PlayerState_in_range(p) && p[OFF(PlayerState, character)] == before[OFF(PlayerState, character)],
            InvalidPlayerState);
    REQUIRE(Feedback_in_range(f), InvalidPlayerState);
    return 0;
}

NOINLINE u64 check_frame(const Account *accounts, const u8 *args) {
    const u8 *state = accounts[SESSION].data, *hidden = accounts[HIDDEN].data, *buffer = accounts[BUFFER].data;
    REQUIRE(state[OFF(SessionState, status)] == STATUS_ACTIVE, NotActive);
    REQUIRE(!key_zero(hidden + OFF(HiddenState, writer)) &&
                key_eq(hidden + OFF(HiddenState, writer), accounts[AUTHORITY].key),
            WriterMismatch);
    REQUIRE(ld32(args + OFF(Args, epoch)) == ld32(hidden + OFF(HiddenState, epoch)), EpochMismatch);
    u32 frame = ld32(args + OFF(Args, frame));
    REQUIRE(frame == ld32(state + OFF(SessionState, frame)) + 1, FrameMismatch);
    u32 capacity = ld16(accounts[LOG].data + OFF(FrameLog, capacity));
    REQUIRE(capacity, RingMissing);
    REQUIRE(!key_zero(hidden + OFF(HiddenState, cartridge_hash)), CartridgeMissing);
    u32 oldest = hidden[OFF(HiddenState, initialized)] ? ld32(hidden + OFF(HiddenState, checkpoint_frame)) : 0;
    REQUIRE(frame - oldest <= capacity, RingFull);
    TRY(check_input(buffer, args, 0));
    TRY(check_input(buffer, args, 1));
    const u8 *players = args + OFF(Args, players), *feedback = args + OFF(Args, feedback);
    const u8 *before = state + OFF(SessionState, players);
    TRY(check_player(players, before, feedback));
    return check_player(players + sizeof(PlayerState), before + sizeof(PlayerState), feedback + sizeof(Feedback));
}

/* Moves the buffer to the next frame: an input that was sent early becomes current; otherwise the last one is held. */
INLINE void advance_buffer(u8 *buffer, u32 coming) {
    st32(buffer + OFF(InputBuffer, frame), coming);
    for (u64 player = 0; player < 2; player++) {
        u8 *next_ready = buffer + OFF(InputBuffer, next_p1_ready) + player;
        u8 *next = buffer + OFF(InputBuffer, next_player1) + 8 * player;
        if (*next_ready) st64(buffer + OFF(InputBuffer, player1) + 8 * player, ld64(next));
        buffer[OFF(InputBuffer, p1_ready) + player] = *next_ready;
        *next_ready = 0;
        st64(next, 0);
    }
}

__attribute__((used)) u64 entrypoint(const u8 *in) {
    Account accounts[MAX_ACCOUNTS];
    Input input = parse_input(in, accounts, MAX_ACCOUNTS);
    Slice raw;
    TRY(system_args(&input, &raw));
    const u8 *args = raw.data;
    REQUIRE(raw.len >= sizeof(Args) && args[0] == 1, InvalidArguments);
    TRY(check_four(accounts, input.n));
    u64 extra = 2 * (accounts[HIDDEN].data[OFF(HiddenState, holds)] >> 4);
    REQUIRE(raw.len == sizeof(Args) + extra, InvalidArguments);
    TRY(check_frame(accounts, args));

    Output out;
    Structs s;
    output_four(&out, accounts, &s);
    u32 frame = ld32(args + OFF(Args, frame));
    const u8 *players = args + OFF(Args, players);

    st32(s.session + OFF(SessionState, frame), frame);
    copy(s.session + OFF(SessionState, players), players, 64);
    st64(s.session + OFF(SessionState, last_update), unix_time());
    const u8 *sources = args + OFF(Args, sources);
    if (sources[0] == SOURCE_FRESH || sources[1] == SOURCE_FRESH) st32(s.session + OFF(SessionState, last_fresh), frame);
    u32 max_frames = ld32(s.session + OFF(SessionState, max_frames));
    if (players[OFF(PlayerState, stocks)] == 0 || players[sizeof(PlayerState) + OFF(PlayerState, stocks)] == 0 ||
        (max_frames && frame >= max_frames))
        s.session[OFF(SessionState, status)] = STATUS_ENDED;

    /* SHA-256(previous ‖ frame ‖ inputs ‖ sources ‖ players ‖ feedback ‖ extra), in the args' order without epoch. */
    u8 *chain = s.hidden + OFF(HiddenState, chain_hash), hash[32];
    Slice parts[3] = {{chain, 32},
                      {args + OFF(Args, frame), 4},
                      {args + OFF(Args, inputs), sizeof(Args) - OFF(Args, inputs) + extra}};
    sol_sha256(parts, 3, hash);
    copy(chain, hash, 32);
    st32(s.hidden + OFF(HiddenState, frame), frame);
    copy(s.hidden + OFF(HiddenState, feedback), args + OFF(Args, feedback), 16);

    advance_buffer(s.buffer, frame + 1);

    u8 *record = out.end; /* follows the log's struct, which is the last entry */
    st16(s.log + OFF(FrameLog, write_index), frame % ld16(s.log + OFF(FrameLog, capacity)));
    st32(s.log + OFF(FrameLog, total_frames), frame);
    st32(s.log + 4, sizeof(FrameLog) - 8 + sizeof(FrameRecord) + extra); /* the entry's length, in front of the struct */
    st32(record + OFF(FrameRecord, frame), frame);
    copy(record + OFF(FrameRecord, input1), args + OFF(Args, inputs), 18);
    record[OFF(FrameRecord, stage)] = s.session[OFF(SessionState, stage)];
    record[OFF(FrameRecord, reserved)] = 0;
    copy(record + OFF(FrameRecord, player1), players, 64);
    st64(record + OFF(FrameRecord, chain_hash), ld64(hash));
    copy(record + sizeof(FrameRecord), args + sizeof(Args), extra);
    out.end = record + sizeof(FrameRecord) + extra;
    return output_send(&out);
}
