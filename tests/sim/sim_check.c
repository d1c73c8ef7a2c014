/*
 * sim_check: what must hold at single moments, by what the world outside has seen: an answer, a
 * post, a delivery. Each number is the rule's in README.md.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Noreturn void sim_fail(struct sim *sim, const char *checker, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sim->failed_what, sizeof sim->failed_what, format, args);
    va_end(args);
    (void)snprintf(sim->failed_checker, sizeof sim->failed_checker, "%s", checker);
    longjmp(sim->fail, 1);
}

void sim_say(struct sim *sim, const char *format, ...)
{
    if (!sim->options.verbose) {
        return;
    }
    char at[CW_TIME_BYTES + 1];
    cw_time_format(sim_base(sim), at);
    at[CW_TIME_BYTES] = '\0';
    (void)printf("%s %8llu ", at, (unsigned long long)sim->turn);
    va_list args;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)putchar('\n');
}

void sim_trace(struct sim *sim, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    uint64_t hash = (sim->trace ^ sim->ns) * 0x9e3779b97f4a7c15u;
    size_t whole = count - count % 8;
    uint64_t word;
    for (size_t i = 0; i < whole; i += 8) { /* nobody attacks it: FNV by words */
        memcpy(&word, at + i, 8);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    if (whole < count) {
        word = 0;
        memcpy(&word, at + whole, count - whole);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    sim->trace = hash ^ count;
}

/* 1: every acknowledged event is there exactly once: sent again it is a duplicate. */
void sim_check_answer(struct sim *sim, const struct sim_request *request, uint32_t accepted,
                      uint32_t duplicate)
{
    uint32_t known = 0;
    uint32_t number = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct sim_event *event = &sim->events[request->events[i]];
        if (sim_client_known(sim, event) && event->acked_turn <= request->sent_turn) {
            known++;
            number = event->number;
        }
    }
    if (duplicate < known) {
        sim_fail(sim, "acknowledged",
                 "event e%u was acknowledged, and is new when it is sent again (%u known, %u "
                 "accepted, %u duplicate)",
                 number, known, accepted, duplicate);
    }
}

/* 4: a (candidate, touch) is delivered at most once, unless its channel's policy resends what is
   unknown, and then only after it was unknown. */
void sim_check_delivery(struct sim *sim, const struct sim_message *message,
                        const struct sim_attempt *attempt)
{
    if (message->deliveries > 0 && !(sim_provider_resends(sim, message) && message->doubted)) {
        sim_fail(sim, "delivery", "%.36s (%s, touch %u) is delivered again by attempt %u%s",
                 message->key, sim_programs[message->program].id, message->touch, attempt->number,
                 message->doubted ? ": its channel drops what is unknown" : "");
    }
    /* A provider keeps a key for a day, unless the program says that it does not matter. */
    if (message->deliveries > 0 && !sim_program_resends(message) &&
        attempt->now_ms - message->delivered_now >= CW_DAY_MS) {
        sim_fail(sim, "delivery", "%.36s is delivered again by attempt %u, its key forgotten",
                 message->key, attempt->number);
    }
}

/* 5: nothing is posted for a cart after its acknowledged conversion, by a channel after the
   acknowledged opting out of it, for a customer after the acknowledged erasure. */
void sim_check_stopped(struct sim *sim, const struct sim_message *message)
{
    const struct sim_customer *of = &sim->customers[message->customer];
    const struct sim_cart *cart = &of->cart[message->cart];
    const struct cw_candidate_row *candidate = sim_candidate_of(sim, message);
    int64_t t0 = candidate != NULL ? candidate->t0 : INT64_MIN;
    /* An order before T0 converts nothing: the engine's clock was ahead of the shop's. */
    const char *why = of->erased_acked ? "the customer's erasure"
                      : cart->order_acked && cart->order_time >= t0 ? "the cart's order"
                      : of->opted_out[message->channel] ? "opting out of the channel"
                                                        : NULL;
    if (why != NULL) {
        sim_fail(sim, "stopped", "%s touch %u is posted for c%u-k%u after %s was acknowledged",
                 sim_programs[message->program].id, message->touch, message->customer,
                 message->cart, why);
    }
}

/* 6: what providers got of a customer in 7 days is within the cap of the program that sent it. */
void sim_check_caps(struct sim *sim, const struct sim_message *message,
                    const struct sim_attempt *attempt)
{
    uint32_t cap = sim_programs[message->program].email_cap[attempt->version];
    uint32_t before = 0;
    if (message->channel != CW_CHANNEL_EMAIL || cap == 0) {
        return;
    }
    for (uint32_t i = 0; i < sim->message_count; i++) {
        const struct sim_message *other = &sim->messages[i];
        before += other != message && !other->lost && other->customer == message->customer &&
                  other->channel == CW_CHANNEL_EMAIL && other->deliveries > 0 &&
                  other->delivered_order < attempt->order &&
                  other->delivered_now > attempt->now_ms - CW_WEEK_MS;
    }
    if (before >= cap) {
        sim_fail(sim, "caps", "c%u got %u mails in 7 days, and %s touch %u (cap %u) sends another",
                 message->customer, before, sim_programs[message->program].id, message->touch, cap);
    }
}

/* 13: no touch is posted by a clock that followed a wall clock further ahead than it may without
   being told that the wall is right: five minutes, and what wears off of them. */
void sim_check_clock(struct sim *sim, const struct sim_attempt *attempt)
{
    int64_t most = sim->believed + CW_CLOCK_STEP_MS + (int64_t)(sim->ns / 1000000 / 2000) + 1;
    int64_t ahead = attempt->now_ms - sim_base(sim);
    if (ahead > most) {
        sim_fail(sim, "clock", "a touch is posted by a clock that is %lld ms ahead, of %lld",
                 (long long)ahead, (long long)most);
    }
}
