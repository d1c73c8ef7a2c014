/*
 * manifest: what a state directory holds, in a few lines that people can read: which store, how
 * many cores wrote it, where their logs are. Two slots are written in turn; the newest whole one
 * counts.
 *
 *     cartwheel-state 1
 *     store 0123456789abcdef0123456789abcdef
 *     generation 7
 *     epoch 2
 *     cores 4
 *     partitions 256
 *     clean no
 *     held no                    or why sends are held: yes (restored), clock_suspect, log_loss
 *     writer 0.1.0
 *     hash 0123456789abcdef
 *
 * hash is XXH3-64 of all bytes before its line. The number in the first line is the format's major
 * version: another one is refused. The first line and the last are the same in every format, so
 * that another format is told from this one with a bit flipped in its number.
 */
#ifndef CW_CORE_MANIFEST_H
#define CW_CORE_MANIFEST_H

#include "core/err.h"
#include "core/text.h"

#define CW_MANIFEST_BYTES_MAX 1024u
#define CW_MANIFEST_FORMAT    1u

/* Why sends are held: bits of a set, and what each is called where people read it. */
#define CW_HOLDS(X)                                                                     \
    X(RESTORED, "restored")   /* out of a snapshot: what went out since is not known */ \
    X(CLOCK, "clock_suspect") /* the wall clock jumped ahead: the time is not known */  \
    X(LOSS, "log_loss")       /* damage was cut off: what went out after it is not known */ \
    X(START, "start_grace")   /* sources deliver first what they kept; ends by itself, not kept */

enum cw_hold_bit {
#define CW_X(id, name) CW_HOLD_BIT_##id,
    CW_HOLDS(CW_X)
#undef CW_X
    CW_HOLD_BITS
};

enum cw_hold {
#define CW_X(id, name) CW_HOLD_##id = 1 << CW_HOLD_BIT_##id,
    CW_HOLDS(CW_X)
#undef CW_X
    CW_HOLD_NONE = 0
};

struct cw_manifest {
    uint8_t store[16];   /* made once, with the state */
    uint64_t generation; /* grows with each write */
    uint64_t epoch;      /* names the directory of the cores' files: epoch-<8 digits> */
    uint32_t cores;      /* that wrote them */
    uint32_t partitions; /* a power of two, for ever */
    bool clean;          /* stopped in order; revoked before anything is changed */
    uint32_t held;       /* set of CW_HOLD_*: not resumed since, so nothing may be sent */
    char writer[32];     /* cartwheel's version */
};

/* Appends the names of a set, in quotes such as "\"" or "", with commas between; none: nothing. */
void cw_holds_write(uint32_t holds, const char *quote, struct cw_text *text);

/* Appends it. */
void cw_manifest_write(const struct cw_manifest *manifest, struct cw_text *text);

/* CW_ERR_CORRUPT: it is not whole; CW_ERR_UNSUPPORTED: another format, see the message. */
CW_MUST_USE cw_err cw_manifest_read(struct cw_manifest *manifest, struct cw_view text,
                                    struct cw_fault *fault);

/* Whether both say the same of all that a state must not forget: of all but the last stop. */
bool cw_manifest_alike(const struct cw_manifest *a, const struct cw_manifest *b);

#endif
