/* Component frame-log: the exact records of the last frames, in a ring behind the struct. */
#include "awm_layout.h"
#define COMPONENT FrameLog
#define COMPONENT_ID ID_FRAME_LOG
#define COMPONENT_DISC DISC_FrameLog
#define METADATA OFF(FrameLog, bolt_metadata)
#define TRAILER LogPayments
#define PAYER(account) PAYMENTS(account, payer)
#define SESSION_COMPONENT
#include "delegation.h"

static u64 policy(Account *component, System system, const u8 *data, u64 len) {
    REQUIRE(system == SYSTEM_LIFECYCLE || system == SYSTEM_INFERENCE, SystemNotAllowed);
    REQUIRE(len >= STRUCT_SIZE - 8, InvalidArguments);
    /* a record, and behind it the extra feedback of two players */
    u64 record = len - (STRUCT_SIZE - 8);
    REQUIRE(!record || (record >= sizeof(FrameRecord) && record <= sizeof(FrameRecord) + 2 * MAX_EXTRA_SIZE &&
                        record % 2 == 0),
            InvalidArguments);
    TRY(replace(component, data));
    if (record) {
        data += STRUCT_SIZE - 8;
        u64 capacity = ld16(component->data + OFF(FrameLog, capacity)), frame = ld32(data);
        REQUIRE(capacity && component->data_len == COMPONENT_SIZE + capacity * record, RingMissing);
        REQUIRE(frame, FrameMismatch);
        copy(component->data + sizeof(FrameLog) + (frame - 1) % capacity * record, data, record);
    }
    return 0;
}

/* Refuses with StillOpen after JOIN, or once somebody has paid for a ring. */
static u64 check_unused(const Account *component) {
    REQUIRE(key_zero(component->data + OFF(FrameLog, session)) && component->data_len == COMPONENT_SIZE, StillOpen);
    return 0;
}

#define FL(account, field) ((account)->data + OFF(FrameLog, field))

/* Changes the ring's size. The payments, behind the ring, move along; the bytes that they leave become ring. */
NOINLINE void move_payments(Account *log, u64 len) {
    u8 payments[sizeof(LogPayments)], *old = PAYMENTS(log, payer);
    copy(payments, old, sizeof payments);
    zero(old, sizeof payments);
    resize(log, len);
    copy(PAYMENTS(log, payer), payments, sizeof payments);
}

/* ring_grow(capacity u16): writer ws, hidden_state, session_state, frame_log w, system_program. What the writer pays is
 * counted, so that it gets exactly that back. */
NOINLINE u64 ring_grow(Account *accounts, const Input *input) {
    NEED(5, 2);
    Account *writer = &accounts[0], *hidden = &accounts[1], *log = &accounts[3];
    TRY(check_component(log));
    TRY(SIBLING(hidden, HiddenState, ID_HIDDEN_STATE, log->data + ENTITY));
    /* a session that is in a rollup could not be ended here */
    TRY(SIBLING(&accounts[2], SessionState, ID_SESSION_STATE, log->data + ENTITY));
    TRY(check_writer(writer, hidden));
    u16 capacity = ld16(ARGS);
    u64 target = log_bytes(hidden, capacity);
    REQUIRE(capacity >= RING_MIN_CAPACITY && log->data_len <= target, OutOfRange);
    REQUIRE(ld32(FL(log, total_frames)) == 0 && ld16(FL(log, capacity)) == 0, AlreadyCreated);
    REQUIRE(ld64(PAYMENTS(log, ring_lamports)) == 0 || key_eq(PAYMENTS(log, ring_payer), writer->key), PayerMismatch);
    u64 before = *log->lamports, len = next_len(log->data_len, target);
    TRY(pay_rent(writer, log, len));
    move_payments(log, len);
    if (*log->lamports != before) {
        copy(PAYMENTS(log, ring_payer), writer->key, 32);
        st64(PAYMENTS(log, ring_lamports), ld64(PAYMENTS(log, ring_lamports)) + *log->lamports - before);
    }
    if (log->data_len == target) st16(FL(log, capacity), capacity);
    return 0;
}

/* Removes the log's ring, in which nobody has a share any more. */
INLINE void drop_ring(Account *log) {
    st16(FL(log, capacity), 0);
    move_payments(log, COMPONENT_SIZE);
    zero(PAYMENTS(log, ring_payer), sizeof(LogPayments) - OFF(LogPayments, ring_payer));
}

/* ring_shrink: signer s, session_state, frame_log w, payer w. */
NOINLINE u64 ring_shrink(Account *accounts, const Input *input) {
    NEED(4, 0);
    Account *session = &accounts[1], *log = &accounts[2], *payer = &accounts[3];
    TRY(check_component(log));
    TRY(SIBLING(session, SessionState, ID_SESSION_STATE, log->data + ENTITY));
    TRY(check_returning(&accounts[0], session));
    REQUIRE(log->is_writable && payer->is_writable && !key_eq(log->key, payer->key), InvalidAccount);
    u64 paid = ld64(PAYMENTS(log, ring_lamports));
    if (paid) {
        REQUIRE(key_eq(payer->key, PAYMENTS(log, ring_payer)), PayerMismatch);
        move(log, payer, paid);
    }
    drop_ring(log);
    return 0;
}

/* close: signer s, frame_log w, session_state, payer w, receipt w. The ring must be gone. */
NOINLINE u64 close(Account *accounts, const Input *input) {
    NEED(5, 0);
    Account *log = &accounts[1];
    TRY(check_component(log));
    TRY(check_closing(&accounts[0], log, &accounts[2], &accounts[3], &accounts[4]));
    REQUIRE(log->data_len == COMPONENT_SIZE, StillOpen);
    return close_component(log, &accounts[3], &accounts[4]);
}

/* A log that comes back from a rollup has no ring, because it had none when it was delegated. */
static void returned(Account *component) { drop_ring(component); }

/* undelegate, as for all components. The ring is dropped here, and its lamports go along (docs/rollup.md). */
NOINLINE u64 undelegate_log(Account *accounts, const Input *input) {
    NEED(6, 0);
    Account *log = &accounts[1];
    TRY(check_component(log));
    TRY(check_taking_back(&accounts[0], &accounts[4], &accounts[5], log->data + ENTITY));
    REQUIRE(log->is_writable, InvalidAccount);
    drop_ring(log);
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
