/*
 * engine_clock: what the engine makes of a wall clock that jumps.
 *
 * Each core has a clock of its own (io/clock.h), which does not follow a wall clock that has jumped
 * far ahead. While a core's clock is suspect, its sends are held as well: its time goes on at the
 * machine's own pace, so no timer fires early, no candidate expires, no window closes; but whether
 * the wall or this time is right, and with it whether it is night where a customer lives, nobody
 * knows. Events are taken all the while. The control plane has one more such clock, to see the jump
 * and tell of it where all cores sleep; it asks the kernel whether the new time is synchronised,
 * and hands a confirmation, of the kernel or of an operator, to all cores. A wall clock that comes
 * back needs none.
 *
 * That it is so is in the manifest too, since a restart would take the jump for downtime. A state
 * that was left so, or whose last mark in the log is further back than `maxTrustedDowntime`, begins
 * at that mark, and is suspect by the same rule.
 *
 * Where the engine was off for longer than a minute (`startGrace`), whatever came due meanwhile is
 * due at once, while sources have yet to deliver what they kept, orders of these very carts among
 * it. So sends are held for that minute first. That is not in the manifest: it ends by itself, and
 * begins again where it was cut short.
 */
#include "core/time.h"
#include "tools/engine_priv.h"

/* How far ahead of the engine's clock an event may be while the wall clock is behind it: a machine
   whose clock has no battery was off for no longer, or its carts are over. */
#define BEHIND_MS_MAX (INT64_C(35) * 86400000)

/* ---- for people ---- */

struct span {
    char text[32];
};

static struct span span_of(int64_t ms)
{
    struct span span;
    int64_t minutes = (ms < 0 ? -ms : ms) / 60000;
    int64_t hours = minutes / 60;
    if (hours >= 48) {
        (void)snprintf(span.text, sizeof span.text, "%lld days", (long long)(hours / 24));
    } else if (hours >= 2) {
        (void)snprintf(span.text, sizeof span.text, "%lld h %lld min", (long long)hours,
                       (long long)(minutes % 60));
    } else {
        (void)snprintf(span.text, sizeof span.text, "%lld min", (long long)minutes);
    }
    return span;
}

struct stamp {
    char text[CW_TIME_BYTES + 1];
};

static struct stamp stamp_of(int64_t ms)
{
    struct stamp stamp;
    cw_time_format(ms, stamp.text);
    stamp.text[CW_TIME_BYTES] = '\0';
    return stamp;
}

/* While it runs, the engine knows how far a right wall clock is. Not so since a start: a wall that
   is set right is ahead still, by the time that the engine was off. */
static void say_suspect(const struct cw_engine_clock *clock, FILE *to, const char *margin)
{
    int64_t now = clock->watch.now_ns / 1000000;
    int64_t ahead = clock->watch.ahead_ns / 1000000;
    (void)fprintf(to,
                  "%sWARNING: clock_suspect: the wall clock says %s, %s more than passed here. "
                  "Sends are HELD,\n  events are taken, the engine's time goes on from %s. If the "
                  "wall clock is wrong, set it right%s: `cartwheel resume`, or let NTP synchronise "
                  "it\n",
                  margin, stamp_of(now + ahead).text, span_of(ahead).text, stamp_of(now).text,
                  clock->since_mark ? ".\n  Once it is right"
                                    : ":\n  sends go on by themselves. If it is right");
}

/* ---- at a start ---- */

int64_t cw_engine_clock_begin(struct cw_engine *engine, int64_t mark, uint32_t *held)
{
    struct cw_engine_clock *clock = &engine->clock;
    int64_t offset = 0;
    clock->guarded = engine->live->clock == CW_CLOCK_WALL;
    if (!clock->guarded) {
        *held &= ~(uint32_t)CW_HOLD_CLOCK; /* no wall clock is asked */
        return engine->live->clock == CW_CLOCK_EVENT || mark > engine->start_ms ? mark
                                                                                : engine->start_ms;
    }
    int64_t wall = cw_clock_wall_ms();
    bool doubtful =
        (*held & CW_HOLD_CLOCK) != 0 || wall - mark > (int64_t)engine->live->downtime_ms_max;
    bool holds =
        mark > 0 && doubtful && wall - mark > CW_CLOCK_STEP_MS && !cw_clock_synchronised(&offset);
    int64_t now = holds || mark > wall ? mark : wall;
    *held = (*held & ~(uint32_t)CW_HOLD_CLOCK) | (holds ? CW_HOLD_CLOCK : CW_HOLD_NONE);
    cw_clock_init_at(&clock->watch, now);
    clock->suspect = clock->since_mark = holds; /* cw_engine_clock_say tells it */
    clock->told_ms = clock->watch.ahead_ns / 1000000;
    atomic_store(&clock->steps, holds ? 1 : 0);
    return now;
}

