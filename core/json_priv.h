/*
 * json_priv: what json_simdjson.cpp, the one C++ file, does for json and text. Plain C types only,
 * so that both languages can include it.
 *
 * Life:    stage1 open -> run* -> close. Threads: one at a time. Fails: open returns NULL.
 * Bounds:  run takes at most bytes_max bytes.
 */
#ifndef CW_CORE_JSON_PRIV_H
#define CW_CORE_JSON_PRIV_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cw_json_stage1_status {
    CW_JSON_STAGE1_OK,
    CW_JSON_STAGE1_EMPTY,
    CW_JSON_STAGE1_REFUSED, /* not UTF-8, a control character in a string, or one not closed */
    CW_JSON_STAGE1_BROKEN
};

struct cw_json_stage1;

struct cw_json_stage1 *cw_json_stage1_open(uint32_t bytes_max);
void cw_json_stage1_close(struct cw_json_stage1 *stage1);

/*
 * Finds the offset of every token: each of []{}:, outside strings (and two control bytes that look
 * like one), each opening quote, each first byte of any other run of bytes that are not white
 * space. Inside strings nothing is a token, nor is a closing quote. (*at)[*count] and the next one
 * hold `bytes`, a third one 0. The array lives until the next run.
 */
enum cw_json_stage1_status cw_json_stage1_run(struct cw_json_stage1 *stage1, const char *text,
                                              uint32_t bytes, const uint32_t **at, uint32_t *count);

/* The nearest binary64 to a number in JSON's grammar; infinity or 0 when out of range. */
double cw_json_decimal(const char *text, uint32_t bytes);

/* The shortest digits that read back as value (finite, not 0), as 1.2345e-7 or 1e+30; returns how
   many bytes were written, at most 32. */
uint32_t cw_json_shortest(double value, char out[32]);

#ifdef __cplusplus
}
#endif

#endif
