/* An engine file of any bytes: it is within its bounds, or every error has its place. */
#include "core/mesh.h"
#include "tools/engine_file.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/cartwheel-fuzz-XXXXXX";
static char path[sizeof folder + sizeof "/engine.yaml"];

/* What a file may name. */
static const char *const directories[] = {"models", "templates"};
static const char *const files[] = {"p.yaml", "secret", "short"};

static const char *inside(const char *name)
{
    static char whole[sizeof folder + 32];
    (void)snprintf(whole, sizeof whole, "%s/%s", folder, name);
    return whole;
}

static void remove_folder(void)
{
    for (uint32_t i = 0; i < CW_COUNTOF(files); i++) {
        (void)unlink(inside(files[i]));
    }
    for (uint32_t i = 0; i < CW_COUNTOF(directories); i++) {
        (void)rmdir(inside(directories[i]));
    }
    (void)rmdir(folder);
}

static void make_folder(void)
{
    CW_ASSERT(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
    for (uint32_t i = 0; i < CW_COUNTOF(directories); i++) {
        CW_ASSERT(mkdir(inside(directories[i]), 0700) == 0);
    }
    for (uint32_t i = 0; i < CW_COUNTOF(files); i++) {
        FILE *file = fopen(inside(files[i]), "wb");
        CW_ASSERT(file != NULL);
        (void)fputs(strcmp(files[i], "short") == 0 ? "short" : "long enough\n", file);
        (void)fclose(file);
    }
    CW_ASSERT(setenv("CW_FUZZ_SECRET", "long enough", 1) == 0);
    (void)snprintf(path, sizeof path, "%s", inside("engine.yaml"));
}

/* Secrets are read where the file says: it is to name nothing outside, where a read may wait. */
static bool stays_inside(struct cw_view yaml, uint32_t *keys)
{
    struct cw_problems problems = {0};
    struct cw_fault fault;
    struct cw_yaml *doc = NULL;
    bool inside = true;
    *keys = 0;
    if (cw_yaml_open(&doc, yaml, path, &problems, &fault) == CW_ERR_OK) {
        *keys = doc->nodes[0].type == CW_YAML_MAPPING ? doc->nodes[0].count : 0;
        for (uint32_t i = 0; i < doc->count && inside; i++) {
            const struct cw_yaml_node *node = &doc->nodes[i];
            inside = node->type != CW_YAML_SCALAR ||
                     (node->text.data[0] != '/' && strstr(node->text.data, "..") == NULL);
        }
        cw_yaml_close(doc);
    }
    cw_problems_deinit(&problems);
    return inside;
}

static void check_problems(const struct cw_problems *problems)
{
    CW_ASSERT(problems->count <= CW_PROBLEMS_MAX);
    uint32_t errors = 0;
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct cw_problem *problem = &problems->list[i];
        errors += !problem->remark;
        CW_ASSERT(problem->line > 0 && problem->column > 0 && strcmp(problem->file, path) == 0);
        CW_ASSERT(problem->text[0] != '\0');
        for (const char *c = problem->text; *c != '\0'; c++) { /* they go to a terminal */
            CW_ASSERT((uint8_t)*c >= ' ' && *c != '\x7F');
        }
    }
    CW_ASSERT(errors <= problems->errors && problems->count - errors <= problems->remarks);
    CW_ASSERT(problems->count == CW_PROBLEMS_MAX ||
              problems->count == problems->errors + problems->remarks);
}

/* Not told, or some text that ends where it says. */
static bool is_text(struct cw_view text)
{
    return text.data == NULL || (text.bytes > 0 && strlen(text.data) == text.bytes);
}

static bool begins(struct cw_view text, const char *with)
{
    size_t bytes = strlen(with);
    return text.bytes > bytes && memcmp(text.data, with, bytes) == 0;
}

static bool is_web(struct cw_view text)
{
    return begins(text, "https://") || begins(text, "http://");
}

