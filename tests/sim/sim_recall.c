#define _GNU_SOURCE 1 /* memmem */
/* sim_recall: what must hold of the engine's whole state: when it comes back, and at the end. */
#include "pipeline/service_priv.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct cw_pipeline *pipeline_of(const struct sim *sim, uint32_t core)
{
    return cw_service_pipeline(sim->machine.core[core].service);
}

/* ---- 2: the recovered state is that of a commit not older than the last acknowledged ---- */

/* The state at that commit: the latest mark that is not after it; NULL: it is not known. Frames
   without changes (seals) have the state of the one before. */
static const struct sim_mark *mark_at(const struct sim *sim, uint32_t core, uint64_t lsn)
{
    const struct sim_last *last = &sim->last;
    const struct sim_mark *best = NULL;
    for (uint32_t i = 0; i < SIM_MARKS && i < last->mark_count[core]; i++) {
        const struct sim_mark *mark = &last->marks[core][i];
        if (mark->lsn <= lsn && (best == NULL || mark->lsn >= best->lsn)) {
            best = mark;
        }
    }
    return best;
}

/* Ids of events about products are on all cores, and each forgets them by itself: of these more may
   come back than there were, to be forgotten again (persist.c), but none may be missing. */
static bool is_of_products(struct cw_view line)
{
    static const char begin[] = "seen 650000";
    return line.bytes > sizeof begin && memcmp(line.data, begin, sizeof begin - 1) == 0;
}

/* The line that begins there; without bytes at the end. */
static struct cw_view line_at(const struct cw_text *text, size_t at)
{
    struct cw_view line = {.data = text->data + at};
    const char *end = at < text->bytes ? memchr(line.data, '\n', text->bytes - at) : NULL;
    line.bytes = end != NULL ? (uint32_t)(end + 1 - line.data) : 0;
    return line;
}

static int shown(struct cw_view line)
{
    return line.bytes > 200 ? 200 : (int)line.bytes - (line.bytes > 0);
}

static void compare_dump(struct sim *sim, uint32_t core, const struct cw_text *had)
{
    struct cw_text has = {0};
    cw_pipeline_dump(pipeline_of(sim, core), &has);
    bool equal =
        has.bytes == had->bytes && (has.bytes == 0 || memcmp(has.data, had->data, has.bytes) == 0);
    for (size_t i = 0, k = 0; !equal && (i < had->bytes || k < has.bytes);) {
        struct cw_view a = line_at(had, i);
        struct cw_view b = line_at(&has, k);
        if (cw_view_equal(a, b)) {
            i += a.bytes;
            k += b.bytes;
        } else if (is_of_products(b)) {
            k += b.bytes;
        } else {
            sim_fail(sim, "state", "core %u came back other than it was: had %.*s, has %.*s", core,
                     shown(a), a.data, shown(b), b.data);
        }
    }
    cw_text_deinit(&has);
}

static void compare_fates(struct sim *sim, uint32_t core, const struct cw_fates *had)
{
    const struct cw_fates *has = cw_pipeline_fates(pipeline_of(sim, core));
    const uint64_t *a = (const uint64_t *)had;
    const uint64_t *b = (const uint64_t *)has;
    for (uint32_t i = 0; i < sizeof *had / sizeof *a; i++) {
        if (a[i] != b[i]) {
            sim_fail(sim, "state", "core %u: counter %u was %llu and comes back as %llu", core, i,
                     (unsigned long long)a[i], (unsigned long long)b[i]);
        }
    }
}

/* Numbers of commits have no gap: what comes back is between the last durable and the last
   submitted. False: damage took the very last frame, which nobody can tell from a torn one;
   or the last ones, where there was damage to each. */
static bool check_lsn(struct sim *sim, uint32_t core, uint64_t lsn)
{
    const struct sim_last *last = &sim->last;
    uint64_t most = last->submitted[core] + (last->clean ? 1 : 0); /* a frame says that it is */
    if (lsn > most) {
        sim_fail(sim, "state", "core %u comes back at commit %llu, and %llu is the last", core,
                 (unsigned long long)lsn, (unsigned long long)most);
    }
    if (lsn >= last->durable[core]) {
        return true;
    }
    if (lsn + last->damages >= last->durable[core]) {
        sim->totals.tail_lost++;
        return false;
    }
    sim_fail(sim, "acknowledged", "core %u comes back at commit %llu, and %llu was durable", core,
             (unsigned long long)lsn, (unsigned long long)last->durable[core]);
}

