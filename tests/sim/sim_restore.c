/*
 * sim_restore: a copy of the state is made while the machine runs, as a snapshot is; later the
 * machine is lost, and the copy comes up in its place: with sends held, while the shops send again
 * what they sent since. Then sends are let go as `cartwheel resume --assume-sent-until` does it
 * (tools/engine_task.c). What was acknowledged since has to be taken in anew; what was delivered
 * since must not be delivered again. Of the messages that only the lost machine knew, the books of
 * the engine and of the providers say different things for good: they are `lost`.
 */
#include "tests/sim/sim.h"

#include <string.h>

enum {
    AGAIN_MS = 60000, /* within which the shops send again */
    LOOK_TURNS = 32,  /* between two looks whether all is sent again */
    ASSUMED_IN_A_TURN = 4
};

enum step {
    STEP_ASSUMES,
    STEP_LETS_GO,
    STEP_WAITS, /* for that to be durable */
    STEP_THROUGH
};

/* A stream of its own, so that seeds without it are as they would be without this file. */
void sim_restore_draw(struct sim *sim)
{
    uint64_t random = sim->options.seed * UINT64_C(0xd1342543de82ef95) + 11;
    uint32_t hours = SIM_HOURS;
    if (sim->swarm.damages || random_below(&random, 3) != 0) {
        return;
    }
    for (uint32_t i = 1 + random_below(&random, 3); i > 0; i--) {
        int64_t at = SIM_START + (int64_t)random_below(&random, hours * 3600) * 1000;
        int64_t later = at + 60000 + (int64_t)random_below(&random, 12 * 3600) * 1000;
        CW_ASSERT(sim->due_count + 2 <= CW_COUNTOF(sim->dues));
        sim->dues[sim->due_count++] = (struct sim_due){.at = at, .fault = SIM_FAULT_BACKUP};
        sim->dues[sim->due_count++] = (struct sim_due){.at = later, .fault = SIM_FAULT_RESTORE};
    }
}

void sim_backup(struct sim *sim)
{
    sim_storage_free(&sim->backup);
    sim_storage_after(sim, &sim->backup, &sim->storage, false);
    sim->backup_cores = sim->machine.cores;
    for (uint32_t i = 0; i < sim->event_count; i++) {
        sim->events[i].kept = sim->events[i].state == SIM_EVENT_ACKED;
    }
    for (uint32_t i = 0; i < sim->message_count; i++) { /* what waits for another try may be taken
                                                           for tried */
        struct sim_message *message = &sim->messages[i];
        message->kept =
            message->told[message->last_told] &&
            (message->last_told == CW_POSTED_SENT || message->last_told == CW_POSTED_REFUSED);
    }
    for (const struct sim_attempt *at = sim->attempts; at != NULL; at = at->next) {
        sim->messages[at->message].kept = false; /* what becomes of it is told later */
    }
    sim_say(sim, "a copy of the state is made");
}

static void hold(struct sim_storage *storage)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct cw_manifest manifest;
        struct cw_fault fault;
        struct cw_text text = {0};
        struct cw_view slot = {storage->slots[i], storage->slot_bytes[i]};
        if (slot.bytes == 0 || cw_manifest_read(&manifest, slot, &fault) != CW_ERR_OK) {
            continue;
        }
        manifest.held |= CW_HOLD_RESTORED;
        cw_manifest_write(&manifest, &text);
        CW_ASSERT(text.bytes <= CW_MANIFEST_BYTES_MAX);
        memcpy(storage->slots[i], text.data, text.bytes);
        storage->slot_bytes[i] = (uint32_t)text.bytes;
        cw_text_deinit(&text);
    }
}

/* Whether a shop has the customer's erasure to tell, and so nothing else of them. */
static bool is_gone(const struct sim *sim, const struct sim_event *event)
{
    uint32_t erasure = sim->customers[event->customer].erasure;
    return sim_client_erases(sim, event) && erasure < SIM_EVENTS_MAX &&
           sim->events[erasure].state != SIM_EVENT_DEAD;
}

/* What the shops know, or have to think, that the copy may not hold. Who was erased since is only
   erased, be it for the first time: nothing else of them is sent any more. */