uint32_t cw_engine_clock_grace(struct cw_engine *engine, int64_t mark, uint32_t held, bool cut)
{
    struct cw_engine_clock *clock = &engine->clock;
    uint64_t grace_ms = engine->live->grace_ms;
    if (!clock->guarded || grace_ms == 0 || mark <= 0 || held != CW_HOLD_NONE) {
        return CW_HOLD_NONE;
    }
    clock->off_ms = clock->watch.now_ns / 1000000 - mark;
    if (!cut && clock->off_ms <= (int64_t)grace_ms) {
        return CW_HOLD_NONE;
    }
    atomic_store(&clock->grace_ns, cw_clock_monotonic_ns() + grace_ms * 1000000);
    return CW_HOLD_START;
}

void cw_engine_clock_say(const struct cw_engine *engine, FILE *to)
{
    if (cw_engine_clock_in_grace(engine)) {
        (void)fprintf(to,
                      "  sends are HELD for %.0f s: the engine was off for up to %s, and what "
                      "sources kept meanwhile\n  comes first (`startGrace`). They go on by "
                      "themselves, or by `cartwheel resume`\n",
                      (double)engine->live->grace_ms / 1000, span_of(engine->clock.off_ms).text);
    }
    if (engine->clock.guarded && engine->clock.watch.suspect) {
        say_suspect(&engine->clock, to, "  ");
    }
}

/* ---- on a core ---- */

/* A wall clock that is behind the engine's is wrong, or the engine's is: how late it is nobody
   knows. */
int64_t cw_engine_clock_latest_ms(void *self)
{
    struct cw_core *core = self;
    int64_t now = cw_engine_now_ms(core);
    if (!core->engine->clock.guarded) {
        return now;
    }
    int64_t ahead = core->clock.ahead_ns / 1000000;
    if (ahead < -CW_CLOCK_STEP_MS) {
        return now + BEHIND_MS_MAX;
    }
    return core->clock.suspect ? now + ahead : now;
}

void cw_engine_clock_turn(struct cw_core *core)
{
    struct cw_engine_clock *clock = &core->engine->clock;
    if (!clock->guarded) {
        return;
    }
    uint32_t confirms = atomic_load(&clock->confirms);
    if (confirms != core->clock_confirms) {
        core->clock_confirms = confirms;
        cw_clock_trust(&core->clock, atomic_load(&clock->offset));
    }
    (void)cw_clock_now_ms(&core->clock);
    atomic_store_explicit(&core->clock_suspect, core->clock.suspect, memory_order_release);
    int64_t ahead = core->clock.suspect ? core->clock.ahead_ns / 1000000 : 0;
    struct cw_pipeline *pipeline = cw_service_pipeline(core->service);
    cw_server_doubt_wall(core->server, ahead);
    cw_pipeline_doubt_wall(pipeline, ahead > 0 ? ahead : 0);
    uint32_t held = cw_pipeline_sends_held(pipeline);
    uint32_t now = core->clock.suspect ? held | CW_HOLD_CLOCK : held & ~(uint32_t)CW_HOLD_CLOCK;
    if ((held & CW_HOLD_START) != 0 && cw_clock_monotonic_ns() >= atomic_load(&clock->grace_ns)) {
        now &= ~(uint32_t)CW_HOLD_START;
    }
    bool lifts = (held & ~now) != 0;
    if (now != held && !(lifts && cw_engine_task_assumes(core))) { /* which lifts it, then */
        cw_pipeline_hold_sends(pipeline, now);
    }
}

/* ---- on the control plane ---- */

void cw_engine_clock_confirm(struct cw_engine *engine, int64_t offset_ns)
{
    atomic_store(&engine->clock.offset, offset_ns);
    atomic_fetch_add(&engine->clock.confirms, 1);
    cw_engine_wake_all(engine);
}

bool cw_engine_clock_in_grace(const struct cw_engine *engine)
{
    return atomic_load(&engine->clock.grace_ns) != 0;
}

void cw_engine_clock_end_grace(struct cw_engine *engine)
{
    atomic_store(&engine->clock.grace_ns, 0);
}

static void tell_grace(struct cw_engine *engine)
{
    uint64_t ends_ns = atomic_load(&engine->clock.grace_ns);
    if (ends_ns != 0 && cw_clock_monotonic_ns() >= ends_ns) {
        cw_engine_clock_end_grace(engine);
        cw_engine_wake_all(engine);
        (void)fputs("cartwheel: sends go: sources have had their time to come first\n", stderr);
    }
}

static void tell_behind(struct cw_engine_clock *clock)
{
    int64_t behind = -clock->watch.ahead_ns / 1000000;
    int64_t now = clock->watch.now_ns / 1000000;
    atomic_store(&clock->behind_ms, behind > 0 ? behind : 0);
    if (!clock->behind && behind > CW_CLOCK_STEP_MS) {
        clock->behind = true;
        (void)fprintf(stderr,
                      "cartwheel: WARNING: the wall clock is %s behind the engine's, which never "
                      "goes back and goes on from %s; until the wall has caught up, touches go out "
                      "early by it, and quiet hours are off by as much. Is the wall clock right?\n",
                      span_of(behind).text, stamp_of(now).text);
    } else if (clock->behind && behind < CW_CLOCK_STEP_MS / 2) {
        clock->behind = false;
        (void)fprintf(stderr, "cartwheel: the wall clock has caught up with the engine's\n");
    }
}

