/*
 * sim_provider: the channels of an engine, and the providers behind them with a book of their own.
 * A post waits for its commit, travels, comes to the provider, and its result travels back. A crash
 * takes with it what had not left, and results that had not arrived.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

/* ---- the book ---- */

static struct sim_message *message_of(struct sim *sim, const struct cw_post *post)
{
    for (uint32_t i = sim->message_count; i-- > 0;) { /* lately posted ones are near the end */
        if (memcmp(sim->messages[i].key, post->key, CW_POST_KEY_BYTES) == 0) {
            return &sim->messages[i];
        }
    }
    if (sim->message_count == sim->message_room) {
        sim->message_room = 2 * sim->message_room + 256;
        sim->messages = realloc(sim->messages, sim->message_room * sizeof *sim->messages);
        CW_ASSERT(sim->messages != NULL);
    }
    struct sim_message *made = &sim->messages[sim->message_count++];
    memset(made, 0, sizeof *made);
    memcpy(made->key, post->key, sizeof made->key);
    return made;
}

/* What the message is about, from what a webhook is told. */
static void read_facts(struct sim_message *message, const struct cw_post *post)
{
    message->program = SIM_PROGRAMS;
    for (uint32_t i = 0; i < post->fact_count; i++) {
        char value[64];
        struct cw_view name = post->facts[i].name;
        (void)snprintf(value, sizeof value, "%.*s", (int)post->facts[i].value.bytes,
                       post->facts[i].value.data);
        if (cw_view_equal(name, CW_VIEW("programId"))) {
            message->program = sim_program_find(post->facts[i].value);
        } else if (cw_view_equal(name, CW_VIEW("cartId"))) {
            int read = sscanf(value, "c%u-k%u", &message->customer, &message->cart);
            CW_ASSERT(read == 2);
        } else if (cw_view_equal(name, CW_VIEW("touch"))) {
            message->touch = (uint32_t)strtoul(value, NULL, 10);
        }
    }
    CW_ASSERT(message->program < SIM_PROGRAMS && message->touch >= 1);
    CW_ASSERT(message->customer < SIM_CUSTOMERS_MAX && message->cart < SIM_CARTS_MAX);
}

bool sim_program_resends(const struct sim_message *message)
{
    return sim_programs[message->program].touch[message->touch - 1].on_unknown ==
           CW_ON_UNKNOWN_RESEND;
}

bool sim_provider_resends(const struct sim *sim, const struct sim_message *message)
{
    int8_t says = sim_programs[message->program].touch[message->touch - 1].on_unknown;
    return sim_program_resends(message) ||
           (says == CW_ON_UNKNOWN_DEFAULT && sim->swarm.collapses[message->channel]);
}

/* ---- the port ---- */

static uint32_t queued(const struct sim *sim, uint32_t core)
{
    uint32_t count = 0;
    for (const struct sim_attempt *at = sim->attempts; at != NULL; at = at->next) {
        count += at->core == core && at->state <= SIM_ATTEMPT_RELEASED;
    }
    return count;
}

static bool post(void *self, uint32_t channel, const struct cw_post *what)
{
    struct sim *sim = self;
    if (sim_base(sim) < sim->channel_full_until ||
        queued(sim, what->shard) >= sim->swarm.channel_room) {
        return false;
    }
    struct sim_message *message = message_of(sim, what);
    read_facts(message, what);
    message->channel = channel;
    message->kept = false;
    message->posted = what->attempt > message->posted ? what->attempt : message->posted;
    struct sim_attempt *made = calloc(1, sizeof *made);
    CW_ASSERT(made != NULL);
    *made = (struct sim_attempt){.message = (uint32_t)(message - sim->messages),
                                 .core = what->shard,
                                 .number = what->attempt,
                                 .state = SIM_ATTEMPT_POSTED,
                                 .now_ms = what->now_ms,
                                 .order = ++sim->claims,
                                 .version = sim->machine.version,
                                 .next = sim->attempts};
    sim->attempts = made;
    sim_trace(sim, what->key, CW_POST_KEY_BYTES);
    sim_timely_posted(sim, message);
    sim_check_stopped(sim, message);
    sim_check_due(sim, message);
    sim_check_clock(sim, made);
    if (sim_planted(sim, "early-send")) { /* leaves before its commit is durable */
        made->state = SIM_ATTEMPT_RELEASED;
        made->at = sim_base(sim);
    }
    return true;
}

