/* Component hidden-state: the recurrent state's header, its writer, and the two checkpoints of its bytes. */
#include "awm_layout.h"
#define COMPONENT HiddenState
#define COMPONENT_ID ID_HIDDEN_STATE
#define COMPONENT_DISC DISC_HiddenState
#define METADATA OFF(HiddenState, bolt_metadata)
#define SESSION_COMPONENT
#include "delegation.h"

#define CP(account, field) ((account)->data + OFF(Checkpoint, field))
#define HS(account, field) ((account)->data + OFF(HiddenState, field))

static u64 policy(Account *component, System system, const u8 *data, u64 len) {
    REQUIRE(system == SYSTEM_LIFECYCLE || system == SYSTEM_INFERENCE, SystemNotAllowed);
    REQUIRE(len == COMPONENT_SIZE - 8, InvalidArguments);
    return replace(component, data);
}

/* A writer was named, JOIN came, or a checkpoint was paid for. */
static u64 check_unused(const Account *component) {
    REQUIRE(key_zero(HS(component, writer)) && key_zero(HS(component, chain_hash)) && !ld32(HS(component, data_size)),
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

/* A checkpoint of this entity, in the slot that the arguments begin with. */
NOINLINE u64 check_checkpoint(const Account *checkpoint, const Account *hidden, u8 slot) {
    TRY(check_foreign(checkpoint, COMPONENT_ID, DISC_Checkpoint, sizeof(Checkpoint)));
    REQUIRE(key_eq(CP(checkpoint, entity), hidden->data + ENTITY), EntityMismatch);
    REQUIRE(*CP(checkpoint, slot) == slot, InvalidAccount);
    return 0;
}

INLINE bool is_full(const Account *checkpoint) {
    return checkpoint->data_len == sizeof(Checkpoint) + ld32(CP(checkpoint, data_size));
}

/* A finalized chain hash is never zero, so a zero one says that nothing was begun. */
INLINE bool is_begun(const Account *checkpoint) { return !key_zero(CP(checkpoint, chain_hash)); }

/* A checkpoint of that size may be created. */
NOINLINE u64 check_creation(const Account *hidden, const Account *checkpoint, u8 slot, u32 data_size) {
    REQUIRE(slot <= 1 && data_size && data_size <= MAX_HASHED_BYTES - sizeof(Checkpoint), OutOfRange);
    REQUIRE(!*HS(hidden, initialized) || data_size == ld32(HS(hidden, data_size)), OutOfRange);
    REQUIRE(!key_eq(checkpoint->owner, COMPONENT_ID), AlreadyCreated);
    return 0;
}

/* Fills a checkpoint that was just created. */
NOINLINE void begin_checkpoint(Account *hidden, Account *checkpoint, u8 slot, u32 data_size) {
    st64(checkpoint->data, DISC_Checkpoint);
    copy(CP(checkpoint, entity), hidden->data + ENTITY, 32);
    *CP(checkpoint, slot) = slot;
    st32(CP(checkpoint, data_size), data_size);
    st32(HS(hidden, data_size), data_size);
}

/* checkpoint_create(slot u8, data_size u32): writer ws, hidden_state w, checkpoint w, system_program. */
NOINLINE u64 checkpoint_create(Account *accounts, const Input *input) {
    NEED(4, 5);
    Account *writer = &accounts[0], *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_writer(writer, hidden));
    u8 slot = ARGS[0];
    u32 data_size = ld32(ARGS + 1);
    TRY(check_creation(hidden, checkpoint, slot, data_size));
    u8 bump, pda[32];
    Slice seeds[4] = {LITERAL(SEED_CHECKPOINT), {hidden->data + ENTITY, 32}, {&slot, 1}, {&bump, 1}};
    sol_try_find_program_address(seeds, 3, COMPONENT_ID, pda, &bump);
    REQUIRE(key_eq(pda, checkpoint->key), InvalidAccount);
    SignerSeeds signer = {seeds, 4};
    TRY(create(writer, checkpoint, next_len(0, sizeof(Checkpoint) + data_size), COMPONENT_ID, &signer));
    begin_checkpoint(hidden, checkpoint, slot, data_size);
    return 0;
}

/* checkpoint_grow(slot u8): writer ws, hidden_state, checkpoint w, system_program. */
NOINLINE u64 checkpoint_grow(Account *accounts, const Input *input) {
    NEED(4, 1);
    Account *writer = &accounts[0], *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_writer(writer, hidden));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    if (is_full(checkpoint)) return 0;
    return grow(writer, checkpoint,
                next_len(checkpoint->data_len, sizeof(Checkpoint) + ld32(CP(checkpoint, data_size))));
}

