/*
 * sim_plant: bugs on purpose, each of a kind that a checker is there for. They are put between the
 * product's parts, at the ports, so that what is shipped has no switch for them.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

const struct sim_plant sim_plants[] = {
    {"early-answer", "acknowledged", "answers do not wait for the disk"},
    {"lost-write", "recovery acknowledged state", "the disk forgets what it said is durable"},
    {"unnoted", "state", "one kind of change is not noted for the log"},
    {"early-send", "intent", "messages leave before their commit is durable"},
    {"unsure-is-later", "delivery", "what is unknown counts as surely not sent"},
    {"order-astray", "stopped", "orders convert another cart than theirs"},
    {"cap-forgotten", "caps", "a restart forgets what was sent"},
    {"fast-clock", "due", "the engine's clock runs ahead"},
    {"late-timer", "due", "timers are moved to ten minutes later now and then"},
    {"gullible-clock", "clock", "the engine's clock believes every step of the wall"},
    {"refused-is-sent", "ledger", "a refusal is taken for a success"},
    {"miscount", "sums", "a counter counts twice after a restart"},
    {"result-lost", "ended", "a provider's answer is swallowed now and then"},
    {"erasure-unheard", "erased", "nobody tells the disk that somebody was erased"},
    {"batch-kept", "pools", "a batch of the mesh never comes home"},
    {"never-forgotten", "pools", "a score that is kept is as if it was of a far time"},
    {"slot-of-none", "manifest", "the manifest's first slot is not written again"},
    {"sent-again", "delivery", "a restore forgets that the lost machine went on sending"},
    {.name = NULL}};

const struct sim_plant *sim_plant_find(const char *name)
{
    const struct sim_plant *plant = sim_plants;
    while (plant->name != NULL && strcmp(plant->name, name) != 0) {
        plant++;
    }
    return plant->name != NULL ? plant : NULL;
}

bool sim_planted(const struct sim *sim, const char *name)
{
    return sim->options.plant != NULL && strcmp(sim->options.plant->name, name) == 0;
}

/* ---- commits ---- */

static uint64_t everything(void *self)
{
    (void)self;
    return UINT64_MAX;
}

struct cw_commit sim_plant_commit(struct sim *sim, uint32_t core)
{
    struct cw_commit commit = cw_store_commit(sim->machine.core[core].store);
    if (sim_planted(sim, "early-answer")) {
        commit.durable = everything;
    }
    return commit;
}

void sim_plant_commit_begins(struct sim *sim, uint32_t core)
{
    if (!sim_planted(sim, "unnoted")) {
        return;
    }
    struct cw_pipeline *p = cw_service_pipeline(sim->machine.core[core].service);
    uint64_t cursor = 0;
    cw_row row = cw_table_next(p->customers, &cursor);
    if (row != CW_ROW_NONE) { /* as if it was changed by who had only asked to read it */
        struct cw_customer_row *customer = cw_table_link(p->customers, row);
        customer->ratings++;
    }
}

/* Some customer's, wheel and row alike. */
static void delay_timer(struct sim *sim)
{
    struct cw_pipeline *p =
        cw_service_pipeline(sim->machine.core[sim_draw(sim, sim->machine.cores)].service);
    uint64_t cursor = 0;
    cw_row row;
    uint32_t before = sim_draw(sim, 20);
    while ((row = cw_table_next(p->customers, &cursor)) != CW_ROW_NONE) {
        struct cw_customer_row *customer = cw_table_link(p->customers, row);
        if (customer->timer != CW_TIMER_NONE && before-- == 0) {
            cw_wheel_cancel(p->wheel, customer->timer);
            customer->timer_due += 600000;
            customer->timer = cw_wheel_add(p->wheel, customer->timer_due, row);
            return;
        }
    }
}

/* The first is a disk that lies, in a seed that may not be damaged. */
void sim_plant_step(struct sim *sim)
{
    if (sim_planted(sim, "late-timer") && sim_draw(sim, 500) == 0) {
        delay_timer(sim);
    }
    if (sim_planted(sim, "lost-write") && sim_draw(sim, 2000) == 0) {
        (void)sim_storage_lie(sim);
    }
}

bool sim_plant_slot(struct sim *sim, uint32_t slot)
{
    struct cw_manifest manifest;
    struct cw_fault fault;
    struct cw_view text = {sim->storage.slots[slot], sim->storage.slot_bytes[slot]};
    return !sim_planted(sim, "slot-of-none") ||
           cw_manifest_read(&manifest, text, &fault) != CW_ERR_OK || manifest.epoch != 0;
}

/* ---- a restart ---- */

static void forget_sends(struct cw_pipeline *p)
{
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->customers, &cursor)) != CW_ROW_NONE) {
        struct cw_customer_row *customer = cw_table_edit(p->customers, row);
        int64_t *sends = (int64_t *)(customer + 1);
        for (uint32_t i = 0; i < customer->sends_count; i++) {
            sends[i] &= 3; /* long ago, by the same channel */
        }
    }
}

static void keep_score(struct cw_pipeline *p)
{
    uint64_t cursor = 0;
    cw_row row = cw_table_next(p->scores, &cursor);
    if (row != CW_ROW_NONE) {
        struct cw_score_row *score = cw_table_edit(p->scores, row);
        score->cached_at += 1000 * CW_DAY_MS;
    }
}

void sim_plant_recovered(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        struct cw_pipeline *p = cw_service_pipeline(sim->machine.core[i].service);
        if (sim_planted(sim, "cap-forgotten")) {
            forget_sends(p);
        }
        if (sim_planted(sim, "miscount")) {
            p->fates.planned++;
        }
        if (sim_planted(sim, "never-forgotten")) {
            keep_score(p);
        }
        if (sim_planted(sim, "batch-kept") && i == 0) {
            (void)cw_mesh_acquire(sim->machine.mesh, i, i);
        }
    }
}

/* ---- results, requests, time ---- */

bool sim_plant_result(struct sim *sim, struct cw_post_result *result)
{
    if (sim_planted(sim, "unsure-is-later") && result->outcome == CW_POSTED_UNKNOWN) {
        result->outcome = CW_POSTED_LATER;
    }
    if (sim_planted(sim, "refused-is-sent") && result->outcome == CW_POSTED_REFUSED) {
        result->outcome = CW_POSTED_SENT;
    }
    return !sim_planted(sim, "result-lost") || result->key[0] != '0';
}

void sim_plant_order(struct sim *sim, char *body)
{
    static const char field[] = "\"cartId\":\"c";
    char *at = sim_planted(sim, "order-astray") ? strstr(body, field) : NULL;
    if (at != NULL) {
        at[sizeof field - 2] = 'x';
    }
}

int64_t sim_plant_clock(struct sim *sim, int64_t now_ms)
{
    return sim_planted(sim, "fast-clock") ? now_ms + 600000 : now_ms;
}
