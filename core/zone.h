/*
 * zone: IANA time zones, read once from compiled TZif files (RFC 8536).
 *
 * Life:    open (control plane; reads every zone under the directory) -> pure look-ups -> close.
 * Memory:  one arena, about 1 MiB for the whole database.
 * Threads: read-only after open.
 * Bounds:  at most CW_ZONES_MAX zones, 2,000 transitions each; instants past the last transition
 *          follow the footer's POSIX TZ rule.
 * Fails:   open only: a missing directory, or one without a zone but UTC (with the package to
 *          install); a damaged file is left out and counted.
 */
#ifndef CW_CORE_ZONE_H
#define CW_CORE_ZONE_H

#include "core/err.h"
#include "core/view.h"

#define CW_ZONES_MAX 2048
#define CW_ZONE_UTC  0u /* the index of UTC, always there */

struct cw_zones; /* opaque: owns its memory */

/* directory: normally /usr/share/zoneinfo. */
CW_MUST_USE cw_err cw_zones_open(struct cw_zones **zones, const char *directory,
                                 struct cw_fault *fault);
void cw_zones_close(struct cw_zones *zones);
uint32_t cw_zones_count(const struct cw_zones *zones);

/* How many files were left out because they are not what a zone's file must be. */
uint32_t cw_zones_damaged(const struct cw_zones *zones);

/* The zone's index by its IANA name (links too, case matters); false when there is none. An index
   is stable for one open only: store names. */
CW_MUST_USE bool cw_zones_find(const struct cw_zones *zones, struct cw_view name, uint32_t *index);
struct cw_view cw_zones_name(const struct cw_zones *zones, uint32_t index);

/* Instants and local times below may be any within 2^62 ms of 1970. */

/* What to add to UTC to get local time, in ms, at that instant. */
int64_t cw_zone_offset_ms(const struct cw_zones *zones, uint32_t index, int64_t utc_ms);

/* The earliest instant whose local time is local_ms (ms since 1970-01-01T00:00 of the local
   clock). A local time that does not exist gives the first instant after the gap; one that comes
   twice gives the first. */
int64_t cw_zone_to_utc(const struct cw_zones *zones, uint32_t index, int64_t local_ms);

/* The first instant strictly after utc_ms at which the local clock shows minute_of_day (0..1439),
   by the rules of cw_zone_to_utc. */
int64_t cw_zone_next(const struct cw_zones *zones, uint32_t index, int64_t utc_ms,
                     uint32_t minute_of_day);

#endif
