/* The files of JSONTestSuite's test_parsing: y_ must be accepted, n_ refused; for i_, where
   RFC 8259 leaves the choice, the table below says what cartwheel does. */
#include "core/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER CW_SOURCE_DIR "/../shared/data/json-test-suite/test_parsing"

enum {
    FILE_BYTES_MAX = 1 << 18
};

#define SURROGATE CW_JSON_PARSE_ESCAPE /* stands for no character, so no text could hold it */
#define ENCODING  CW_JSON_PARSE_UTF8   /* JSON between systems is UTF-8 (RFC 8259, section 8.1) */
#define NUMBER    CW_JSON_PARSE_OK     /* in the grammar; read as the nearest binary64 */

static const struct choice {
    const char *name;
    enum cw_json_status status;
} choices[] = {
    {"i_number_double_huge_neg_exp", NUMBER},
    {"i_number_huge_exp", NUMBER},
    {"i_number_neg_int_huge_exp", NUMBER},
    {"i_number_pos_double_huge_exp", NUMBER},
    {"i_number_real_neg_overflow", NUMBER},
    {"i_number_real_pos_overflow", NUMBER},
    {"i_number_real_underflow", NUMBER},
    {"i_number_too_big_neg_int", NUMBER},
    {"i_number_too_big_pos_int", NUMBER},
    {"i_number_very_big_negative_int", NUMBER},
    {"i_object_key_lone_2nd_surrogate", SURROGATE},
    {"i_string_1st_surrogate_but_2nd_missing", SURROGATE},
    {"i_string_1st_valid_surrogate_2nd_invalid", SURROGATE},
    {"i_string_UTF-16LE_with_BOM", ENCODING},
    {"i_string_UTF-8_invalid_sequence", ENCODING},
    {"i_string_UTF8_surrogate_U+D800", ENCODING},
    {"i_string_incomplete_surrogate_and_escape_valid", SURROGATE},
    {"i_string_incomplete_surrogate_pair", SURROGATE},
    {"i_string_incomplete_surrogates_escape_valid", SURROGATE},
    {"i_string_invalid_lonely_surrogate", SURROGATE},
    {"i_string_invalid_surrogate", SURROGATE},
    {"i_string_invalid_utf-8", ENCODING},
    {"i_string_inverted_surrogates_U+1D11E", SURROGATE},
    {"i_string_iso_latin_1", ENCODING},
    {"i_string_lone_second_surrogate", SURROGATE},
    {"i_string_lone_utf8_continuation_byte", ENCODING},
    {"i_string_not_in_unicode_range", ENCODING},
    {"i_string_overlong_sequence_2_bytes", ENCODING},
    {"i_string_overlong_sequence_6_bytes", ENCODING},
    {"i_string_overlong_sequence_6_bytes_null", ENCODING},
    {"i_string_truncated-utf-8", ENCODING},
    {"i_string_utf16BE_no_BOM", ENCODING},
    {"i_string_utf16LE_no_BOM", ENCODING},
    {"i_structure_500_nested_arrays", CW_JSON_PARSE_OK}, /* the limit is 1000 */
    /* A mark must not be added (section 8.1) and a reader need not skip it. */
    {"i_structure_UTF-8_BOM_empty_object", CW_JSON_PARSE_STRUCTURE},
};

static struct cw_json_parser *parser;

static void open_parser(void)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_json_open(&parser, FILE_BYTES_MAX, CW_JSON_DEPTH_MAX, &fault), 0));
}

static void close_parser(void)
{
    cw_json_close(parser);
}

TestSuite(json_suite, .init = open_parser, .fini = close_parser);

static const struct choice *find_choice(const char *file)
{
    for (size_t i = 0; i < CW_COUNTOF(choices); i++) {
        size_t bytes = strlen(choices[i].name);
        if (strncmp(file, choices[i].name, bytes) == 0 && strcmp(file + bytes, ".json") == 0) {
            return &choices[i];
        }
    }
    return NULL;
}

/* Parses the file in a block of just the size that the contract asks for. */
static enum cw_json_status parse_file(const char *name)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", FOLDER, name);
    FILE *file = fopen(path, "rb");
    cr_assert(ne(ptr, file, NULL));
    static char buffer[FILE_BYTES_MAX];
    size_t bytes = fread(buffer, 1, sizeof buffer, file);
    (void)fclose(file);
    cr_assert(lt(sz, bytes, sizeof buffer));
    char *text = malloc(bytes + CW_JSON_PADDING);
    memcpy(text, buffer, bytes);
    memset(text + bytes, ']', CW_JSON_PADDING);
    struct cw_json doc;
    enum cw_json_status status = cw_json_parse(parser, text, (uint32_t)bytes, &doc);
    if (status == CW_JSON_PARSE_OK) {
        cr_expect(cw_json_check(&doc), "%s: the nodes do not fit the text", name);
    }
    free(text);
    return status;
}

Test(json_suite, accepts_refuses_and_decides_as_listed)
{
    DIR *folder = opendir(FOLDER);
    if (folder == NULL) {
        cr_skip_test("JSONTestSuite is not at %s", FOLDER);
    }
    uint32_t seen[3] = {0};
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *name = entry->d_name;
        if (strstr(name, ".json") == NULL) {
            continue;
        }
        enum cw_json_status status = parse_file(name);
        const char *text = cw_json_status_text(status);
        if (name[0] == 'y') {
            cr_expect(status == CW_JSON_PARSE_OK, "%s: refused, %s", name, text);
        } else if (name[0] == 'n') {
            cr_expect(status != CW_JSON_PARSE_OK, "%s: accepted", name);
        } else {
            const struct choice *choice = find_choice(name);
            cr_assert(choice != NULL, "%s: not in the table", name);
            cr_expect(status == choice->status, "%s: %s", name, text);
        }
        seen[name[0] == 'y' ? 0 : name[0] == 'n' ? 1 : 2]++;
    }
    (void)closedir(folder);
    cr_expect(ge(u32, seen[0], 95));
    cr_expect(ge(u32, seen[1], 188));
    cr_expect(eq(u32, seen[2], (uint32_t)CW_COUNTOF(choices)));
}
