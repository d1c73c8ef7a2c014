/*
 * Records into pipelines, a batch for each at a time: records of one pipeline stay in their order,
 * and that is all that loading asks for.
 */
#include "io/clock.h"
#include "tools/durable_priv.h"

/* Batches of each pipeline; the records lead into the bytes that are being read. */
struct batches {
    struct cw_durable_load *load;
    uint32_t counts[CW_MESH_SHARDS_MAX];
    struct cw_record records[CW_MESH_SHARDS_MAX][CW_LOAD_BATCH];
};

static bool flush(struct batches *batches, uint32_t to)
{
    uint32_t count = batches->counts[to];
    batches->counts[to] = 0;
    return cw_pipeline_load_batch(batches->load->pipelines[to], batches->records[to], count,
                                  batches->load->fault) == CW_ERR_OK;
}

/* The next of that pipeline was read to where it belongs. */
static bool added(struct batches *batches, uint32_t to)
{
    return ++batches->counts[to] < CW_LOAD_BATCH || flush(batches, to);
}

static struct cw_record *next_of(struct batches *batches, uint32_t to)
{
    return &batches->records[to][batches->counts[to]];
}

static bool add(struct batches *batches, uint32_t to, const struct cw_record *record)
{
    *next_of(batches, to) = *record;
    return added(batches, to);
}

/* Where it belongs; what belongs to all cores goes to each. */
static bool deal(struct batches *batches, const struct cw_record *record)
{
    const struct cw_durable_load *load = batches->load;
    uint32_t partition = 0;
    if (cw_persist_owner(record, load->options->partitions, &partition)) {
        return add(batches, partition % load->options->cores, record);
    }
    for (uint32_t i = 0; i < load->options->cores; i++) {
        if (!add(batches, i, record)) {
            return false;
        }
    }
    return true;
}

static bool load_all(struct cw_durable_load *load, struct cw_view records)
{
    struct batches batches;
    batches.load = load;
    memset(batches.counts, 0, load->options->cores * sizeof batches.counts[0]);
    struct cw_record dealt;
    enum cw_record_read read;
    for (;;) { /* bounded: a record each time */
        /* Where there are as many cores as before, every row is its own core's still. */
        struct cw_record *record = load->same ? next_of(&batches, load->from) : &dealt;
        read = cw_record_next(&records, record);
        if (read != CW_RECORD_READ) {
            break;
        }
        load->rows++;
        if (!(load->same ? added(&batches, load->from) : deal(&batches, record))) {
            return false;
        }
    }
    for (uint32_t i = 0; i < load->options->cores; i++) {
        if (batches.counts[i] > 0 && !flush(&batches, i)) {
            return false;
        }
    }
    if (read == CW_RECORD_BAD) {
        (void)cw_fail(load->fault, CW_ERR_CORRUPT, "a record is none");
    }
    return read == CW_RECORD_END;
}

bool cw_durable_load_records(void *with, struct cw_view records)
{
    struct cw_durable_load *load = with;
    uint64_t began_ns = cw_clock_monotonic_ns();
    bool good = load_all(load, records);
    load->phases.rows_ns += cw_clock_monotonic_ns() - began_ns;
    return good;
}

void cw_durable_load_expect(void *with, const uint64_t *rows, uint32_t tables)
{
    const struct cw_durable_load *load = with;
    CW_ASSERT(load->same);
    cw_pipeline_expect(load->pipelines[load->from], rows, tables);
}

bool cw_durable_load_forget(void *with)
{
    struct cw_durable_load *load = with;
    CW_ASSERT(load->same);
    load->rows = 0;
    load->fault->code = CW_ERR_OK;
    struct cw_pipeline *pipeline = load->pipelines[load->from];
    return cw_pipeline_unload(pipeline, load->fault) == CW_ERR_OK &&
           cw_durable_renew_memory(load->durable, load->from, pipeline, load->fault) == CW_ERR_OK;
}
