/*
 * One thread of the load. Request i is due at start + i * interval, whatever became of those
 * before it, and its latency counts from then: an engine that stands still is charged for all that
 * it keeps waiting, not for one request a connection.
 */
#define _GNU_SOURCE 1 /* epoll_pwait2 */ /* NOLINT */
#include "io/clock.h"
#include "tools/load_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    READY_MAX = 256
};

#define ROUND_NS     UINT64_C(50000000) /* how often time-outs and lost connections are seen to */
#define RECONNECT_NS UINT64_C(100000000)

struct schedule {
    uint64_t start_ns, count, next;
    double interval_ns;
    uint64_t drain_ns; /* when waiting for answers ends */
    uint64_t round_ns; /* when the next round is */
    bool starved;      /* no connection was free */
    uint64_t owed_ns;  /* what was due by then is late through no fault of ours */
};

static struct schedule make_schedule(const struct cw_load_thread *thread)
{
    const struct cw_load_plan *plan = thread->plan;
    double interval = (double)plan->batch * plan->threads * 1e9 / (double)plan->rate;
    struct schedule s = {.interval_ns = interval};
    s.start_ns = plan->start_ns + (uint64_t)(interval * thread->index / plan->threads);
    s.count = (uint64_t)(plan->seconds * 1e9 / interval);
    s.count += s.count == 0;
    s.drain_ns = s.start_ns + (uint64_t)(plan->seconds * 1e9) + CW_LOAD_TIMEOUT_NS;
    return s;
}

static uint64_t due_ns(const struct schedule *schedule, uint64_t index)
{
    return schedule->start_ns + (uint64_t)((double)index * schedule->interval_ns);
}

static void list_if_free(struct cw_load_thread *thread, struct cw_load_connection *connection)
{
    if (!connection->listed && cw_load_free(thread, connection)) {
        uint32_t last = (thread->maybe_first + thread->maybe_count++) % thread->connection_count;
        thread->maybe_free[last] = (uint32_t)(connection - thread->connections);
        connection->listed = true;
    }
}

/* A connection that can take a request, the one that has been free for longest first. */
static struct cw_load_connection *find_free(struct cw_load_thread *thread)
{
    while (thread->maybe_count > 0) {
        CW_ASSERT(thread->maybe_first < thread->connection_count);
        struct cw_load_connection *connection =
            &thread->connections[thread->maybe_free[thread->maybe_first]];
        thread->maybe_first = (thread->maybe_first + 1) % thread->connection_count;
        thread->maybe_count--;
        connection->listed = false;
        if (cw_load_free(thread, connection)) {
            return connection;
        }
    }
    return NULL;
}

/* Sends what is due; false when all is but no connection is free. */
static bool submit_due(struct cw_load_thread *thread, struct schedule *schedule)
{
    uint64_t now_ns = cw_clock_monotonic_ns();
    while (schedule->next < schedule->count && due_ns(schedule, schedule->next) <= now_ns) {
        struct cw_load_connection *connection = find_free(thread);
        if (connection == NULL) {
            schedule->starved = true;
            return false;
        }
        if (schedule->starved) {
            schedule->starved = false;
            schedule->owed_ns = now_ns;
        }
        uint64_t scheduled_ns = due_ns(schedule, schedule->next++);
        if (scheduled_ns > schedule->owed_ns) {
            cw_histogram_add(&thread->result.late, now_ns - scheduled_ns);
        }
        cw_load_submit(thread, connection, thread->plan->batch, scheduled_ns, now_ns);
        list_if_free(thread, connection); /* lines: more than one may be on its way */
        now_ns = cw_clock_monotonic_ns();
    }
    return true;
}

static void do_round(struct cw_load_thread *thread, uint64_t now_ns)
{
    for (uint32_t i = 0; i < thread->connection_count; i++) {
        struct cw_load_connection *connection = &thread->connections[i];
        bool silent = connection->count > 0 &&
                      now_ns - connection->waiting[connection->first].sent_ns > CW_LOAD_TIMEOUT_NS;
        if (silent) {
            cw_load_break(thread, connection, CW_LOAD_ERROR_TIMEOUT, now_ns);
        }
        if (connection->state == CW_LOAD_CONNECTING &&
            now_ns - connection->since_ns > CW_LOAD_TIMEOUT_NS) {
            cw_load_break(thread, connection, CW_LOAD_ERROR_CONNECT, now_ns);
        }
        if (connection->state == CW_LOAD_CLOSED && now_ns - connection->since_ns > RECONNECT_NS) {
            cw_load_connect(thread, connection, now_ns);
        }
    }
}