static bool recovered_same(struct sim *sim)
{
    bool whole = true;
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        struct cw_commit commit = cw_store_commit(sim->machine.core[i].store);
        uint64_t lsn = commit.durable(commit.self);
        whole = check_lsn(sim, i, lsn) && whole;
        struct sim_mark *mark = (struct sim_mark *)(uintptr_t)mark_at(sim, i, lsn);
        if (mark == NULL || sim->last.version != sim->machine.version) {
            sim->totals.uncompared++;
            continue;
        }
        sim->totals.compared++;
        sim_say(sim, "core %u is back at commit %llu, compared with %llu, %llu seen", i,
                (unsigned long long)lsn, (unsigned long long)mark->lsn,
                (unsigned long long)cw_table_count(pipeline_of(sim, i)->seen));
        compare_dump(sim, i, &mark->dump);
        if (mark->counted) {
            compare_fates(sim, i, &mark->fates);
        }
    }
    return whole;
}

static int by_line(const void *a, const void *b)
{
    return cw_view_compare(*(const struct cw_view *)a, *(const struct cw_view *)b);
}

/* Of two lines that stand together: sends are held on all cores again when they were on one, and
   the power may have failed when only that one had it on its disk. */
static bool held_by_next(struct cw_view line, struct cw_view next)
{
    static const char begin[] = "keeps ";
    return line.bytes == next.bytes && line.bytes > sizeof begin &&
           memcmp(line.data, begin, sizeof begin - 1) == 0 &&
           memcmp(line.data, next.data, line.bytes - 2) == 0 && line.data[line.bytes - 2] == '0' &&
           next.data[line.bytes - 2] == '1';
}

/* Lines of several dumps: sorted, each once. */
static void merge_lines(const struct cw_text *all, struct cw_text *out)
{
    size_t count = 0;
    struct cw_view *lines = malloc((all->bytes + 1) * sizeof *lines);
    CW_ASSERT(lines != NULL);
    for (size_t at = 0; at < all->bytes;) {
        lines[count] = line_at(all, at);
        at += lines[count].bytes;
        /* What was told to all cores had come to some of them only when they went down. */
        bool shared = is_of_products(lines[count]) || memcmp(lines[count].data, "product ", 8) == 0;
        count += !shared;
    }
    qsort(lines, count, sizeof *lines, by_line);
    cw_text_clear(out);
    for (size_t i = 0; i < count; i++) {
        const struct cw_view *next = i + 1 < count ? &lines[i + 1] : NULL;
        if (next == NULL || !(cw_view_equal(lines[i], *next) || held_by_next(lines[i], *next))) {
            cw_text_view(out, lines[i]);
        }
    }
    free(lines);
}

/* The old cores' states together; each was at its last durable commit, or at the last submitted, by
   the bits of `later`. False: one of them is not known. */
static bool merge_before(const struct sim *sim, uint32_t later, struct cw_text *out)
{
    const struct sim_last *last = &sim->last;
    struct cw_text all = {0};
    bool known = true;
    for (uint32_t i = 0; i < last->cores && known; i++) {
        uint64_t lsn = (later >> i & 1) != 0 ? last->submitted[i] : last->durable[i];
        const struct sim_mark *mark = mark_at(sim, i, lsn);
        known = mark != NULL;
        if (known) {
            cw_text_put(&all, mark->dump.data, mark->dump.bytes);
        }
    }
    merge_lines(&all, out);
    cw_text_deinit(&all);
    return known;
}

/* Cores whose state at the last submitted commit is another than at the last durable one. */
static uint32_t two_states(const struct sim *sim)
{
    const struct sim_last *last = &sim->last;
    uint32_t cores = 0;
    for (uint32_t i = 0; i < last->cores; i++) {
        bool two = mark_at(sim, i, last->submitted[i]) != mark_at(sim, i, last->durable[i]);
        cores |= (uint32_t)two << i;
    }
    return cores;
}

