/* Component frame-log: the last frames, exactly, in a ring behind the struct. */
#include "awm_layout.h"
#define COMPONENT FrameLog
#define COMPONENT_ID ID_FRAME_LOG
#define COMPONENT_DISC DISC_FrameLog
#define METADATA OFF(FrameLog, bolt_metadata)
#define SESSION_COMPONENT
#include "delegation.h"

static u64 policy(Account *component, System system, const u8 *data, u64 len) {
    REQUIRE(system == SYSTEM_LIFECYCLE || system == SYSTEM_INFERENCE, SystemNotAllowed);
    bool record = len == COMPONENT_SIZE - 8 + sizeof(FrameRecord);
    REQUIRE(record || len == COMPONENT_SIZE - 8, InvalidArguments);
    TRY(replace(component, data));
    if (record) {
        data += COMPONENT_SIZE - 8;
        u64 capacity = ld16(component->data + OFF(FrameLog, capacity)), frame = ld32(data);
        REQUIRE(capacity && component->data_len >= sizeof(FrameLog) + capacity * sizeof(FrameRecord), RingMissing);
        REQUIRE(frame, FrameMismatch);
        copy(component->data + sizeof(FrameLog) + (frame - 1) % capacity * sizeof(FrameRecord), data, sizeof(FrameRecord));
    }
    return 0;
}

/* JOIN came, or somebody paid for a ring. */
static u64 check_unused(const Account *component) {
    REQUIRE(key_zero(component->data + OFF(FrameLog, session)) && component->data_len == COMPONENT_SIZE, StillOpen);
    return 0;
}

/* ring_grow(capacity u16): writer ws, hidden_state, frame_log w, system_program. */
NOINLINE u64 ring_grow(Account *accounts, const Input *input) {
    NEED(4, 2);
    Account *writer = &accounts[0], *hidden = &accounts[1], *log = &accounts[2];
    TRY(check_component(log));
    TRY(SIBLING(hidden, HiddenState, ID_HIDDEN_STATE, log->data + ENTITY));
    TRY(check_writer(writer, hidden));
    u16 capacity = ld16(ARGS);
    u64 target = sizeof(FrameLog) + capacity * sizeof(FrameRecord);
    REQUIRE(capacity >= RING_MIN_CAPACITY && log->data_len <= target, OutOfRange);
    REQUIRE(ld32(log->data + OFF(FrameLog, total_frames)) == 0 && ld16(log->data + OFF(FrameLog, capacity)) == 0,
            AlreadyCreated);
    TRY(grow(writer, log, next_len(log->data_len, target)));
    if (log->data_len == target) st16(log->data + OFF(FrameLog, capacity), capacity);
    return 0;
}

/* ring_shrink: signer s, hidden_state, session_state, frame_log w, writer w. */
NOINLINE u64 ring_shrink(Account *accounts, const Input *input) {
    NEED(5, 0);
    Account *hidden = &accounts[1], *session = &accounts[2], *log = &accounts[3], *writer = &accounts[4];
    TRY(check_component(log));
    TRY(SIBLING(hidden, HiddenState, ID_HIDDEN_STATE, log->data + ENTITY));
    TRY(SIBLING(session, SessionState, ID_SESSION_STATE, log->data + ENTITY));
    TRY(check_returning(&accounts[0], hidden, session, writer));
    REQUIRE(log->is_writable && writer->is_writable, InvalidAccount);
    st16(log->data + OFF(FrameLog, capacity), 0);
    u64 minimum = rent_minimum(COMPONENT_SIZE), lamports = *log->lamports;
    if (lamports > minimum) {
        *log->lamports = minimum;
        *writer->lamports += lamports - minimum;
    }
    resize(log, COMPONENT_SIZE);
    return 0;
}

/* close: player1 ws, frame_log w, session_state. The ring is gone. */
NOINLINE u64 close(Account *accounts, const Input *input) {
    NEED(3, 0);
    Account *player = &accounts[0], *log = &accounts[1];
    TRY(check_component(log));
    TRY(SIBLING(&accounts[2], SessionState, ID_SESSION_STATE, log->data + ENTITY));
    TRY(check_closing(player, &accounts[2]));
    REQUIRE(log->data_len == COMPONENT_SIZE, StillOpen);
    return close_account(log, player);
}

/* undelegate, as all components: the ring stays behind, its lamports go along (docs/rollup.md). */
NOINLINE u64 undelegate_log(Account *accounts, const Input *input) {
    NEED(6, 0);
    Account *log = &accounts[1];
    TRY(check_component(log));
    TRY(check_taking_back(&accounts[0], &accounts[4], &accounts[5], log->data + ENTITY));
    REQUIRE(log->is_writable, InvalidAccount);
    st16(log->data + OFF(FrameLog, capacity), 0);
    resize(log, COMPONENT_SIZE);
    return undelegate(accounts, input);
}

static u64 direct(u64 disc, Account *accounts, const Input *input) {
    if (disc == IX_RING_GROW) return ring_grow(accounts, input);
    if (disc == IX_RING_SHRINK) return ring_shrink(accounts, input);
    if (disc == IX_CLOSE) return close(accounts, input);
    DELEGATION_INSTRUCTIONS(disc);
    if (disc == IX_UNDELEGATE) return undelegate_log(accounts, input);
    return InstructionUnknown;
}