static bool all_answered(const struct cw_load_thread *thread)
{
    for (uint32_t i = 0; i < thread->connection_count; i++) {
        if (thread->connections[i].count > 0) {
            return false;
        }
    }
    return true;
}

/* Sleeps until a socket has something, a request is due, or the next round. */
static void wait_a_little(struct cw_load_thread *thread, const struct schedule *schedule,
                          bool wait_for_due)
{
    struct epoll_event ready[READY_MAX];
    uint64_t now_ns = cw_clock_monotonic_ns();
    uint64_t until_ns = schedule->round_ns;
    if (wait_for_due && schedule->next < schedule->count) {
        uint64_t due = due_ns(schedule, schedule->next);
        until_ns = due < until_ns ? due : until_ns;
    }
    uint64_t ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec timeout = {.tv_sec = (time_t)(ns / 1000000000),
                               .tv_nsec = (long)(ns % 1000000000)};
    int count = epoll_pwait2(thread->epoll, ready, READY_MAX, &timeout, NULL);
    CW_ASSERT(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) {
        cw_load_handle(thread, ready[i].data.ptr, ready[i].events);
        list_if_free(thread, ready[i].data.ptr);
    }
}

static void end(struct cw_load_thread *thread, struct schedule *schedule)
{
    uint64_t now_ns = cw_clock_monotonic_ns();
    bool stopped = atomic_load_explicit(&thread->plan->stop, memory_order_relaxed);
    thread->result.offered = schedule->next * thread->plan->batch;
    for (; schedule->next < schedule->count && !stopped; schedule->next++) {
        uint64_t scheduled_ns = due_ns(schedule, schedule->next);
        cw_histogram_add(&thread->result.latency, now_ns - scheduled_ns);
        thread->result.errors[CW_LOAD_ERROR_UNSENT] += thread->plan->batch;
        thread->result.offered += thread->plan->batch;
    }
    for (uint32_t i = 0; i < thread->connection_count; i++) {
        struct cw_load_connection *connection = &thread->connections[i];
        cw_load_break(thread, connection, CW_LOAD_ERROR_TIMEOUT, now_ns);
        cw_text_deinit(&connection->out);
        cw_text_deinit(&connection->in);
        cw_http_reader_deinit(&connection->reader);
    }
}

static cw_err open_thread(struct cw_load_thread *thread)
{
    thread->epoll = epoll_create1(EPOLL_CLOEXEC);
    thread->connections = calloc(thread->connection_count, sizeof *thread->connections);
    thread->maybe_free = calloc(thread->connection_count, sizeof *thread->maybe_free);
    if (thread->epoll < 0 || thread->connections == NULL || thread->maybe_free == NULL) {
        return cw_fail(&thread->fault, CW_ERR_LIMIT, "no memory for connections");
    }
    for (uint32_t i = 0; i < thread->connection_count; i++) {
        thread->connections[i].fd = -1;
    }
    return cw_json_open(&thread->parser, CW_ANSWER_BYTES_MAX, 64, &thread->fault);
}

void *cw_load_run(void *self)
{
    struct cw_load_thread *thread = self;
    (void)prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* the default is 50 us */
    thread->err = open_thread(thread);
    if (thread->err == CW_ERR_OK) {
        struct schedule schedule = make_schedule(thread);
        cw_load_head(thread);
        for (uint32_t i = 0; i < thread->connection_count; i++) {
            cw_load_connect(thread, &thread->connections[i], cw_clock_monotonic_ns());
        }
        for (;;) { /* until all is answered, or the time is over */
            bool free_one = submit_due(thread, &schedule);
            wait_a_little(thread, &schedule, free_one);
            uint64_t now_ns = cw_clock_monotonic_ns();
            if (now_ns >= schedule.round_ns) {
                do_round(thread, now_ns);
                schedule.round_ns = now_ns + ROUND_NS;
            }
            if ((schedule.next == schedule.count && all_answered(thread)) ||
                now_ns > schedule.drain_ns ||
                atomic_load_explicit(&thread->plan->stop, memory_order_relaxed)) {
                break;
            }
        }
        end(thread, &schedule);
    }
    cw_json_close(thread->parser);
    free(thread->connections);
    free(thread->maybe_free);
    cw_text_deinit(&thread->body);
    cw_text_deinit(&thread->head);
    if (thread->epoll >= 0) {
        (void)close(thread->epoll);
    }
    return NULL;
}
