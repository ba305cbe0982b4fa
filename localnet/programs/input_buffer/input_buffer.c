/* Component input-buffer: the players' inputs for the coming frame and the one after. */
#include "awm_layout.h"
#define COMPONENT InputBuffer
#define COMPONENT_ID ID_INPUT_BUFFER
#define COMPONENT_DISC DISC_InputBuffer
#define METADATA OFF(InputBuffer, bolt_metadata)
#define PAYER(account) ((account)->data + OFF(InputBuffer, payer))
#define SESSION_COMPONENT
#include "delegation.h"

static u64 policy(Account *component, System system, const u8 *data, u64 len) {
    (void)system; /* all three systems write inputs */
    REQUIRE(len == STRUCT_SIZE - 8, InvalidArguments);
    return replace(component, data);
}

/* Refuses with StillOpen after JOIN, because the match then reads its inputs here. */
static u64 check_unused(const Account *component) {
    REQUIRE(ld32(component->data + OFF(InputBuffer, frame)) == 0, StillOpen);
    return 0;
}

/* close: signer s, input_buffer w, session_state, payer w, receipt w. */
NOINLINE u64 close(Account *accounts, const Input *input) {
    NEED(5, 0);
    TRY(check_component(&accounts[1]));
    TRY(check_closing(&accounts[0], &accounts[1], &accounts[2], &accounts[3], &accounts[4]));
    return close_component(&accounts[1], &accounts[3], &accounts[4]);
}

static void returned(Account *component) { (void)component; }

static u64 direct(u64 disc, Account *accounts, const Input *input) {
    if (disc == IX_CLOSE) return close(accounts, input);
    DELEGATION_INSTRUCTIONS(disc);
    if (disc == IX_UNDELEGATE) return undelegate(accounts, input);
    return InstructionUnknown;
}
