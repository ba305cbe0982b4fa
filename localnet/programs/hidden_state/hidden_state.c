/* Component hidden-state: the recurrent state's header, its writer, and the two checkpoints of its bytes. */
#include "awm_layout.h"
#define COMPONENT HiddenState
#define COMPONENT_ID ID_HIDDEN_STATE
#define COMPONENT_DISC DISC_HiddenState
#define METADATA OFF(HiddenState, bolt_metadata)
#define PAYER(account) ((account)->data + OFF(HiddenState, payer))
#define SESSION_COMPONENT
#include "delegation.h"

#define CP(account, field) ((account)->data + OFF(Checkpoint, field))
#define HS(account, field) ((account)->data + OFF(HiddenState, field))

/* HiddenState.holds: bits for other accounts that were paid for, and must be closed before the component. */
#define HOLDS_CHECKPOINT(side) (1 << (side))
#define HOLDS_DEPOSIT 4
#define HOLDS 15 /* the other bits are the match's extra size */

static u64 policy(Account *component, System system, const u8 *data, u64 len) {
    REQUIRE(system == SYSTEM_LIFECYCLE || system == SYSTEM_INFERENCE, SystemNotAllowed);
    REQUIRE(len == STRUCT_SIZE - 8, InvalidArguments);
    /* a system must not change what was paid for */
    REQUIRE(data[OFF(HiddenState, holds) - 8] == *HS(component, holds), StructChanged);
    return replace(component, data);
}

/* Refuses with StillOpen once a writer is named, after JOIN, or once somebody has paid for a checkpoint. */
static u64 check_unused(const Account *component) {
    REQUIRE(key_zero(HS(component, writer)) && key_zero(HS(component, chain_hash)) && !(*HS(component, holds) & HOLDS),
            StillOpen);
    return 0;
}