/* How many bytes are equal from the beginning; all: SIZE_MAX. */
static size_t equal_bytes(const struct cw_text *a, const struct cw_text *b)
{
    size_t same = 0;
    if (a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0)) {
        return SIZE_MAX;
    }
    while (same < a->bytes && same < b->bytes && a->data[same] == b->data[same]) {
        same++;
    }
    return same;
}

static struct cw_view line_around(const struct cw_text *text, size_t at)
{
    at = at > text->bytes ? text->bytes : at;
    while (at > 0 && text->data[at - 1] != '\n') {
        at--;
    }
    return line_at(text, at);
}

/* The state that comes nearest is shown when none is equal. */
static void compare_dealt(struct sim *sim, const struct cw_text *has)
{
    struct cw_text had = {0};
    size_t best = 0;
    uint32_t nearest = 0;
    uint32_t two = two_states(sim);
    for (uint32_t later = 0; later < 1u << sim->last.cores; later++) {
        if ((later & ~two) != 0) { /* the same as without those bits */
            continue;
        }
        if (!merge_before(sim, later, &had)) {
            sim->totals.uncompared++;
            cw_text_deinit(&had);
            return;
        }
        size_t same = equal_bytes(&had, has);
        if (same == SIZE_MAX) {
            sim->totals.compared++;
            cw_text_deinit(&had);
            return;
        }
        nearest = same > best ? later : nearest;
        best = same > best ? same : best;
    }
    (void)merge_before(sim, nearest, &had);
    struct cw_view a = line_around(&had, best);
    struct cw_view b = line_around(has, best);
    sim_fail(sim, "state",
             "dealt out from %u cores to %u it is other than it was: had %.*s, has %.*s",
             sim->last.cores, sim->machine.cores, shown(a), a.data, shown(b), b.data);
}

static bool nothing(void *with, struct cw_view records)
{
    (void)with;
    (void)records;
    return true;
}

/* Dealt out, commits are numbered anew, and which the old logs ended with cannot be asked any more.
   So a copy of them is read before: nothing that the run depends on changes by that. Before each
   try, as a power failure in the one before may have taken what a lying disk had not written. */
void sim_look_before(struct sim *sim)
{
    struct sim_last *last = &sim->last;
    struct cw_durable_files files = sim_files(sim);
    struct cw_manifest manifest;
    struct cw_fault fault;
    bool alike;
    if (!last->any || !last->damaged || last->cores == sim->machine.cores ||
        files.load(files.self, &manifest, &alike, &fault) != CW_ERR_OK ||
        manifest.epoch != last->epoch) {
        return;
    }
    struct sim_storage real = sim->storage;
    sim_storage_after(sim, &sim->storage, &real, false);
    last->looked = true;
    for (uint32_t i = 0; i < last->cores; i++) { /* one that is refused here is refused there */
        struct cw_checkpoint_found checkpoint = {0};
        struct cw_log_found log = {0};
        cw_err err =
            cw_durable_scan(&files, &manifest, i, nothing, NULL, &checkpoint, &log, &fault);
        last->looked = last->looked && err == CW_ERR_OK;
        last->left[i] = log.last_lsn > checkpoint.end ? log.last_lsn : checkpoint.end;
    }
    sim_storage_free(&sim->storage);
    sim->storage = real;
}

static bool recovered_dealt(struct sim *sim)
{
    struct cw_text all = {0};
    struct cw_text has = {0};
    bool whole = true;
    for (uint32_t i = 0; i < sim->last.cores && sim->last.looked; i++) {
        whole = check_lsn(sim, i, sim->last.left[i]) && whole;
    }
    if (!whole || sim->last.version != sim->machine.version) {
        sim->totals.uncompared++;
        return whole;
    }
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        cw_pipeline_dump(pipeline_of(sim, i), &all);
    }
    merge_lines(&all, &has);
    compare_dealt(sim, &has);
    cw_text_deinit(&all);
    cw_text_deinit(&has);
    return whole;
}