/* Where a jump is just as large as may be, one clock may follow what another does not believe. */
static bool any_suspect(const struct cw_engine *engine)
{
    bool suspect = engine->clock.watch.suspect;
    for (uint32_t i = 0; i < engine->count && !suspect; i++) {
        suspect = atomic_load_explicit(&engine->cores[i].clock_suspect, memory_order_acquire);
    }
    return suspect;
}

static void tell_suspect(struct cw_engine *engine)
{
    struct cw_engine_clock *clock = &engine->clock;
    int64_t ahead = clock->watch.ahead_ns / 1000000;
    int64_t now = clock->watch.now_ns / 1000000;
    bool suspect = any_suspect(engine);
    bool again = clock->suspect && clock->watch.suspect &&
                 (ahead > clock->told_ms + CW_CLOCK_STEP_MS ||
                  ahead < clock->told_ms - CW_CLOCK_STEP_MS); /* it was set once more */
    atomic_store(&clock->ahead_ms, clock->watch.suspect ? ahead : 0);
    if (suspect && (!clock->suspect || again)) {
        atomic_fetch_add(&clock->steps, clock->suspect ? 0 : 1);
        clock->suspect = true;
        clock->told_ms = ahead;
        say_suspect(clock, stderr, "cartwheel: ");
    } else if (!suspect && clock->suspect) {
        clock->suspect = clock->since_mark = false;
        (void)fprintf(stderr,
                      "cartwheel: the clock is not suspect any more: the engine's time is %s\n",
                      stamp_of(now).text);
    }
}

/* For the next start. Not while sends are let go of, which writes the manifest as well; a snapshot
   has a copy of it. */
static void keep(struct cw_engine *engine)
{
    struct cw_engine_clock *clock = &engine->clock;
    struct cw_fault fault;
    if (engine->durable == NULL || (engine->task.running && engine->task.kind == CW_TASK_RESUME)) {
        return;
    }
    uint32_t held = cw_durable_manifest(engine->durable)->held;
    uint32_t want = clock->suspect ? held | CW_HOLD_CLOCK : held & ~(uint32_t)CW_HOLD_CLOCK;
    if (want == held) {
        return;
    }
    bool failed = cw_durable_hold(engine->durable, want, &fault) != CW_ERR_OK;
    if (failed && !clock->note_failed) {
        (void)fprintf(stderr, "cartwheel: a restart will not know of the clock: %s\n", fault.text);
    }
    clock->note_failed = failed;
}

void cw_engine_clock_tick(struct cw_engine *engine)
{
    struct cw_engine_clock *clock = &engine->clock;
    int64_t offset;
    if (!clock->guarded) {
        return;
    }
    uint32_t confirms = atomic_load(&clock->confirms);
    if (confirms != clock->seen) {
        clock->seen = confirms;
        cw_clock_trust(&clock->watch, atomic_load(&clock->offset));
    }
    (void)cw_clock_now_ms(&clock->watch);
    tell_suspect(engine);
    tell_behind(clock);
    tell_grace(engine);
    if (clock->suspect && cw_clock_synchronised(&offset)) {
        (void)fprintf(stderr, "cartwheel: the kernel says that the wall clock is synchronised\n");
        cw_engine_clock_confirm(engine, offset);
    }
    keep(engine);
}

/* ---- counters ---- */

bool cw_engine_clock_counter(const struct cw_core *core, uint32_t index, const char **name,
                             const char **help, uint64_t *value)
{
    const struct cw_engine_clock *clock = &core->engine->clock;
    bool first = core->index == 0; /* which tells what is not a core's */

    const struct {
        const char *name, *help;
        uint64_t value;
    } list[] = {{"clock_suspect", "Cores that hold their sends since the wall clock jumped ahead.",
                 clock->guarded && core->clock.suspect},
                {"clock_ahead_ms", "How far a wall clock that is not believed is ahead.",
                 first ? (uint64_t)atomic_load(&clock->ahead_ms) : 0},
                {"clock_behind_ms",
                 "How far the wall clock is behind the engine's, which waits for it.",
                 first ? (uint64_t)atomic_load(&clock->behind_ms) : 0},
                {"clock_steps_total", "Jumps of the wall clock for which sends were held.",
                 first ? atomic_load(&clock->steps) : 0}};

    if (index >= CW_COUNTOF(list)) {
        return false;
    }
    *name = list[index].name;
    *help = list[index].help;
    *value = list[index].value;
    return true;
}