#define HEADER OFF(Checkpoint, frame)                    /* hashed from here on */
#define HEADER_ARGS (OFF(Checkpoint, reserved2) - HEADER) /* frame .. chain_hash */

/* checkpoint_begin(slot u8, frame u32, inputs 16, players 64, feedback 16, chain_hash 32): writer s, hidden_state,
 * checkpoint w. */
NOINLINE u64 checkpoint_begin(Account *accounts, const Input *input) {
    NEED(3, 1 + HEADER_ARGS);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    REQUIRE(is_full(checkpoint), CheckpointIncomplete);
    REQUIRE(!*HS(hidden, initialized) || *HS(hidden, checkpoint_slot) != ARGS[0], CheckpointActive);
    REQUIRE(!key_zero(ARGS + 1 + HEADER_ARGS - 32), InvalidArguments);
    *CP(checkpoint, finalized) = 0;
    zero(CP(checkpoint, data_hash), 32);
    copy(CP(checkpoint, frame), ARGS + 1, HEADER_ARGS);
    return 0;
}

/* checkpoint_write(slot u8, offset u32, bytes): writer s, hidden_state, checkpoint w. */
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

/* The frame's record, where the ring still holds it, says what the header says; the current frame's header does too. */
NOINLINE u64 check_against_log(const Account *checkpoint, const Account *hidden, const Account *log) {
    u32 frame = ld32(CP(checkpoint, frame)), current = ld32(HS(hidden, frame));
    u64 capacity = ld16(log->data + OFF(FrameLog, capacity));
    REQUIRE(frame <= current, FrameMismatch);
    if (frame == current) {
        REQUIRE(key_eq(CP(checkpoint, chain_hash), HS(hidden, chain_hash)) &&
                    same(CP(checkpoint, feedback), HS(hidden, feedback), 16),
                CheckpointContradictsLog);
    }
    /* Records from frame + 1 on have to be there, or the state at `current` could not be had from this checkpoint. */
    REQUIRE(current - frame <= capacity || current == frame, FrameMismatch);
    if (frame == 0 || current - frame >= capacity) return 0;
    const u8 *record = log->data + sizeof(FrameLog) + (frame - 1) % capacity * sizeof(FrameRecord);
    REQUIRE(ld32(record) == frame && same(CP(checkpoint, inputs), record + OFF(FrameRecord, input1), 16) &&
                same(CP(checkpoint, players), record + OFF(FrameRecord, player1), 64) &&
                ld64(CP(checkpoint, chain_hash)) == ld64(record + OFF(FrameRecord, chain_hash)),
            CheckpointContradictsLog);
    return 0;
}

/* checkpoint_finalize(slot u8, data_hash 32): writer s, hidden_state w, checkpoint w, frame_log. */
NOINLINE u64 checkpoint_finalize(Account *accounts, const Input *input) {
    NEED(4, 33);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2], *log = &accounts[3];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    TRY(SIBLING(log, FrameLog, ID_FRAME_LOG, hidden->data + ENTITY));
    REQUIRE(!*CP(checkpoint, finalized), CheckpointFinalized);
    REQUIRE(is_begun(checkpoint) && is_full(checkpoint) && ld32(CP(checkpoint, data_size)) == ld32(HS(hidden, data_size)),
            CheckpointIncomplete);
    /* Going back would leave records between the two that no checkpoint needs and the ring no longer holds. */
    REQUIRE(!*HS(hidden, initialized) || ld32(CP(checkpoint, frame)) >= ld32(HS(hidden, checkpoint_frame)), FrameMismatch);
    TRY(check_against_log(checkpoint, hidden, log));
    u8 hash[32];
    Slice part = {checkpoint->data + HEADER, checkpoint->data_len - HEADER};
    sol_sha256(&part, 1, hash);
    REQUIRE(key_eq(hash, ARGS + 1), HashMismatch);
    copy(CP(checkpoint, data_hash), hash, 32);
    *CP(checkpoint, finalized) = 1;
    *HS(hidden, initialized) = 1;
    *HS(hidden, checkpoint_slot) = ARGS[0];
    st32(HS(hidden, checkpoint_frame), ld32(CP(checkpoint, frame)));
    copy(HS(hidden, checkpoint_hash), hash, 32);
    return 0;
}