/* bind_writer: writer s, hidden_state w, session_state. */
NOINLINE u64 bind_writer(Account *accounts, const Input *input) {
    NEED(3, 0);
    Account *writer = &accounts[0], *hidden = &accounts[1], *session = &accounts[2];
    TRY(check_signer(writer));
    TRY(check_component(hidden));
    TRY(SIBLING(session, SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    REQUIRE(key_zero(HS(hidden, writer)), WriterAlreadyBound);
    u8 status = session_status(session);
    REQUIRE(status == STATUS_WAITING_PLAYERS || status == STATUS_ACTIVE, NotActive);
    copy(HS(hidden, writer), writer->key, 32);
    return 0;
}

/* claim(expected_epoch u32): writer s, hidden_state w. */
NOINLINE u64 claim(Account *accounts, const Input *input) {
    NEED(2, 4);
    Account *hidden = &accounts[1];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    u32 epoch = ld32(HS(hidden, epoch));
    REQUIRE(epoch == ld32(ARGS), EpochMismatch);
    st32(HS(hidden, epoch), epoch + 1);
    return 0;
}

/* pin_cartridge: writer s, hidden_state w, session_state, model_manifest. Stores which cartridge the match plays,
 * before its first frame, because a manifest can be closed and written again under the same key. */
NOINLINE u64 pin_cartridge(Account *accounts, const Input *input) {
    NEED(4, 0);
    Account *hidden = &accounts[1], *session = &accounts[2];
    const Account *manifest = &accounts[3];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(SIBLING(session, SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    u8 status = session_status(session);
    REQUIRE(status == STATUS_WAITING_PLAYERS || status == STATUS_ACTIVE, NotActive);
    REQUIRE(ld32(HS(hidden, frame)) == 0 && key_zero(HS(hidden, cartridge_hash)), AlreadyCreated);
    TRY(check_foreign(manifest, ID_MODEL_MANIFEST, DISC_ModelManifest, sizeof(ModelManifest)));
    REQUIRE(key_eq(manifest->key, SS(session, model)), InvalidAccount);
    const u8 *hash = manifest->data + OFF(ModelManifest, cartridge_hash);
    REQUIRE(manifest->data[OFF(ModelManifest, ready)] == 1 && !key_zero(hash), CartridgeMissing);
    u8 extra = manifest->data[OFF(ModelManifest, extra_size)];
    REQUIRE(extra <= MAX_EXTRA_SIZE, OutOfRange);
    copy(HS(hidden, cartridge_hash), hash, 32);
    *HS(hidden, holds) = (*HS(hidden, holds) & HOLDS) | (u8)(extra << 4);
    if (status == STATUS_ACTIVE) genesis_of_cartridge(HS(hidden, chain_hash), hash);
    return 0;
}

/* Checks that the account is this entity's checkpoint on the side that the first argument byte names. */
NOINLINE u64 check_checkpoint(const Account *checkpoint, const Account *hidden, u8 side) {
    TRY(check_foreign(checkpoint, COMPONENT_ID, DISC_Checkpoint, sizeof(Checkpoint)));
    REQUIRE(key_eq(CP(checkpoint, entity), hidden->data + ENTITY), EntityMismatch);
    REQUIRE(*CP(checkpoint, side) == side, InvalidAccount);
    return 0;
}

/* Bytes of a checkpoint: its header, the state, and the extra feedback. */
INLINE u64 checkpoint_bytes(const Account *hidden, u32 data_size) {
    return sizeof(Checkpoint) + data_size + extra_bytes(hidden);
}

INLINE u64 full_size(const Account *checkpoint, const Account *hidden) {
    return checkpoint_bytes(hidden, ld32(CP(checkpoint, data_size)));
}

INLINE bool is_full(const Account *checkpoint, const Account *hidden) {
    return checkpoint->data_len == full_size(checkpoint, hidden);
}

/* A finalized chain hash is never zero, so zero means that no checkpoint was begun. */
INLINE bool is_begun(const Account *checkpoint) { return !key_zero(CP(checkpoint, chain_hash)); }

/* Checks that a checkpoint of that size may be created. */
NOINLINE u64 check_creation(const Account *hidden, const Account *checkpoint, u8 side, u32 data_size) {
    REQUIRE(side <= 1 && data_size && data_size <= MAX_STATE_BYTES, OutOfRange);
    REQUIRE(!*HS(hidden, initialized) || data_size == ld32(HS(hidden, data_size)), OutOfRange);
    REQUIRE(!key_eq(checkpoint->owner, COMPONENT_ID), AlreadyCreated);
    return 0;
}

/* Fills in a checkpoint that was just created; its lamports belong to `payer`. */
NOINLINE void begin_checkpoint(Account *hidden, Account *checkpoint, const u8 *payer, u8 side, u32 data_size) {
    st64(checkpoint->data, DISC_Checkpoint);
    copy(CP(checkpoint, entity), hidden->data + ENTITY, 32);
    *CP(checkpoint, side) = side;
    copy(CP(checkpoint, payer), payer, 32);
    *HS(hidden, holds) |= HOLDS_CHECKPOINT(side);
    st32(CP(checkpoint, data_size), data_size);
    st32(HS(hidden, data_size), data_size);
}

/* Creates the checkpoint's account. `payer` pays its first part, or is the deposit, which has paid everything. */
NOINLINE u64 make_checkpoint(const Account *payer, const Account *hidden, Account *checkpoint, u8 side, u32 data_size) {
    u8 bump, pda[32];
    Slice seeds[4] = {LITERAL(SEED_CHECKPOINT), {hidden->data + ENTITY, 32}, {&side, 1}, {&bump, 1}};
    sol_try_find_program_address(seeds, 3, COMPONENT_ID, pda, &bump);
    REQUIRE(key_eq(pda, checkpoint->key), InvalidAccount);
    SignerSeeds signer = {seeds, 4};
    u64 len = next_len(0, checkpoint_bytes(hidden, data_size));
    return key_eq(payer->owner, COMPONENT_ID) ? create_paid(payer, checkpoint, len, COMPONENT_ID, &signer)
                                              : create(payer, checkpoint, len, COMPONENT_ID, &signer);
}

/* checkpoint_create(side u8, data_size u32): writer ws, hidden_state w, session_state, checkpoint w, system_program. */
NOINLINE u64 checkpoint_create(Account *accounts, const Input *input) {
    NEED(5, 5);
    Account *writer = &accounts[0], *hidden = &accounts[1], *checkpoint = &accounts[3];
    TRY(check_component(hidden));
    TRY(check_writer(writer, hidden));
    /* a session that is in a rollup could not be ended here */
    TRY(SIBLING(&accounts[2], SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    u8 side = ARGS[0];
    u32 data_size = ld32(ARGS + 1);
    TRY(check_creation(hidden, checkpoint, side, data_size));
    TRY(make_checkpoint(writer, hidden, checkpoint, side, data_size));
    begin_checkpoint(hidden, checkpoint, writer->key, side, data_size);
    return 0;
}

/* checkpoint_grow(side u8): writer ws, hidden_state, checkpoint w, system_program. */
NOINLINE u64 checkpoint_grow(Account *accounts, const Input *input) {
    NEED(4, 1);
    Account *writer = &accounts[0], *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_writer(writer, hidden));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    u64 full = full_size(checkpoint, hidden);
    if (checkpoint->data_len == full) return 0;
    REQUIRE(*checkpoint->lamports >= rent_minimum(full) || key_eq(CP(checkpoint, payer), writer->key), PayerMismatch);
    return grow(writer, checkpoint, next_len(checkpoint->data_len, full));
}

#define EXTRA(checkpoint, extra) ((checkpoint)->data + (checkpoint)->data_len - (extra))
#define HEADER OFF(Checkpoint, frame)                    /* data_hash covers the account from here on */
#define HEADER_ARGS (OFF(Checkpoint, reserved2) - HEADER) /* frame .. chain_hash */

/* checkpoint_begin(side u8, frame u32, inputs 16, players 64, feedback 16, chain_hash 32, extra): writer s,
 * hidden_state, checkpoint w. */
NOINLINE u64 checkpoint_begin(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 3, InvalidAccount);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    u64 extra = extra_bytes(hidden);
    REQUIRE(input->len == 8 + 1 + HEADER_ARGS + extra, InvalidArguments);
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    REQUIRE(is_full(checkpoint, hidden), CheckpointIncomplete);
    REQUIRE(!*HS(hidden, initialized) || *HS(hidden, checkpoint_side) != ARGS[0], CheckpointActive);
    REQUIRE(!key_zero(ARGS + 1 + HEADER_ARGS - 32), InvalidArguments);
    *CP(checkpoint, finalized) = 0;
    zero(CP(checkpoint, data_hash), 32);
    copy(CP(checkpoint, frame), ARGS + 1, HEADER_ARGS);
    copy(EXTRA(checkpoint, extra), ARGS + 1 + HEADER_ARGS, extra);
    return 0;
}

/* checkpoint_write(side u8, offset u32, bytes): writer s, hidden_state, checkpoint w. */
NOINLINE u64 checkpoint_write(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 3, InvalidAccount);
    REQUIRE(input->len >= 17, InvalidArguments);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2];
    u64 offset = ld32(ARGS + 1), len = ld32(ARGS + 5);
    REQUIRE(input->len == 17 + len, InvalidArguments);
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    REQUIRE(!*CP(checkpoint, finalized), CheckpointFinalized);
    REQUIRE(is_begun(checkpoint), CheckpointIncomplete);
    REQUIRE(offset + len <= ld32(CP(checkpoint, data_size)), OutOfRange);
    copy(checkpoint->data + sizeof(Checkpoint) + offset, ARGS + 9, len);
    return 0;
}

/* Checks the header against the frame's record where the ring still holds it, and against the current frame. */
NOINLINE u64 check_against_log(const Account *checkpoint, const Account *hidden, const Account *log) {
    u32 frame = ld32(CP(checkpoint, frame)), current = ld32(HS(hidden, frame));
    u64 capacity = ld16(log->data + OFF(FrameLog, capacity));
    REQUIRE(frame <= current, FrameMismatch);
    if (frame == current) {
        REQUIRE(key_eq(CP(checkpoint, chain_hash), HS(hidden, chain_hash)) &&
                    same(CP(checkpoint, feedback), HS(hidden, feedback), 16),
                CheckpointContradictsLog);
    }
    /* Records from frame + 1 on must be there, or the state at `current` could not be computed from this checkpoint. */
    REQUIRE(current - frame <= capacity || current == frame, FrameMismatch);
    u64 extra = extra_bytes(hidden);
    u8 none[2 * MAX_EXTRA_SIZE];
    zero(none, sizeof none);
    REQUIRE(frame || same(EXTRA(checkpoint, extra), none, extra), CheckpointContradictsLog);
    if (frame == 0 || current - frame >= capacity) return 0;
    /* the ring has its size from this match's extra feedback, or holds no record */
    REQUIRE(log->data_len == log_bytes(hidden, capacity), RingMissing);
    const u8 *record = log->data + sizeof(FrameLog) + (frame - 1) % capacity * record_bytes(hidden);
    REQUIRE(ld32(record) == frame && same(CP(checkpoint, inputs), record + OFF(FrameRecord, input1), 16) &&
                same(CP(checkpoint, players), record + OFF(FrameRecord, player1), 64) &&
                ld64(CP(checkpoint, chain_hash)) == ld64(record + OFF(FrameRecord, chain_hash)) &&
                same(EXTRA(checkpoint, extra), record + sizeof(FrameRecord), extra),
            CheckpointContradictsLog);
    return 0;
}

/* checkpoint_finalize(side u8, data_hash 32): writer s, hidden_state w, checkpoint w, frame_log. */
NOINLINE u64 checkpoint_finalize(Account *accounts, const Input *input) {
    NEED(4, 33);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2], *log = &accounts[3];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    TRY(SIBLING(log, FrameLog, ID_FRAME_LOG, hidden->data + ENTITY));
    REQUIRE(!*CP(checkpoint, finalized), CheckpointFinalized);
    REQUIRE(is_begun(checkpoint) && is_full(checkpoint, hidden) && ld32(CP(checkpoint, data_size)) == ld32(HS(hidden, data_size)),
            CheckpointIncomplete);
    /* An older checkpoint is refused: the ring may no longer hold the records that follow it. */
    REQUIRE(!*HS(hidden, initialized) || ld32(CP(checkpoint, frame)) >= ld32(HS(hidden, checkpoint_frame)), FrameMismatch);
    TRY(check_against_log(checkpoint, hidden, log));
    u8 hash[32];
    Slice part = {checkpoint->data + HEADER, checkpoint->data_len - HEADER};
    sol_sha256(&part, 1, hash);
    REQUIRE(key_eq(hash, ARGS + 1), HashMismatch);
    copy(CP(checkpoint, data_hash), hash, 32);
    *CP(checkpoint, finalized) = 1;
    *HS(hidden, initialized) = 1;
    *HS(hidden, checkpoint_side) = ARGS[0];
    st32(HS(hidden, checkpoint_frame), ld32(CP(checkpoint, frame)));
    copy(HS(hidden, checkpoint_hash), hash, 32);
    return 0;
}

/* checkpoint_close(side u8): signer s, hidden_state w, session_state, checkpoint w, payer w. */
NOINLINE u64 checkpoint_close(Account *accounts, const Input *input) {
    NEED(5, 1);
    Account *hidden = &accounts[1], *session = &accounts[2], *checkpoint = &accounts[3], *payer = &accounts[4];
    TRY(check_component(hidden));
    TRY(SIBLING(session, SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    TRY(check_returning(&accounts[0], session));
    REQUIRE(key_eq(payer->key, CP(checkpoint, payer)), PayerMismatch);
    REQUIRE(hidden->is_writable, InvalidAccount);
    *HS(hidden, holds) &= ~HOLDS_CHECKPOINT(ARGS[0]);
    return close_account(checkpoint, payer);
}

/* Checks that checkpoints A and B no longer exist. */
NOINLINE u64 check_checkpoints_gone(const Account *checkpoints, const Account *hidden) {
    for (u8 side = 0; side < 2; side++) {
        Slice seeds[3] = {LITERAL(SEED_CHECKPOINT), {hidden->data + ENTITY, 32}, {&side, 1}};
        TRY(check_gone(&checkpoints[side], COMPONENT_ID, seeds, 3));
    }
    return 0;
}

/* close: signer s, hidden_state w, session_state, payer w, receipt w. Checkpoints and deposit must be gone. */
NOINLINE u64 close(Account *accounts, const Input *input) {
    NEED(5, 0);
    Account *hidden = &accounts[1];
    TRY(check_component(hidden));
    TRY(check_closing(&accounts[0], hidden, &accounts[2], &accounts[3], &accounts[4]));
    REQUIRE(!(*HS(hidden, holds) & HOLDS), StillOpen);
    return close_component(hidden, &accounts[3], &accounts[4]);
}

/* Clears `holds` on the way back from a rollup: nothing depended on the state when it was handed over. */
static void returned(Account *component) {
    *HS(component, holds) &= ~HOLDS;
    if (extra_bytes(component) > 2 * MAX_EXTRA_SIZE) *HS(component, holds) = 0;
}

#include "deposit.h"
#include "ephemeral.h"

static u64 direct(u64 disc, Account *accounts, const Input *input) {
    if (disc == IX_CHECKPOINT_WRITE) return checkpoint_write(accounts, input);
    if (disc == IX_BIND_WRITER) return bind_writer(accounts, input);
    if (disc == IX_CLAIM) return claim(accounts, input);
    if (disc == IX_PIN_CARTRIDGE) return pin_cartridge(accounts, input);
    if (disc == IX_CHECKPOINT_CREATE) return checkpoint_create(accounts, input);
    if (disc == IX_CHECKPOINT_GROW) return checkpoint_grow(accounts, input);
    if (disc == IX_CHECKPOINT_BEGIN) return checkpoint_begin(accounts, input);
    if (disc == IX_CHECKPOINT_FINALIZE) return checkpoint_finalize(accounts, input);
    if (disc == IX_CHECKPOINT_CLOSE) return checkpoint_close(accounts, input);
    if (disc == IX_CLOSE) return close(accounts, input);
    if (disc == IX_DEPOSIT) return deposit(accounts, input);
    if (disc == IX_CHECKPOINT_CREATE_DEPOSITED) return checkpoint_create_deposited(accounts, input);
    if (disc == IX_RING_FUND) return ring_fund(accounts, input);
    if (disc == IX_DEPOSIT_DRAW) return deposit_draw(accounts, input);
    if (disc == IX_DEPOSIT_CLOSE) return deposit_close(accounts, input);
    DELEGATION_INSTRUCTIONS(disc);
    if (disc == IX_UNDELEGATE) return undelegate_hidden(accounts, input);
    if (disc == IX_CHECKPOINT_CREATE_EPHEMERAL) return checkpoint_create_ephemeral(accounts, input);
    if (disc == IX_CHECKPOINT_GROW_EPHEMERAL) return checkpoint_grow_ephemeral(accounts, input);
    if (disc == IX_CHECKPOINT_CLOSE_EPHEMERAL) return checkpoint_close_ephemeral(accounts, input);
    return InstructionUnknown;
}