static void send_again(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->event_count; i++) {
        struct sim_event *event = &sim->events[i];
        bool erases = event->type == CW_EVENT_CUSTOMER_ERASED;
        if (event->state == SIM_EVENT_ACKED && !event->kept && !is_gone(sim, event)) {
            event->state = SIM_EVENT_WAITING;
            event->send_at = sim_base(sim) + sim_draw(sim, AGAIN_MS);
            event->first_sent = CW_TIME_NONE;
            event->lost = true;
        } else if (event->state == SIM_EVENT_WAITING &&
                   (event->first_sent != CW_TIME_NONE || erases)) {
            event->lost = true; /* sent, and the lost machine may have acted on it */
        }
    }
    sim->waiting_changed = true;
}

void sim_restore_lose(struct sim *sim)
{
    sim_machine_crash(sim, false);
    sim_storage_free(&sim->storage);
    sim->storage = sim->backup;
    memset(&sim->backup, 0, sizeof sim->backup);
    hold(&sim->storage);
    sim->last.restored = true;
    sim->last.cores = sim->backup_cores;
    sim->sent_until = sim->engine_ms + 1;
    /* On a machine whose clock is right, as who restores is asked to see to: by one that is behind,
       carts would be abandoned again before their touches are due that were sent long ago. */
    int64_t behind = sim->engine_ms - (sim_base(sim) + sim->wall_offset);
    sim->ns += behind > 0 ? (uint64_t)behind * 1000000 : 0;
    send_again(sim);
    for (uint32_t i = 0; i < sim->message_count; i++) {
        struct sim_message *message = &sim->messages[i];
        message->lost = message->lost || !message->kept;
        message->doubted = message->doubted || message->lost;
    }
    sim_say(sim, "the machine is lost, and the copy takes its place");
}

uint32_t sim_restore_holds(const struct sim_core *core)
{
    bool held = (cw_durable_manifest(core->sim->machine.durable)->held & CW_HOLD_RESTORED) != 0;
    return held && core->restore_step <= STEP_LETS_GO ? CW_HOLD_RESTORED : CW_HOLD_NONE;
}

/* Everything is sent again, and the engine's clock is beyond what the lost one did. */
static bool may_resume(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->event_count; i++) {
        const struct sim_event *event = &sim->events[i];
        if (event->lost && (event->state == SIM_EVENT_WAITING || event->state == SIM_EVENT_OUT)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        const struct sim_core *core = &sim->machine.core[i];
        if (!core->doubts_settled ||
            cw_pipeline_now(cw_service_pipeline(core->service)) < sim->sent_until) {
            return false;
        }
    }
    return true;
}

void sim_restore_turn(struct sim *sim)
{
    struct sim_machine *machine = &sim->machine;
    uint32_t held = cw_durable_manifest(machine->durable)->held;
    if ((held & CW_HOLD_RESTORED) == 0) {
        return;
    }
    if (!machine->resuming) {
        machine->resuming = sim->turn % LOOK_TURNS == 0 && may_resume(sim);
        return;
    }
    for (uint32_t i = 0; i < machine->cores; i++) {
        if (machine->core[i].restore_step != STEP_THROUGH) {
            return;
        }
    }
    struct cw_fault fault;
    if (cw_durable_hold(machine->durable, held & ~(uint32_t)CW_HOLD_RESTORED, &fault) !=
        CW_ERR_OK) {
        sim_fail(sim, "recovery", "sends cannot be let go: %s", fault.text);
    }
    machine->resuming = false;
    sim_say(sim, "sends are let go");
}

void sim_restore_core(struct sim_core *core)
{
    struct cw_pipeline *pipeline = cw_service_pipeline(core->service);
    struct cw_commit commit = cw_store_commit(core->store);
    switch (core->restore_step) {
    case STEP_ASSUMES:
        core->restore_step +=
            sim_planted(core->sim, "sent-again") ||
            cw_pipeline_assume_sent(pipeline, core->sim->sent_until, ASSUMED_IN_A_TURN);
        break;
    case STEP_LETS_GO:
        cw_pipeline_hold_sends(pipeline, core->clock.suspect ? CW_HOLD_CLOCK : CW_HOLD_NONE);
        core->restore_need = commit.number(commit.self);
        core->restore_step++;
        break;
    case STEP_WAITS: core->restore_step += commit.durable(commit.self) >= core->restore_need; break;
    default: break;
    }
}