/* checkpoint_close(slot u8): signer s, hidden_state, session_state, checkpoint w, writer w. */
NOINLINE u64 checkpoint_close(Account *accounts, const Input *input) {
    NEED(5, 1);
    Account *hidden = &accounts[1], *session = &accounts[2], *checkpoint = &accounts[3], *writer = &accounts[4];
    TRY(check_component(hidden));
    TRY(SIBLING(session, SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    TRY(check_returning(&accounts[0], hidden, session, writer));
    return close_account(checkpoint, writer);
}

/* Checkpoint A and B are no longer there. */
NOINLINE u64 check_checkpoints_gone(const Account *checkpoints, const Account *hidden) {
    for (u8 slot = 0; slot < 2; slot++) {
        Slice seeds[3] = {LITERAL(SEED_CHECKPOINT), {hidden->data + ENTITY, 32}, {&slot, 1}};
        TRY(check_gone(&checkpoints[slot], COMPONENT_ID, seeds, 3));
    }
    return 0;
}

/* close: player1 ws, hidden_state w, session_state, checkpoint A, checkpoint B, frame_log. What the writer paid for
 * went back to it first, since the writer's key stands here. */
NOINLINE u64 close(Account *accounts, const Input *input) {
    NEED(6, 0);
    Account *player = &accounts[0], *hidden = &accounts[1], *session = &accounts[2], *log = &accounts[5];
    TRY(check_component(hidden));
    TRY(SIBLING(session, SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    TRY(check_closing(player, session));
    TRY(check_checkpoints_gone(accounts + 3, hidden));
    Slice seed = {hidden->data + ENTITY, 32};
    u64 error = check_gone(log, ID_FRAME_LOG, &seed, 1);
    REQUIRE(!error || (error == StillOpen && log->data_len == sizeof(FrameLog)), error);
    return close_account(hidden, player);
}

#define MAGIC_CREATE 12 /* CreateEphemeralAccount {data_len u32} of the rollup's Magic program, bincode u32 */
#define MAGIC_RESIZE 13 /* ResizeEphemeralAccount {data_len u32} */
#define MAGIC_CLOSE 14  /* CloseEphemeralAccount */

/* The Magic program on a checkpoint that exists in the rollup only; the hidden state pays, 32 lamports a byte, and gets
 * them back. accounts: hidden_state w, checkpoint w, vault w, magic_program. */
NOINLINE u64 magic(Account *accounts, u8 slot, u32 instruction, u32 len) {
    Account *hidden = &accounts[0], *checkpoint = &accounts[1];
    REQUIRE(hidden->is_writable && checkpoint->is_writable, InvalidAccount);
    REQUIRE(key_eq(accounts[2].key, ID_MAGIC_VAULT) && key_eq(accounts[3].key, ID_MAGIC_PROGRAM), InvalidAccount);
    u8 bump, pda[32], data[8];
    Slice seeds[4] = {LITERAL(SEED_CHECKPOINT), {HS(hidden, entity), 32}, {&slot, 1}, {&bump, 1}};
    sol_try_find_program_address(seeds, 3, COMPONENT_ID, pda, &bump);
    REQUIRE(key_eq(pda, checkpoint->key), InvalidAccount);
    u8 payer_bump;
    TRY(component_bump(hidden, HS(hidden, entity), &payer_bump));
    Slice payer_seeds[2] = {{HS(hidden, entity), 32}, {&payer_bump, 1}};
    SignerSeeds signers[2] = {{payer_seeds, 2}, {seeds, 4}};
    st32(data, instruction);
    st32(data + 4, len);
    Meta metas[3] = {{hidden->key, 1, 1}, {checkpoint->key, 1, 1}, {accounts[2].key, 1, 0}};
    Instruction ix = {ID_MAGIC_PROGRAM, metas, 3, data, instruction == MAGIC_CLOSE ? 4 : 8};
    return sol_invoke_signed_c(&ix, accounts, 4, signers, 2);
}

/* checkpoint_create_ephemeral(slot u8, data_size u32): writer s, hidden_state w, checkpoint w, vault w,
 * magic_program. */
NOINLINE u64 checkpoint_create_ephemeral(Account *accounts, const Input *input) {
    NEED(5, 5);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_creation(hidden, checkpoint, ARGS[0], ld32(ARGS + 1)));
    TRY(magic(accounts + 1, ARGS[0], MAGIC_CREATE, next_len(0, sizeof(Checkpoint) + ld32(ARGS + 1))));
    checkpoint->data_len = ld64(checkpoint->data - 8);
    begin_checkpoint(hidden, checkpoint, ARGS[0], ld32(ARGS + 1));
    return 0;
}

/* checkpoint_grow_ephemeral(slot u8): writer s, hidden_state w, checkpoint w, vault w, magic_program. */
NOINLINE u64 checkpoint_grow_ephemeral(Account *accounts, const Input *input) {
    NEED(5, 1);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    if (is_full(checkpoint)) return 0;
    u64 len = next_len(checkpoint->data_len, sizeof(Checkpoint) + ld32(CP(checkpoint, data_size)));
    return magic(accounts + 1, ARGS[0], MAGIC_RESIZE, len);
}

/* checkpoint_close_ephemeral(slot u8): signer s, hidden_state w, checkpoint w, vault w, magic_program, session_state. */
NOINLINE u64 checkpoint_close_ephemeral(Account *accounts, const Input *input) {
    NEED(6, 1);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_taking_back(&accounts[0], &accounts[5], hidden, hidden->data + ENTITY));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    return magic(accounts + 1, ARGS[0], MAGIC_CLOSE, 0);
}

/* undelegate, as all components, and checkpoint A, checkpoint B: both gone, or they would be nobody's. */
NOINLINE u64 undelegate_hidden(Account *accounts, const Input *input) {
    NEED(8, 0);
    Account *hidden = &accounts[1];
    TRY(check_component(hidden));
    TRY(check_checkpoints_gone(accounts + 6, hidden));
    return undelegate(accounts, input);
}

static u64 direct(u64 disc, Account *accounts, const Input *input) {
    if (disc == IX_CHECKPOINT_WRITE) return checkpoint_write(accounts, input);
    if (disc == IX_BIND_WRITER) return bind_writer(accounts, input);
    if (disc == IX_CLAIM) return claim(accounts, input);
    if (disc == IX_CHECKPOINT_CREATE) return checkpoint_create(accounts, input);
    if (disc == IX_CHECKPOINT_GROW) return checkpoint_grow(accounts, input);
    if (disc == IX_CHECKPOINT_BEGIN) return checkpoint_begin(accounts, input);
    if (disc == IX_CHECKPOINT_FINALIZE) return checkpoint_finalize(accounts, input);
    if (disc == IX_CHECKPOINT_CLOSE) return checkpoint_close(accounts, input);
    if (disc == IX_CLOSE) return close(accounts, input);
    DELEGATION_INSTRUCTIONS(disc);
    if (disc == IX_UNDELEGATE) return undelegate_hidden(accounts, input);
    if (disc == IX_CHECKPOINT_CREATE_EPHEMERAL) return checkpoint_create_ephemeral(accounts, input);
    if (disc == IX_CHECKPOINT_GROW_EPHEMERAL) return checkpoint_grow_ephemeral(accounts, input);
    if (disc == IX_CHECKPOINT_CLOSE_EPHEMERAL) return checkpoint_close_ephemeral(accounts, input);
    return InstructionUnknown;
}