static void stage(void *self, uint32_t shard)
{
    struct sim *sim = self;
    for (struct sim_attempt *at = sim->attempts; at != NULL; at = at->next) {
        if (at->core == shard && at->state == SIM_ATTEMPT_POSTED) {
            at->state = SIM_ATTEMPT_STAGED;
        }
    }
}

static void release(void *self, uint32_t shard)
{
    struct sim *sim = self;
    for (struct sim_attempt *at = sim->attempts; at != NULL; at = at->next) {
        if (at->core == shard && at->state == SIM_ATTEMPT_STAGED) {
            at->state = SIM_ATTEMPT_RELEASED;
            at->at = sim_base(sim) + sim_draw(sim, 1000 * sim->swarm.slow_s / 2 + 1);
        }
    }
}

static bool result(void *self, uint32_t shard, struct cw_post_result *told)
{
    struct sim *sim = self;
    for (struct sim_attempt *at = sim->attempts; at != NULL; at = at->next) {
        if (at->core != shard || at->state != SIM_ATTEMPT_ANSWERED || at->at > sim_base(sim) ||
            at->settled != 0) {
            continue;
        }
        *told = at->result;
        at->settled = UINT64_MAX; /* until its commit is known */
        if (!sim_plant_result(sim, told)) {
            continue;
        }
        sim_trace(sim, told->key, sizeof told->key);
        return true;
    }
    return false;
}

static bool collapses(void *self, uint32_t channel)
{
    return ((struct sim *)self)->swarm.collapses[channel];
}

struct cw_channel_port sim_channels(struct sim *sim)
{
    return (struct cw_channel_port){.self = sim,
                                    .post = post,
                                    .stage = stage,
                                    .release = release,
                                    .result = result,
                                    .collapses = collapses};
}

/* ---- providers ---- */

static void deliver(struct sim *sim, struct sim_message *message, const struct sim_attempt *attempt)
{
    sim_check_delivery(sim, message, attempt);
    message->deliveries++;
    message->delivered_order = attempt->order;
    message->delivered_now = attempt->now_ms;
    sim->totals.deliveries++;
    sim_check_caps(sim, message, attempt);
}

/* The message is at the provider: what it does with it, and what it says. */
static void arrive(struct sim *sim, struct sim_attempt *attempt)
{
    struct sim_message *message = &sim->messages[attempt->message];
    const struct sim_swarm *swarm = &sim->swarm;
    struct cw_post_result *told = &attempt->result;
    uint32_t what = sim->quiet ? 999 : sim_draw(sim, 1000);
    memcpy(told->key, message->key, sizeof told->key);
    told->shard = attempt->core;
    if (sim_base(sim) < sim->outage_until && !sim->quiet) {
        told->outcome = CW_POSTED_LATER;
        told->untried = sim_chance(sim, 500);
    } else if (what < swarm->refused) {
        told->outcome = CW_POSTED_REFUSED;
    } else if ((what -= swarm->refused) < swarm->later) {
        told->outcome = CW_POSTED_LATER;
        told->retry_after_s = sim_chance(sim, 500) ? 1 + sim_draw(sim, 3600) : 0;
    } else if ((what -= swarm->later) < swarm->unknown_sent + swarm->unknown_lost) {
        told->outcome = CW_POSTED_UNKNOWN;
        if (what < swarm->unknown_sent) {
            deliver(sim, message, attempt);
        }
    } else {
        told->outcome = CW_POSTED_SENT;
        deliver(sim, message, attempt);
    }
    if (!told->untried && attempt->number > message->received) {
        message->received = attempt->number;
    }
    if (told->outcome != CW_POSTED_SENT) {
        (void)snprintf(told->reason, sizeof told->reason, "the provider says so");
    }
    attempt->state = SIM_ATTEMPT_ANSWERED;
    attempt->at = sim_base(sim) + sim_draw(sim, 1000 * swarm->slow_s / 2 + 1);
    sim_say(sim, "provider: %.36s attempt %u: %u", message->key, attempt->number, told->outcome);
}