static bool is_secret(struct cw_view text)
{
    return text.data == NULL || (text.bytes >= 8 && text.data[text.bytes] == '\0');
}

static void check_names(const struct cw_event_names *names)
{
    for (uint32_t i = 0; i < CW_EVENT_TYPE_COUNT; i++) {
        struct cw_view source = names->of[i].source;
        struct cw_view type = names->of[i].type;
        CW_ASSERT(source.bytes > 0 && source.bytes <= CW_ID_BYTES_MAX && is_text(source));
        CW_ASSERT(type.bytes > 0 && type.bytes <= CW_ID_BYTES_MAX && is_text(type));
        for (uint32_t j = 0; j < i; j++) {
            CW_ASSERT(!cw_view_equal(source, names->of[j].source) ||
                      !cw_view_equal(type, names->of[j].type));
        }
    }
}

static void check_channel(const struct cw_channel_options *row, enum cw_channel channel)
{
    const struct cw_view *texts[] = {&row->url, &row->user, &row->from, &row->directory,
                                     &row->ca_file};
    for (uint32_t i = 0; i < CW_COUNTOF(texts); i++) {
        CW_ASSERT(is_text(*texts[i]));
    }
    CW_ASSERT(row->type < CW_CHANNEL_TYPE_COUNT && is_secret(row->secret));
    CW_ASSERT(row->timeout_ms >= 100 && row->timeout_ms <= 600000);
    CW_ASSERT(row->under_way_max >= 1 && row->under_way_max <= 1024);
    CW_ASSERT(row->queue_max >= 1 && row->queue_max <= 65536);
    switch (row->type) {
    case CW_CHANNEL_OUTBOX: CW_ASSERT(row->url.data == NULL); break;
    case CW_CHANNEL_SMTP:
        CW_ASSERT(channel == CW_CHANNEL_EMAIL && row->from.data != NULL);
        CW_ASSERT(begins(row->url, "smtp://") || begins(row->url, "smtps://"));
        CW_ASSERT((row->user.data == NULL) == (row->secret.data == NULL));
        break;
    case CW_CHANNEL_WEBHOOK: CW_ASSERT(is_web(row->url) && row->secret.data != NULL); break;
    case CW_CHANNEL_TYPE_COUNT: CW_ASSERT(false);
    }
}

static void check_server(const struct cw_engine_live *live)
{
    CW_ASSERT(live->listener_count <= CW_LISTENERS_MAX);
    for (uint32_t i = 0; i < live->listener_count; i++) {
        const struct cw_listener *listener = &live->listeners[i];
        CW_ASSERT(listener->kind < CW_REQUEST_KIND_COUNT && listener->address.data != NULL);
        CW_ASSERT(strlen(listener->address.data) == listener->address.bytes);
    }
    CW_ASSERT(live->limits.body_bytes >= 4096 && live->limits.body_bytes <= 67108864);
    CW_ASSERT(live->limits.line_bytes >= 4096 && live->limits.line_bytes <= 67108864);
    CW_ASSERT(live->limits.connections >= 1 && live->limits.connections <= 1000000);
    CW_ASSERT(live->limits.connections_per_address >= 1);
    CW_ASSERT(live->limits.unanswered >= 1 && live->limits.unanswered <= 8192);
    CW_ASSERT(live->limits.idle_ms >= 1000 && live->limits.head_ms >= 1000);
    CW_ASSERT(live->credential_count <= CW_CREDENTIALS_MAX);
    for (uint32_t i = 0; i < live->credential_count; i++) {
        const struct cw_engine_credential *credential = &live->credentials[i];
        CW_ASSERT(credential->id.data != NULL && is_text(credential->id));
        CW_ASSERT(credential->secret.data != NULL && is_secret(credential->secret));
        CW_ASSERT(credential->role >= CW_ROLE_REPORT && credential->role <= CW_ROLE_ADMIN);
    }
}

