/* Component input-buffer: the players' inputs for the coming frame and the one after. */
#include "awm_layout.h"
#define COMPONENT InputBuffer
#define COMPONENT_ID ID_INPUT_BUFFER
#define COMPONENT_DISC DISC_InputBuffer
#define METADATA OFF(InputBuffer, bolt_metadata)
#define SESSION_COMPONENT
#include "delegation.h"

static u64 policy(Account *component, System system, const u8 *data, u64 len) {
    (void)system; /* all three write inputs */
    REQUIRE(len == COMPONENT_SIZE - 8, InvalidArguments);
    return replace(component, data);
}

/* JOIN came: the match reads its inputs here. */
static u64 check_unused(const Account *component) {
    REQUIRE(ld32(component->data + OFF(InputBuffer, frame)) == 0, StillOpen);
    return 0;
}

/* close: player1 ws, input_buffer w, session_state. */
NOINLINE u64 close(Account *accounts, const Input *input) {
    NEED(3, 0);
    Account *player = &accounts[0], *buffer = &accounts[1];
    TRY(check_component(buffer));
    TRY(SIBLING(&accounts[2], SessionState, ID_SESSION_STATE, buffer->data + ENTITY));
    TRY(check_closing(player, &accounts[2]));
    return close_account(buffer, player);
}

static u64 direct(u64 disc, Account *accounts, const Input *input) {
    if (disc == IX_CLOSE) return close(accounts, input);
    DELEGATION_INSTRUCTIONS(disc);
    if (disc == IX_UNDELEGATE) return undelegate(accounts, input);
    return InstructionUnknown;
}