bool sim_check_recovered(struct sim *sim, const struct cw_durable_found *found)
{
    bool whole = true;
    if (!sim->last.any || found->fresh) {
        if (sim->last.any) {
            sim_fail(sim, "state", "nothing comes back");
        }
        return true;
    }
    if (sim->last.restored) { /* as it was when the copy was made: nobody kept that */
        sim->last.restored = false;
        sim->totals.uncompared++;
    } else if (sim->last.epoch == found->manifest.epoch && sim->last.cores == sim->machine.cores) {
        whole = recovered_same(sim);
    } else {
        whole = recovered_dealt(sim);
    }
    return whole;
}

/* ---- 9: sums ---- */

/* All of it is looked at, and little of it was ever touched: real at once, not page by page. */
static void populate(const struct cw_pipeline *p)
{
#ifdef MADV_POPULATE_READ
    const uintptr_t page = 4096;
    uintptr_t from = (uintptr_t)p->index / page * page;
    uintptr_t bytes = (uintptr_t)(p->index + 1) - from;
    (void)madvise((void *)from, bytes, MADV_POPULATE_READ);
#else
    (void)p;
#endif
}

void sim_check_sums(struct sim *sim)
{
    struct cw_fates sum = {0};
    uint64_t in_flight = 0;
    uint64_t pending = 0;
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        uint64_t here[2];
        populate(pipeline_of(sim, i));
        if (!cw_pipeline_check(pipeline_of(sim, i))) {
            sim_fail(sim, "sums", "core %u's rows contradict each other", i);
        }
        cw_pipeline_count(pipeline_of(sim, i), &here[0], &here[1]);
        in_flight += here[0];
        pending += here[1];
        cw_fates_add(&sum, cw_pipeline_fates(pipeline_of(sim, i)));
    }
    const char *wrong = cw_fates_reconcile(&sum, in_flight, pending);
    if (wrong != NULL) {
        sim_fail(sim, "sums", "%s", wrong);
    }
}

/* ---- 3 and 8: messages ---- */

const struct cw_candidate_row *sim_candidate_of(const struct sim *sim,
                                                const struct sim_message *message)
{
    struct cw_view id = {message->key, CW_POST_KEY_BYTES};
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        struct cw_pipeline *p = pipeline_of(sim, i);
        cw_row found = cw_message_find(p, id, 0);
        if (found == CW_ROW_NONE) {
            continue;
        }
        const struct cw_message_row *row = cw_message_at(p, found);
        cw_row candidate = cw_candidate_by_serial(p, cw_message_owner(row), row->serial);
        if (candidate != CW_ROW_NONE) {
            CW_ASSERT(row->touch == message->touch);
            return cw_candidate_at(p, candidate);
        }
    }
    return NULL;
}

/* What the engine knows of a message; NULL: nothing. */
static const struct cw_touch_row *touch_of(const struct sim *sim, const struct sim_message *message)
{
    const struct cw_candidate_row *candidate = sim_candidate_of(sim, message);
    return candidate != NULL ? &cw_candidate_touches(candidate)[message->touch - 1] : NULL;
}

void sim_check_intents(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->message_count; i++) {
        const struct sim_message *message = &sim->messages[i];
        if (message->received == 0 || message->lost || sim->customers[message->customer].erasing) {
            continue;
        }
        const struct cw_touch_row *touch = touch_of(sim, message);
        if (touch == NULL || (uint32_t)(touch->attempts - touch->untried) < message->received) {
            sim_fail(sim, "intent", "attempt %u of %.36s is with the provider, and the state %s",
                     message->received, message->key,
                     touch == NULL ? "does not know the message" : "knows of fewer attempts");
        }
    }
}

static void check_entry(struct sim *sim, const struct sim_message *message,
                        const struct cw_touch_row *touch)
{
    const char *wrong = NULL;
    uint32_t attempts = touch->attempts - touch->untried;
    bool sent = touch->state == CW_TOUCH_SENT;
    bool open = touch->state == CW_TOUCH_UNKNOWN || touch->state == CW_TOUCH_SENDING;
    if (sent && message->deliveries == 0) {
        wrong = "sent, and the provider never took it";
    } else if (message->told[CW_POSTED_SENT] && !sent) {
        wrong = "not sent, and the provider said that it is";
    } else if (!sent && !open && message->deliveries > 0) {
        wrong = "given up, and the provider has it";
    } else if (attempts < message->received || attempts > message->posted) {
        wrong = "tried another number of times than the provider saw";
    }
    if (wrong != NULL) {
        sim_fail(sim, "ledger", "%.36s is %s (state %u, %u attempts; %u posted, %u received, %u "
                 "delivered)",
                 message->key, wrong, touch->state, attempts, message->posted, message->received,
                 message->deliveries);
    }
}

