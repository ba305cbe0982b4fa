/* Component session-state: the match as everybody sees it. */
#include "awm_layout.h"
#define COMPONENT SessionState
#define COMPONENT_ID ID_SESSION_STATE
#define COMPONENT_DISC DISC_SessionState
#define METADATA OFF(SessionState, bolt_metadata)
#define SESSION_COMPONENT
#include "delegation.h"

static u64 policy(Account *component, System system, const u8 *data, u64 len) {
    REQUIRE(len == COMPONENT_SIZE - 8, InvalidArguments);
    if (system == SYSTEM_INPUT) {
        /* World writes every pair back: submit-input reads the session and may hand it back unchanged. */
        REQUIRE(same(component->data + 8, data, len), StructChanged);
        return 0;
    }
    return replace(component, data);
}

/* CREATE came: players, writer and the other three components depend on the session. */
static u64 check_unused(const Account *component) {
    REQUIRE(session_status(component) == STATUS_CREATED, StillOpen);
    return 0;
}

/* close: player1 ws, session_state w, hidden_state, input_buffer, frame_log. The last of the four. */
NOINLINE u64 close(Account *accounts, const Input *input) {
    NEED(5, 0);
    Account *player = &accounts[0], *session = &accounts[1];
    TRY(check_component(session));
    TRY(check_closing(player, session));
    Slice seed = {session->data + ENTITY, 32};
    TRY(check_gone(&accounts[2], ID_HIDDEN_STATE, &seed, 1));
    TRY(check_gone(&accounts[3], ID_INPUT_BUFFER, &seed, 1));
    TRY(check_gone(&accounts[4], ID_FRAME_LOG, &seed, 1));
    return close_account(session, player);
}

static u64 direct(u64 disc, Account *accounts, const Input *input) {
    if (disc == IX_CLOSE) return close(accounts, input);
    DELEGATION_INSTRUCTIONS(disc);
    if (disc == IX_UNDELEGATE) return undelegate(accounts, input);
    return InstructionUnknown;
}
