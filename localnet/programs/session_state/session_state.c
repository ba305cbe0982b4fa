/* Component session-state: the match as everybody sees it. */
#include "awm_layout.h"
#define COMPONENT SessionState
#define COMPONENT_ID ID_SESSION_STATE
#define COMPONENT_DISC DISC_SessionState
#define METADATA OFF(SessionState, bolt_metadata)
#define PAYER(account) ((account)->data + OFF(SessionState, payer))
#define SESSION_COMPONENT
#include "delegation.h"

static u64 policy(Account *component, System system, const u8 *data, u64 len) {
    REQUIRE(len == STRUCT_SIZE - 8, InvalidArguments);
    if (system == SYSTEM_INPUT) {
        /* World writes every pair back, so submit-input, which only reads the session, may return it unchanged. */
        REQUIRE(same(component->data + 8, data, len), StructChanged);
        return 0;
    }
    return replace(component, data);
}

/* Refuses with StillOpen after CREATE, because players, writer and the other three components then depend on the
 * session. */
static u64 check_unused(const Account *component) {
    REQUIRE(session_status(component) == STATUS_CREATED, StillOpen);
    return 0;
}

/* close: signer s, session_state w, hidden_state, input_buffer, frame_log, payer w, receipt w. This one closes last. */
NOINLINE u64 close(Account *accounts, const Input *input) {
    NEED(7, 0);
    Account *session = &accounts[1];
    TRY(check_component(session));
    const u8 *entity = session->data + ENTITY;
    TRY(check_closing(&accounts[0], session, session, &accounts[5], &accounts[6]));
    TRY(check_closed(&accounts[2], ID_HIDDEN_STATE, entity));
    TRY(check_closed(&accounts[3], ID_INPUT_BUFFER, entity));
    TRY(check_closed(&accounts[4], ID_FRAME_LOG, entity));
    return close_component(session, &accounts[5], &accounts[6]);
}

/* Changes nothing on the way back from a rollup. A status that does not exist counts as ended (session_status), and a
 * time far in the future as long ago (seconds_since), so the session can always be ended and closed. */
static void returned(Account *component) { (void)component; }

static u64 direct(u64 disc, Account *accounts, const Input *input) {
    if (disc == IX_CLOSE) return close(accounts, input);
    DELEGATION_INSTRUCTIONS(disc);
    if (disc == IX_UNDELEGATE) return undelegate(accounts, input);
    return InstructionUnknown;
}
