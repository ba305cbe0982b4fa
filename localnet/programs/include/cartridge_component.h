/* What the two components of a cartridge, model-manifest and weight-shard, answer to World: no system writes them, and
 * no account's rent and no running match depends on them, so they can always be destroyed (docs/money.md). */
#ifndef AWM_CARTRIDGE_COMPONENT_H
#define AWM_CARTRIDGE_COMPONENT_H
#include "component.h"

static u64 policy(Account *component, System system, const u8 *data, u64 len) {
    (void)component, (void)system, (void)data, (void)len;
    return SystemNotAllowed;
}

static u64 check_unused(const Account *component) {
    (void)component;
    return 0;
}

#endif