static void check_live(const struct cw_engine_live *live)
{
    check_server(live);
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        check_channel(&live->channels[i], (enum cw_channel)i);
        CW_ASSERT(live->rates[i] >= 0 && live->rates[i] <= 1000000);
    }
    CW_ASSERT(live->state != NULL && live->state[0] != '\0');
    CW_ASSERT(live->link_base.data == NULL ||
              (is_web(live->link_base) && is_text(live->link_base)));
    CW_ASSERT(is_secret(live->link_secret) && live->cores <= CW_MESH_SHARDS_MAX);
    CW_ASSERT(live->clock <= CW_CLOCK_ACCELERATED);
    CW_ASSERT(live->clock_factor >= 1 && live->clock_factor <= 1e6);
    CW_ASSERT(live->downtime_ms_max > 0 && live->grace_ms <= 3600000);
    CW_ASSERT(live->dead_letter_bytes <= 1000000000000);
    CW_ASSERT(live->checkpoint_bytes >= 1 << 20 && live->checkpoint_bytes <= 1000000000000);
    CW_ASSERT(!live->durability_none || (!live->durability_os && live->snapshots.every_ms == 0));
    CW_ASSERT(live->snapshots.every_ms == 0 ||
              (live->snapshots.keep >= 1 && live->snapshots.keep <= 10000));
}

static void check_file(const struct cw_engine_file *file)
{
    struct stat found;
    CW_ASSERT(file->models == NULL || (stat(file->models, &found) == 0 && S_ISDIR(found.st_mode)));
    CW_ASSERT(file->templates == NULL ||
              (stat(file->templates, &found) == 0 && S_ISDIR(found.st_mode)));
    CW_ASSERT(file->program_count <= CW_PROGRAMS_MAX);
    for (uint32_t i = 0; i < file->program_count; i++) {
        CW_ASSERT(stat(file->programs[i], &found) == 0 && !S_ISDIR(found.st_mode));
    }
    CW_ASSERT(file->event_bytes_max >= 4096 && file->event_bytes_max <= 67108864);
    CW_ASSERT(file->partitions >= 1 && file->partitions <= 65536);
    CW_ASSERT((file->partitions & (file->partitions - 1)) == 0);
    CW_ASSERT(is_text(file->shop_name) && is_text(file->shop_url));
    CW_ASSERT(file->shop_url.data == NULL || is_web(file->shop_url));
    check_names(&file->names);
    check_live(&file->live);
}

static cw_err parse(struct cw_view yaml, enum cw_secrets secrets)
{
    static struct cw_engine_file file;
    struct cw_problems problems = {0};
    struct cw_fault fault;
    cw_err err = cw_engine_file_parse(&file, yaml, path, secrets, &problems, &fault);
    CW_ASSERT(err == CW_ERR_OK || err == CW_ERR_INVALID);
    CW_ASSERT((err == CW_ERR_OK) == (problems.errors == 0));
    check_problems(&problems);
    if (err == CW_ERR_OK) {
        check_file(&file);
    }
    cw_engine_file_close(&file);
    cw_problems_deinit(&problems);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (path[0] == '\0') {
        make_folder();
    }
    /* A copy of its own size, so that reading past the end is noticed. */
    char *copy = malloc(size == 0 ? 1 : size);
    CW_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    struct cw_view yaml = {copy, (uint32_t)size};
    uint32_t keys;
    if (stays_inside(yaml, &keys)) {
        cw_err err = parse(yaml, CW_SECRETS_ELSEWHERE);
        /* What starts an engine is right for who only looks; and what is right and says something
           is taken for what it is. */
        CW_ASSERT(parse(yaml, CW_SECRETS_NEEDED) != CW_ERR_OK || err == CW_ERR_OK);
        CW_ASSERT(err != CW_ERR_OK || keys == 0 || cw_engine_file_is(yaml));
    }
    free(copy);
    return 0;
}