/* The engine has taken the result in, and will not forget it. */
static void settle(struct sim *sim, struct sim_attempt *attempt)
{
    struct sim_message *message = &sim->messages[attempt->message];
    message->told[attempt->result.outcome] = true;
    message->last_told = attempt->result.outcome;
    message->doubted = message->doubted || attempt->result.outcome == CW_POSTED_UNKNOWN;
    attempt->state = SIM_ATTEMPT_DONE;
}

static void sweep(struct sim *sim)
{
    struct sim_attempt **at = &sim->attempts;
    while (*at != NULL) {
        struct sim_attempt *attempt = *at;
        if (attempt->state == SIM_ATTEMPT_DONE) {
            *at = attempt->next;
            free(attempt);
        } else {
            at = &attempt->next;
        }
    }
}

/* After each step: results that were handed over in it are in the commit that comes now. They are
   settled before anything arrives: one flush can make a result durable and release the attempt
   that follows from it. */
void sim_provider_turn(struct sim *sim)
{
    struct sim_machine *machine = &sim->machine;
    bool some = false;
    for (struct sim_attempt *at = sim->attempts; at != NULL; at = at->next) {
        if (at->state == SIM_ATTEMPT_ANSWERED && at->settled != 0 && machine->up) {
            struct cw_commit commit = cw_store_commit(machine->core[at->core].store);
            at->settled =
                at->settled == UINT64_MAX ? commit.number(commit.self) : at->settled;
            if (commit.durable(commit.self) >= at->settled) {
                settle(sim, at);
                some = true;
            }
        }
    }
    for (struct sim_attempt *at = sim->attempts; at != NULL; at = at->next) {
        if (at->state == SIM_ATTEMPT_RELEASED && at->at <= sim_base(sim)) {
            arrive(sim, at);
        }
    }
    if (some) {
        sweep(sim);
    }
}

int64_t sim_provider_next(const struct sim *sim)
{
    int64_t next = INT64_MAX;
    for (const struct sim_attempt *at = sim->attempts; at != NULL; at = at->next) {
        bool waits = at->state == SIM_ATTEMPT_RELEASED ||
                     (at->state == SIM_ATTEMPT_ANSWERED && at->settled == 0);
        if (waits && at->at < next) {
            next = at->at;
        }
    }
    return next;
}

/* The engine is gone: what had not left never will, and results on their way find nobody. What was
   on its way to the provider may have come there. */
void sim_provider_cut(struct sim *sim, const uint64_t *durable)
{
    for (struct sim_attempt *at = sim->attempts; at != NULL; at = at->next) {
        struct sim_message *message = &sim->messages[at->message];
        if (at->state == SIM_ATTEMPT_RELEASED && sim_chance(sim, 500)) {
            arrive(sim, at);
        }
        bool known = at->state == SIM_ATTEMPT_ANSWERED && at->settled != 0 &&
                     at->settled <= durable[at->core];
        if (known) {
            settle(sim, at);
            continue;
        }
        message->doubted = true;
        at->state = SIM_ATTEMPT_DONE;
    }
    sweep(sim);
}

void sim_provider_free(struct sim *sim)
{
    while (sim->attempts != NULL) {
        struct sim_attempt *next = sim->attempts->next;
        free(sim->attempts);
        sim->attempts = next;
    }
    free(sim->messages);
    sim->messages = NULL;
}