/* 8: the engine's ledger and the provider's book agree, but for what is in doubt. */
void sim_check_ledger(struct sim *sim)
{
    uint64_t sent = 0;
    for (uint32_t i = 0; i < sim->message_count; i++) {
        const struct sim_message *message = &sim->messages[i];
        const struct cw_touch_row *touch = touch_of(sim, message);
        if (sim->customers[message->customer].erasing) {
            continue;
        }
        if (touch != NULL) {
            sent += touch->state == CW_TOUCH_SENT;
        }
        if (touch != NULL && !message->lost) {
            check_entry(sim, message, touch);
        } else if (touch == NULL && message->received > 0 && !message->lost) {
            sim_fail(sim, "ledger", "%.36s is with the provider and not in the ledger",
                     message->key);
        }
    }
    for (uint32_t i = 0; i < sim->machine.cores; i++) { /* and none that no provider knows */
        struct cw_pipeline *p = pipeline_of(sim, i);
        uint64_t cursor = 0;
        cw_row row;
        while ((row = cw_table_next(p->candidates, &cursor)) != CW_ROW_NONE) {
            const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
            for (uint32_t t = 0; t < candidate->touch_count; t++) {
                sent -= cw_candidate_touches(candidate)[t].state == CW_TOUCH_SENT;
            }
        }
    }
    if (sent != 0) {
        sim_fail(sim, "ledger", "the ledger has %lld messages as sent that no provider knows",
                 -(long long)sent);
    }
}

/* 10: once faults have stopped every touch ends and every request is answered. */
void sim_check_ended(struct sim *sim)
{
    if (sim->open != NULL) {
        sim_fail(sim, "ended", "request %llu is not answered",
                 (unsigned long long)sim->open->request.token);
    }
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        uint64_t in_flight;
        uint64_t pending;
        cw_pipeline_count(pipeline_of(sim, i), &in_flight, &pending);
        uint64_t sending = cw_pipeline_fates(pipeline_of(sim, i))->sending;
        if (in_flight + pending + sending > 0) {
            sim_fail(sim, "ended",
                     "core %u has %llu candidates in flight, %llu touches pending, %llu being sent",
                     i, (unsigned long long)in_flight, (unsigned long long)pending,
                     (unsigned long long)sending);
        }
    }
}

/* ---- 14: pools ---- */

static void check_empty(struct sim *sim, uint32_t core, const struct cw_table *table,
                        const char *name)
{
    struct cw_table_stats stats;
    cw_table_stats(table, &stats);
    if (stats.rows > 0 || stats.row_bytes_used > 0) {
        sim_fail(sim, "pools", "core %u has %llu rows of %llu bytes in %s, and all is over", core,
                 (unsigned long long)stats.rows, (unsigned long long)stats.row_bytes_used, name);
    }
}

/* Batches of a pair that are not at home with their maker. */
static uint32_t away(struct cw_mesh *mesh, uint32_t from, uint32_t to)
{
    struct cw_batch *batches[CW_MESH_BATCHES];
    uint32_t home = 0;
    while (home < CW_MESH_BATCHES &&
           (batches[home] = cw_mesh_acquire(mesh, from, to)) != NULL) {
        home++;
    }
    for (uint32_t i = home; i-- > 0;) { /* as they were */
        cw_mesh_release(mesh, batches[i]);
    }
    return CW_MESH_BATCHES - home;
}

