#include "tools/durable.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static const char *path(const char *name)
{
    static char at[256];
    (void)snprintf(at, sizeof at, "%s/%s", directory, name);
    return at;
}

static void make(const char *name, bool is_directory)
{
    if (is_directory) {
        cr_assert(mkdir(path(name), 0700) == 0);
        return;
    }
    FILE *file = fopen(path(name), "w");
    cr_assert(file != NULL && fputs("rows", file) >= 0 && fclose(file) == 0);
}

static bool there(const char *name)
{
    return access(path(name), F_OK) == 0;
}

static void make_state(void)
{
    (void)snprintf(directory, sizeof directory, "/tmp/cw-durable-XXXXXX");
    cr_assert(mkdtemp(directory) != NULL);
    make("epoch-00000002", true);
    make("epoch-00000002/core-000", true);
    make("epoch-00000002/core-000/checkpoint-0000000000000007", false);
    make("epoch-00000002/core-001", true);
    make("epoch-00000003", true);
    make("epoch-00000003/core-000", true);
    make("epoch-00000003/core-000/log-0000000000000001", false);
    make("epoch-00000004", true);
    make("epoch-00000004/core-000", true);
    make("manifest.a", false);
}

static cw_err keep(uint64_t epoch)
{
    struct cw_durable_directory of = {.path = directory};
    struct cw_durable_files files = cw_durable_files(&of);
    struct cw_fault fault = {.code = CW_ERR_OK};
    return files.keep(files.self, epoch, &fault);
}

static void clean_up(void)
{
    (void)keep(0); /* no epoch has that number */
    (void)unlink(path("manifest.a"));
    (void)rmdir(path("epoch-3"));
    (void)rmdir(path("epoch-00000003.old"));
    cr_assert(rmdir(directory) == 0);
}

/* Of starts that a crash cut short: the epoch before, and one that was begun. */
Test(durable_files, only_the_epoch_that_counts_is_kept)
{
    make_state();
    cr_assert(keep(3) == CW_ERR_OK);
    cr_assert(there("epoch-00000003/core-000/log-0000000000000001"));
    cr_assert(!there("epoch-00000002") && !there("epoch-00000004"));
    cr_assert(there("manifest.a"));
    cr_assert(keep(3) == CW_ERR_OK, "a second time there is nothing to do");
    clean_up();
}

Test(durable_files, what_is_not_named_as_an_epoch_is_left_alone)
{
    make_state();
    make("epoch-3", true);
    make("epoch-00000003.old", true);
    cr_assert(keep(3) == CW_ERR_OK);
    cr_assert(there("epoch-3") && there("epoch-00000003.old"));
    clean_up();
}

Test(durable_files, what_cannot_be_removed_is_told)
{
    make_state();
    make("epoch-00000002/core-001/deeper", true); /* never made by an engine */
    cr_assert(keep(3) == CW_ERR_IO);
    cr_assert(rmdir(path("epoch-00000002/core-001/deeper")) == 0);
    clean_up();
}

/* A state that was never stopped in order has one; without it, it would be no state any more. */
Test(durable_files, the_only_manifest_is_not_to_be_removed)
{
    make_state();
    for (uint32_t i = 0; i < 2; i++) { /* it is empty, so it is damaged */
        struct cw_durable_directory of = {.path = directory};
        struct cw_durable_files files = cw_durable_files(&of);
        struct cw_manifest manifest;
        bool alike;
        struct cw_fault fault = {.code = CW_ERR_OK};
        cr_assert(files.load(files.self, &manifest, &alike, &fault) == CW_ERR_CORRUPT);
        cr_assert(strstr(fault.text, "snapshot") != NULL);
        cr_assert(strstr(fault.text, "and remove") == NULL, "nor where both are: %s", fault.text);
        make("manifest.b", false);
    }
    cr_assert(unlink(path("manifest.b")) == 0);
    clean_up();
}

/* What a crash leaves in the middle of a first start's last step. */
Test(durable_files, the_only_manifest_that_says_of_rows_is_not_to_be_removed)
{
    make_state();
    cr_assert(unlink(path("manifest.a")) == 0);
    struct cw_durable_directory of = {.path = directory};
    struct cw_durable_files files = cw_durable_files(&of);
    struct cw_manifest manifest = {.cores = 1, .partitions = 1, .writer = "test"};
    bool alike;
    struct cw_fault fault = {.code = CW_ERR_OK};
    cr_assert(files.store(files.self, &manifest, &fault) == CW_ERR_OK);
    manifest.epoch = 1;
    cr_assert(files.store(files.self, &manifest, &fault) == CW_ERR_OK);
    cr_assert(files.load(files.self, &manifest, &alike, &fault) == CW_ERR_OK);
    cr_assert(manifest.epoch == 1);
    cr_assert(unlink(path("manifest.a")) == 0);
    make("manifest.a", false);
    cr_assert(files.load(files.self, &manifest, &alike, &fault) == CW_ERR_CORRUPT);
    cr_assert(strstr(fault.text, "do not remove it") != NULL);
    cr_assert(unlink(path("manifest.b")) == 0);
    clean_up();
}

/* Else it would be taken for a first start, which removes what an earlier one left. */
Test(durable_files, epochs_without_a_manifest_are_no_first_start)
{
    make_state();
    cr_assert(unlink(path("manifest.a")) == 0);
    struct cw_durable_directory of = {.path = directory};
    struct cw_durable_files files = cw_durable_files(&of);
    struct cw_manifest manifest;
    bool alike;
    struct cw_fault fault = {.code = CW_ERR_OK};
    cr_assert(files.load(files.self, &manifest, &alike, &fault) == CW_ERR_CORRUPT);
    cr_assert(strstr(fault.text, "epoch 2") != NULL);
    clean_up();
    cr_assert(mkdir(directory, 0700) == 0);
    cr_assert(files.load(files.self, &manifest, &alike, &fault) == CW_ERR_NOT_FOUND);
    make("epoch-00000001", true); /* of most states the only one, for years */
    cr_assert(files.load(files.self, &manifest, &alike, &fault) == CW_ERR_CORRUPT);
    cr_assert(strstr(fault.text, "epoch 1") != NULL);
    clean_up();
}
