/*
 * state: the engine's directory: who uses it, its secret, what was refused.
 *
 * Threads: open and close on the control plane; cw_letters_put on the core that owns the box.
 */
#ifndef CW_TOOLS_STATE_H
#define CW_TOOLS_STATE_H

#include "core/err.h"
#include "core/hash.h"
#include "core/text.h"
#include "core/view.h"

#include <pthread.h>
#include <stdio.h>

#define CW_LETTER_BYTES_MAX (64u << 10) /* of an event's text that is kept */

struct cw_state {
    const char *directory;
    int lock;                       /* file descriptor that holds the directory's lock */
    struct cw_hash_key link, codes; /* secret, made once and kept in secret.key */
    bool secret_lost;               /* they are new ones, for a state that had others */
};

struct cw_state_options {
    const char *directory;
    bool links_elsewhere; /* links are signed with a secret of the configuration */
    bool new_secret;      /* a lost one may be replaced */
};

/* Makes the directory (0700) where it is not there, locks it, reads its secret, or makes that of a
   state that is begun. Waits up to 30 s for who only looks at it, and says so on standard error.
   CW_ERR_INVALID: another engine uses it, or new_secret and none is lost; CW_ERR_AGAIN: somebody
   looks at it still; CW_ERR_CORRUPT: the secret is lost. */
CW_MUST_USE cw_err cw_state_open(struct cw_state *state, const struct cw_state_options *options,
                                 struct cw_fault *fault);

/* Once the state is known to be good: the new secret of one that had lost it is written. */
CW_MUST_USE cw_err cw_state_keep_secret(const struct cw_state *state, struct cw_fault *fault);

/* CW_ERR_CORRUPT: the secret of a state that was begun is not there or not whole. */
CW_MUST_USE cw_err cw_state_prove_secret(const char *directory, struct cw_fault *fault);

/* What that means and what to do. */
void cw_state_advise_secret(FILE *to);
void cw_state_close(struct cw_state *state);

/* What one core could not take, on its way to dead-letters.ndjson. */
struct cw_letters {
    pthread_mutex_t mutex; /* held to append or to swap: never over a system call */
    struct cw_text waiting;
    uint64_t lost; /* no room: the writer was too slow */
};

void cw_letters_init(struct cw_letters *letters);
void cw_letters_deinit(struct cw_letters *letters);
void cw_letters_put(struct cw_letters *letters, int64_t at, struct cw_view text,
                    struct cw_view reason);

/* dead-letters.ndjson of the state directory; begun anew when it would pass bytes_max, the one
   before kept as dead-letters.1.ndjson. */
struct cw_letter_file {
    char path[4096], before[4096];
    int file;
    uint64_t bytes, bytes_max;
    struct cw_text swapped;
};

CW_MUST_USE cw_err cw_letter_file_open(struct cw_letter_file *file, const char *directory,
                                       uint64_t bytes_max, struct cw_fault *fault);
void cw_letter_file_close(struct cw_letter_file *file);

/* After the file was changed by somebody else than write. */
CW_MUST_USE cw_err cw_letter_file_reopen(struct cw_letter_file *file, struct cw_fault *fault);

/* Writes what waits in a box; false when the disk did not take it (tried again next time). */
CW_MUST_USE bool cw_letter_file_write(struct cw_letter_file *file, struct cw_letters *letters);

#endif