static void check_core(struct sim *sim, uint32_t core)
{
    struct cw_service *service = sim->machine.core[core].service;
    const struct cw_pipeline *p = cw_service_pipeline(service);
    struct cw_store_stats store;
    cw_store_stats(sim->machine.core[core].store, &store);
    const struct {
        const char *what;
        uint64_t count;
    } left[] = {{"open requests", service->open_count},
                {"open requests of many bytes", service->heavy_count},
                {"bytes of open requests", service->text_bytes},
                {"results to be taken in", service->unsent_count},
                {"batches whose commit is awaited", sim->machine.shards[core].held_count},
                {"bytes to be committed", store.pending_bytes},
                {"timers", cw_wheel_count(p->wheel)}};
    for (uint32_t i = 0; i < CW_COUNTOF(left); i++) {
        if (left[i].count > 0) {
            sim_fail(sim, "pools", "core %u has %llu %s left, and nothing is to be done", core,
                     (unsigned long long)left[i].count, left[i].what);
        }
    }
    for (uint32_t to = 0; to < sim->machine.cores; to++) {
        uint32_t batches = away(sim->machine.mesh, core, to);
        if (batches > 0) {
            sim_fail(sim, "pools", "%u batches from core %u to core %u never came home", batches,
                     core, to);
        }
    }
    check_empty(sim, core, p->carts, "carts");
    check_empty(sim, core, p->candidates, "candidates");
    check_empty(sim, core, p->dedup, "dedup");
    check_empty(sim, core, p->scores, "scores");
    check_empty(sim, core, p->messages, "messages");
    check_empty(sim, core, p->links, "links");
    check_empty(sim, core, p->seen, "seen");
}

/* Everything is over and forgotten: what it took is given back. Customers and products stay. */
void sim_check_pools(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        check_core(sim, i);
    }
}

/* ---- 11: erasures ---- */

struct searched {
    struct sim *sim;
    struct cw_fault_disk *disk;
    uint32_t customer;
};

static void search_file(void *with, const char *name, uint64_t bytes)
{
    const struct searched *searched = with;
    char text[32];
    int length = snprintf(text, sizeof text, " of c%u;", searched->customer);
    uint64_t size = 0;
    const uint8_t *at = cw_fault_disk_bytes(searched->disk, name, &size);
    (void)bytes;
    if (size > 0 && memmem(at, size, text, (size_t)length) != NULL) {
        sim_fail(searched->sim, "erased", "the name of c%u, who was erased, is still in %s",
                 searched->customer, name);
    }
}

/* Who was erased is in no file any more, once the checkpoints that this asks for are made. One that
   a stop or a crash interrupted is left to later checkpoints, see store.h. */
void sim_check_erased(struct sim *sim)
{
    const struct sim_machine *machine = &sim->machine;
    for (uint32_t i = 0; i < SIM_CUSTOMERS_MAX; i++) {
        const struct sim_customer *of = &sim->customers[i];
        if (!of->erased_acked || of->erasing_turn < machine->up_turn) {
            continue;
        }
        for (uint32_t d = 0; d < sim->storage.count; d++) {
            struct searched searched = {sim, sim->storage.dirs[d].disk, i};
            struct cw_disk port = cw_fault_disk_port(searched.disk);
            (void)port.list(port.self, search_file, &searched);
        }
    }
}

/* Whoever was erased is looked for by checkpoints of the epoch that counts alone: so a start leaves
   no other, whatever became of the starts before it. 15: and no slot says of an epoch that is none,
   which would pass for a first start where the other one is lost. */
void sim_check_epochs(struct sim *sim)
{
    uint64_t epoch = cw_durable_manifest(sim->machine.durable)->epoch;
    for (uint32_t i = 0; i < 2; i++) {
        struct cw_manifest slot;
        struct cw_fault fault;
        struct cw_view text = {sim->storage.slots[i], sim->storage.slot_bytes[i]};
        if (cw_manifest_read(&slot, text, &fault) == CW_ERR_OK && slot.epoch == 0) {
            sim_fail(sim, "manifest", "epoch %llu counts, and slot %u is of none",
                     (unsigned long long)epoch, i);
        }
    }
    for (uint32_t i = 0; i < sim->storage.count; i++) {
        if (sim->storage.dirs[i].epoch != epoch) {
            sim_fail(sim, "erased", "epoch %llu counts, and files of epoch %llu are left",
                     (unsigned long long)epoch, (unsigned long long)sim->storage.dirs[i].epoch);
        }
    }
}
